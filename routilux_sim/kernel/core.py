"""The kernel: which task runs, and what time it is.

One operating-system thread; every simulated thread is a greenlet, and switching goes straight from one to the next.
The kernel knows tasks, waits and deadlines; it does not know what the tasks wait in (that is `routilux_sim.world`) nor
who should run next (that is a `Strategy`). Every choice it asks for is written to the tape. Value 0 is always the plain
one: the current task goes on; among tasks that wait to run, the one that has waited longest.
"""

from __future__ import annotations

import itertools
from _thread import get_ident
from collections.abc import Callable
from contextvars import copy_context
from sys import gettrace, settrace
from threading import gettrace as gettrace_of_threads
from typing import Any, NoReturn

import greenlet

from routilux_sim.kernel.active import activate, active, here
from routilux_sim.kernel.deadlines import Deadlines
from routilux_sim.kernel.edges import Edges
from routilux_sim.kernel.errors import LimitReachedError, SimulationError, TaskKilled, TaskStuckError
from routilux_sim.kernel.faults import Faults
from routilux_sim.kernel.labels import describe, label_of
from routilux_sim.kernel.limits import DEFAULT_EPOCH_NS, HANG_SECONDS, Limits, wall_seconds
from routilux_sim.kernel.tape import Tape
from routilux_sim.kernel.task import BLOCKED, DONE, READY, Carriers, Task
from routilux_sim.kernel.trace import NOBODY, TASKS, Trace
from routilux_sim.strategy import Strategy

__all__ = [
    "DEFAULT_EPOCH_NS",
    "HANG_SECONDS",
    "Kernel",
    "Limits",
    "activate",
    "active",
    "describe",
    "here",
    "label_of",
    "wall_seconds",
]

NOTED = 2_000_000
"""So many candidates are noted in one execution: ten thousand tasks have as many at each choice."""

PATIENCE = 100
"""How many times a task may carry on after having been killed before it is given up."""


_numbers = itertools.count(1)


class Kernel:
    """Runs one execution of a program.

    Args:
        strategy: Makes the choices.
        carriers: Greenlets of the calling thread.
        limits: When to give up.
        epoch_ns: The wall clock's reading at the beginning, in nanoseconds since 1970.
        log: Called as ``log(event, fields)`` with what happens, if anybody wants to know.
        keep_enabled: Note with each choice which tasks could have run, until `NOTED` are noted.

    Attributes:
        number: Tells the executions of a process apart. What lives longer than an execution keeps this, and not the
            kernel, which would keep the execution's tasks alive.
        now: Virtual nanoseconds since the beginning.
        current: The task that runs; None while the kernel itself does.
        caller: The task that stands for the thread which runs the simulation; the latest, if there were several.
        ready: Tasks that could run, besides the current one, longest-waiting first.
        tape: The choices made so far.
        enabled: With ``keep_enabled``, the candidates of the choices, from the first to the last noted.
        steps: Scheduling points passed so far.
        failure: What ended the execution before its time, or None.
        entering: Called with each task before control passes to it, if anybody wants to know.
        max_steps: The number of steps at which it stops, or asks ``at_limit``.
        at_limit: Asked with the kernel, when that number is exceeded, whether to go on all the same; it may raise it.
        at_end: Called at the end of the execution, in tasks of their own, once all others have been unwound.
        kept: What the simulated world keeps for this execution, by the id of what it belongs to, which it keeps alive.
        trace: What tasks do, if anybody wants to know.
        edges: Told what orders one task's doings before another's, if anybody wants to know.
        at_point: Called with operation and object when a task goes on with it, if anybody wants to know.
        faults: Asked by what tasks wait in whether it is to go wrong; None: nothing is.
        join_faults: Called with what is to go wrong besides, from now on; None: nobody sees to it.
    """

    def __init__(
        self,
        strategy: Strategy,
        carriers: Carriers,
        limits: Limits,
        epoch_ns: int = DEFAULT_EPOCH_NS,
        log: Callable[[str, dict[str, Any]], None] | None = None,
        keep_enabled: bool = False,
    ) -> None:
        self.number = next(_numbers)
        self.now = 0
        self.epoch_ns = epoch_ns
        self.current: Task | None = None
        self.ready: list[Task] = []
        self.caller: Task | None = None
        self._tasks: dict[int, Task] = {}
        self._spawned = 0
        self.tape = Tape()
        self._record = self.tape.add
        self.enabled: list[tuple[Task, ...]] = []
        self.steps = 0
        self.failure: BaseException | None = None
        self.failed_task: Task | None = None
        self.thread_id = get_ident()
        self.ending = False
        self.log = log
        self._pick: Callable[[Task | None, list[Task]], int] = strategy.pick
        self._draw: Callable[[str, int], int] = strategy.draw
        self._carriers = carriers
        self._idle = carriers.idle
        self._limits = limits
        self.max_steps = limits.max_steps
        self._interrupted = False
        self._keep_enabled = keep_enabled
        self._noted = 0
        self._driver: greenlet.greenlet = greenlet.getcurrent()
        self._deadlines = Deadlines()
        self._ordinals: dict[str, int] = {}
        self._until: Task | None = None
        self._frozen = False
        self._readings = 0
        self._trace: Any = None
        self.usual_excepthook: Any = None
        self.usual_unraisablehook: Any = None
        self.entering: Callable[[Task | None], None] | None = None
        self.at_limit: Callable[[Kernel], bool] | None = None
        self.at_end: list[Callable[[], None]] = []
        self.kept: dict[int, Any] = {}
        self.trace: Trace | None = None
        self.edges: Edges | None = None
        self.at_point: Callable[[str, Any], None] | None = None
        self.faults: Faults | None = None
        self.join_faults: Callable[[Any], None] | None = None

    # Tasks

    @property
    def tasks(self) -> list[Task]:
        """The tasks that have not ended, in the order in which they were made."""
        return list(self._tasks.values())

    def first_to_join(self) -> Task | None:
        """The oldest task that a program waits for before it ends: no daemon, nor the program's own."""
        return next((task for task in self._tasks.values() if not task.daemon and not task.is_caller), None)

    def spawn(self, body: Callable[[], Any], name: str, daemon: bool) -> Task:
        """Make a task that can run from now on."""
        self._spawned = number = self._spawned + 1
        task = self._tasks[number] = Task(number, name, body, daemon)
        if not self.ending:
            self.ready.append(task)
        if self.trace is not None:
            self._trace_spawn(task)
        if self.edges is not None:
            self.edges.release("start", task)
        if self.log is not None:
            self.log("task.start", {"task": name, "number": number, "daemon": daemon})
        return task

    def spawn_caller(self, body: Callable[[], Any]) -> Task:
        """Make the task that stands for the calling thread: it goes by its name, and sees its context variables."""
        task = self.spawn(body, "MainThread", daemon=False)
        task.is_caller = True
        self.caller = task
        task.context = copy_context()
        return task

    def run_task(self, task: Task) -> None:
        """Run a task's body, in the task's own context; called by its carrier."""
        __tracebackhide__ = True
        if self.trace is not None:
            self.trace.add(task.number, "begin", task, len(self.tape))
        if self.edges is not None:
            self.edges.acquire("start", task)
        try:
            task.body()
        except TaskKilled:
            pass
        except BaseException as error:  # noqa: BLE001 - whatever it is, it ended the task and is the program's failure
            task.error = error
            if not self.ending:
                self._fail(error, task)
        # While it is still the one that runs: a finalizer may wait for something.
        task.release()

    def after(self, task: Task) -> Task | None:
        """Enter a task's end; return who runs next, None for the driver."""
        task.state = DONE
        del self._tasks[task.number]
        if self.log is not None and not self.ending:
            self.log("task.end", {"task": task.name, "number": task.number})
        if self.ending or self.failure is not None:
            return None
        if self.trace is not None:
            self.trace.touch(task.number, "end", task)
            self.trace.touch(task.number, "shrink", TASKS)
        if self.edges is not None:
            self.edges.release("end", task)
        for joiner in task.joiners:
            self.wake(joiner)
        task.joiners.clear()
        task.op, task.obj = "end", None
        return None if task is self._until else self._next(task)

    def leave_for(self, following: Task | None) -> Any:
        """Go from an ended task to another one, or to the driver; return what the carrier is given next."""
        if following is None:
            return self._leave()
        if self.log is not None:
            self.log("task.switch", {"task": following.name})
        self.current = following
        return self._enter(following)

    def _leave(self) -> Any:
        """Give control to the driver, for good."""
        self.current = None
        if self._trace is None and gettrace() is None:
            return self._driver.switch(None)
        return self._switch_traced(self._driver.switch, None)

    def _enter(self, task: Task) -> Any:
        """Give control to a task, from another one."""
        if self.entering is not None:
            self.entering(task)
        traced = self._trace is not None or gettrace() is not None
        carrier = task.greenlet
        if carrier is not None:
            return self._switch_traced(carrier.switch) if traced else carrier.switch()
        if self._idle:
            carrier = task.greenlet = self._idle.pop()
            return self._switch_traced(carrier.switch, self, task) if traced else carrier.switch(self, task)
        return self._switch_traced(self._driver.switch, task) if traced else self._driver.switch(task)

    def _drive(self, following: Task | None) -> None:
        """Give control to a task, from the driver, and start carriers for tasks until it comes back for good.

        Only the driver starts carriers. A greenlet's stack begins where it is started: one that a task started would
        lie on top of that task's frames, a chain of them would come to the end of the stack, and what lies in between
        would be copied at every switch.
        """
        if following is None:
            return
        if self.log is not None:
            self.log("task.switch", {"task": following.name})
        self.current = following
        if self.entering is not None:
            self.entering(following)
        self._trace = gettrace_of_threads() or gettrace()
        carrier = following.greenlet
        starting: Task | None = following
        if carrier is not None:
            starting = carrier.switch() if self._trace is None else self._switch_traced(carrier.switch)
        while starting is not None:
            carrier = starting.greenlet = self._carriers.take()
            if self._trace is None:
                starting = carrier.switch(self, starting)
            else:
                starting = self._switch_traced(carrier.switch, self, starting)

    def _switch_traced(self, switch: Callable[..., Any], *args: Any) -> Any:
        """Give control away, and make sure that the same trace function is in place when it comes back.

        A trace function, of coverage or a debugger, follows the calls and returns of one thread; the interpreter keeps
        it for the real one, which all tasks share. It is taken out and put back in one and the same frame, so that for
        whoever traces nothing happened in between. New tasks begin with what `threading` has new threads traced by, or
        else with what traces the simulation's caller.
        """
        trace = gettrace()
        if (args or self._trace is None) and trace is not self._trace:
            settrace(self._trace)
        try:
            return switch(*args)
        finally:
            if gettrace() is not trace:
                settrace(trace)

    def trace_anew(self) -> None:
        """Called by a carrier that has run a task before: a debugger that was started in that one is not wanted."""
        if (gettrace() is None) is not (self._trace is None):
            settrace(self._trace)

    def run(self, task: Task) -> None:
        """Run tasks, from the driver, until ``task`` has ended or the execution has failed."""
        self._until = task
        self._drive(self._next(None))

    def settle(self) -> None:
        """Let every task that can run go on, from the driver, until all wait: the clock does not move."""
        self._until = None
        self._frozen = True
        while self.ready and self.failure is None:
            self._drive(self._next(None))
        self._frozen = False

    def ordinal(self, kind: str) -> int:
        """Count the objects of a kind, from 1, in the order in which they were made."""
        count = self._ordinals[kind] = self._ordinals.get(kind, 0) + 1
        return count

    @property
    def spawned(self) -> int:
        """How many tasks there have been."""
        return self._spawned

    def oldest(self, count: int) -> list[Task]:
        """The first so many of the tasks that have not ended."""
        return list(itertools.islice(self._tasks.values(), count))

    @property
    def made(self) -> dict[str, int]:
        """How many objects of each kind have been counted."""
        return self._ordinals

    # Scheduling points

    def point(self, op: str, obj: Any = None) -> None:
        """Say what the current task is about to do: another may come first."""
        self.steps += 1
        if self.steps > self.max_steps:
            self._exceed("steps")
        ready = self.ready
        me = self.current
        assert me is not None  # noqa: S101 - the driver has no scheduling points
        if not ready:
            if self.trace is not None:
                self.trace.add(me.number, op, obj, len(self.tape))
            if self.at_point is not None:
                self.at_point(op, obj)
            return
        me.op = op
        me.obj = obj
        bound = len(ready) + 1
        try:
            choice = self._pick(me, ready)
            if not 0 <= choice < bound:
                _refuse_choice(choice, bound)
        except Exception as error:  # noqa: BLE001 - not the program's to catch
            self.stop(_of_strategy(error))
        self._record((choice, bound, me, op, obj))
        if self._keep_enabled:
            self._note((me, *ready))
        if choice:
            following = ready.pop(choice - 1)
            if following.state is BLOCKED:
                _accept(following)
            ready.append(me)
            self._switch(me, following)
        if self.trace is not None:
            self.trace.add(me.number, op, obj, len(self.tape))
        if self.at_point is not None:
            self.at_point(op, obj)

    def access(self, op: str, obj: Any) -> None:
        """Say that the current task accesses memory in a place where others cannot matter; nobody comes first."""

    def give_way(self, op: str) -> None:
        """Let others run first: the current task goes to the end of the line."""
        self.steps += 1
        if self.steps > self.max_steps:
            self._exceed("steps")
        me = self.current
        assert me is not None  # noqa: S101 - called by tasks only
        if self.ready:
            me.op, me.obj = op, None
            self.ready.append(me)
            following = self._next(me)
            if following is not me:
                self._switch(me, following)
        if self.trace is not None:
            self.trace.add(me.number, op, None, len(self.tape))

    def poll(self, obj: Any) -> None:
        """Note that the current task, with no time left to wait, did not find what it wants of ``obj``.

        When it looks again at the same instant, and has read the clock in between, a nanosecond passes. Who computes
        what is left until a deadline, and goes on while that is not below 0, would look forever: CPython's
        ``as_completed`` does.
        """
        me = self.current
        assert me is not None  # noqa: S101 - called by tasks only
        at, readings, looked_at = me.polled
        if at == self.now and readings != self._readings and looked_at is obj:
            self.block("wait", None, self.now + 1)
        me.polled = self.now, self._readings, obj

    def tick(self) -> None:
        """Count a clock reading as a step, so that a loop of them comes to an end."""
        self._readings += 1
        self.steps += 1
        if self.steps > self.max_steps:
            self._exceed("steps")

    def block(self, op: str, obj: Any, deadline: int | None = None) -> bool:
        """Suspend the current task until it is woken or its deadline comes.

        Args:
            op: What it waits in.
            obj: What must change for it to go on.
            deadline: Virtual nanoseconds; None: wait as long as it takes.

        Returns:
            True when it was woken.
        """
        me = self.current
        assert me is not None  # noqa: S101 - the driver does not wait
        if self.ending:
            self._refuse_to_die(me)
        self.steps += 1
        if self.steps > self.max_steps:
            self._exceed("steps")
        me.op, me.obj, me.waits_for = op, obj, obj
        me.state = BLOCKED
        me.woken = False
        me.wait += 1
        if deadline is not None:
            self._deadlines.add(deadline, me)
        if self.trace is not None:
            self.trace.pending[me.number] = op, obj
        following = self._next(me)
        if following is not me:
            self._switch(me, following)
        if self.trace is not None:
            # It may be about something else by now: who is notified waits for the lock from then on.
            self.trace.add(me.number, me.op, me.obj, len(self.tape))
            self.trace.pending.pop(me.number, None)
        me.waits_for = None
        if deadline is not None and me.woken:
            self._deadlines.forget(me)
        return me.woken

    def wake(self, task: Task) -> None:
        """Let a blocked task go on; without effect on one that is not blocked."""
        if task.state is BLOCKED and not self.ending:
            task.state = READY
            task.woken = True
            self.ready.append(task)
            if self.trace is not None:
                self.trace.touch(self._number(), "wake", task)

    def offer(self, tasks: list[Task]) -> int:
        """Make candidates of blocked tasks that could all go on, but only until one of them has: then `retract`.

        They stay `BLOCKED`, and so the price does not grow with what is done for each: thousands may wait for one lock.

        Returns:
            The place of the first one in `ready`, for `retract`.
        """
        place = len(self.ready)
        if not self.ending:
            self.ready += tasks
        return place

    def retract(self, tasks: list[Task], place: int) -> None:
        """Take back an `offer`: ``tasks`` are those that are left of it, in the same order."""
        ready = self.ready
        if tasks and ready:
            # What was before them may have gone since.
            place = min(place, len(ready) - len(tasks))
            while ready[place] is not tasks[0]:
                place -= 1
            del ready[place : place + len(tasks)]

    def disable(self, task: Task, obj: Any) -> None:
        """Take back a `wake`: what the task was woken for is gone again, and it waits on for ``obj``.

        Its deadline still holds: the clock stands while any task can run, so it cannot have passed in between.
        """
        if task.state is READY and not self.ending:
            self.ready.remove(task)
            task.state = BLOCKED
            task.woken = False
            task.waits_for = obj

    def promise(self, task: Task) -> None:
        """Settle that a blocked task has been woken, while something else still keeps it from running."""
        task.woken = True
        task.wait += 1
        if self.trace is not None:
            self.trace.touch(self._number(), "wake", task)

    def touch(self, op: str, obj: Any) -> None:
        """Note in the trace what the current task does besides the operation of its last scheduling point."""
        if self.trace is not None:
            self.trace.touch(self._number(), op, obj)

    def _number(self) -> int:
        """Whose doing it is what happens now."""
        return NOBODY if self.current is None else self.current.number

    def _trace_spawn(self, task: Task) -> None:
        assert self.trace is not None  # noqa: S101 - the caller has looked
        self.trace.touch(self._number(), "grow", TASKS)
        self.trace.touch(self._number(), "spawn", task)

    def draw(self, label: str, bound: int) -> int:
        """Choose a number below ``bound`` for something else than who runs next; 0 is the plain choice."""
        return 0 if bound <= 1 else self.decide(label, bound, lambda: self._draw(label, bound))

    def decide(self, label: str, bound: int, choose: Callable[[], int]) -> int:
        """Note a number below ``bound`` that somebody chooses for something else than who runs next."""
        me = self.current
        assert me is not None  # noqa: S101 - called by tasks only
        try:
            value = choose()
            if not 0 <= value < bound:
                _refuse_choice(value, bound)
        except Exception as error:  # noqa: BLE001 - not the program's to catch
            self.stop(_of_strategy(error))
        self._record((value, bound, me, label, None))
        if self._keep_enabled:
            self._note(())
        return value

    @property
    def chooses_by(self) -> tuple[Callable[[Task | None, list[Task]], int], Callable[[str, int], int]]:
        """Who is asked now."""
        return self._pick, self._draw

    def choose_by(self, pick: Callable[[Task | None, list[Task]], int], draw: Callable[[str, int], int]) -> None:
        """Ask others than the strategy's methods from now on."""
        self._pick = pick
        self._draw = draw

    def _next(self, me: Task | None) -> Task | None:
        """Choose among the tasks that can run, moving the clock if there are none; None: the execution is over."""
        ready = self.ready
        while not ready:
            if self._frozen:
                return None
            if not self._advance():
                self._fail(None, me)
                return None
        if len(ready) == 1:
            following = ready.pop()
            if following.state is BLOCKED:
                _accept(following)
            return following
        try:
            choice = self._pick(None, ready)
            if not 0 <= choice < len(ready):
                _refuse_choice(choice, len(ready))
        except Exception as error:  # noqa: BLE001 - not the program's to catch
            self._fail(_of_strategy(error), me)
            return None
        self._record((choice, len(ready), me or ready[0], me.op if me else "begin", me.obj if me else None))
        if self._keep_enabled:
            self._note(tuple(ready))
        following = ready.pop(choice)
        if following.state is BLOCKED:
            _accept(following)
        return following

    def _note(self, candidates: tuple[Task, ...]) -> None:
        """Keep a choice's candidates."""
        self.enabled.append(candidates)
        self._noted += len(candidates)
        if self._noted > NOTED:
            self._keep_enabled = False

    def _switch(self, me: Task, following: Task | None) -> None:
        if following is None:
            self._leave()
        else:
            if self.log is not None:
                self.log("task.switch", {"task": following.name, "from": me.name, "point": describe(me)})
            self.current = following
            self._enter(following)

    # Time

    def _advance(self) -> bool:
        """Move the clock to the next deadline, and let every task that waits for that very instant go on."""
        at = self._deadlines.first()
        if at is None or at > self._limits.max_ns:
            return False
        self.now = max(self.now, at)
        if self.trace is not None:
            self.trace.touch(NOBODY, "clock", None)
        for due in self._deadlines.due(self.now):
            due.state = READY
            self.ready.append(due)
            if self.trace is not None:
                self.trace.touch(due.number, "due", None)
        return True

    def sleep(self, nanoseconds: int) -> None:
        """Suspend the current task for a time; 0 is a plain yield."""
        if nanoseconds <= 0:
            self.give_way("yield")
        else:
            self.block("sleep", None, self.now + nanoseconds)

    def deadlines(self) -> list[tuple[Task, int]]:
        """Who waits for what time, in virtual nanoseconds, the next one first."""
        return self._deadlines.in_order()

    # Ends

    def _fail(self, error: BaseException | None, task: Task | None) -> None:
        """Note why the execution ends; an error of None means that nothing can run any more."""
        if self.failure is not None:
            return
        if error is None:
            at = self._deadlines.first()
            if at is not None and at > self._limits.max_ns:
                error = LimitReachedError(
                    f"more than {self._limits.max_ns / 1e9:g} virtual seconds went by; "
                    "it may never end, or it needs a higher max_seconds"
                )
            else:
                # The driver says which tasks are stuck in what, when it has control.
                error = STUCK
        self.failure = error
        self.failed_task = task

    def stop(self, error: BaseException) -> NoReturn:
        """End the execution with ``error``, from inside a task."""
        if self.ending:
            self._refuse_to_die(self.current)
        self._fail(error, self.current)
        me = self.current
        assert me is not None  # noqa: S101 - called by tasks only
        self._switch(me, None)
        raise TaskKilled

    def condemn(self, error: BaseException) -> NoReturn:
        """End the execution with ``error`` where a task cannot give up control: it may take no further step.

        Raises:
            TaskKilled: Always, for the task to unwind at once.
        """
        if self.ending:
            self._refuse_to_die(self.current)
        self._fail(error, self.current)
        self.max_steps = -1
        raise TaskKilled

    def break_off(self, error: BaseException) -> NoReturn:
        """End the execution with ``error``, inside a task that takes no steps; called by a signal handler.

        A task that hangs while it is being unwound is left for good.
        """
        if self.ending and self.current is not None:
            self.failure = self.failure or error
            self.current.wait = PATIENCE
        self.stop(error)

    def interrupt(self) -> None:
        """End the execution with KeyboardInterrupt at the next step, past whatever the program would make of it.

        Called by a signal handler. Raises KeyboardInterrupt itself when called again: the program takes no steps.
        """
        if self._interrupted or self.current is None:
            raise KeyboardInterrupt
        self._interrupted = True
        self.max_steps = -1

    def _exceed(self, what: str) -> None:
        if self.ending:
            self._refuse_to_die(self.current)
        if self._interrupted:
            self.stop(KeyboardInterrupt())
        if self.failure is None and self.at_limit is not None and self.at_limit(self):
            return
        self.stop(
            LimitReachedError(
                f"the program took more than {self._limits.max_steps} {what}; "
                "it may never end, or it needs a higher max_steps"
            )
        )

    def end(self) -> None:
        """Unwind every task that is left, from the driver: their ``finally`` blocks run, in the order of the tasks."""
        self.ending = True
        self.trace = self.edges = self.at_point = None
        self.ready.clear()
        self.max_steps = self.steps + 1_000_000
        for task in self.tasks:
            if task.greenlet is not None:
                task.wait = 0
                self._finish(task, task.greenlet.throw, TaskKilled)
        while self.at_end:
            task = self.spawn(self.at_end.pop(0), "end", daemon=True)
            task.greenlet = self._carriers.take()
            self._finish(task, task.greenlet.switch, self, task)

    def _finish(self, task: Task, resume: Callable[..., Any], *args: Any) -> None:
        """Let a task run to its end, from the driver."""
        if self.entering is not None:
            self.entering(task)
        self.current = task
        self._switch_traced(resume, *args)
        self.current = None
        if task.state is not DONE and self.failure is None:
            self.failure = TaskStuckError(f"{task!r} caught every attempt to end it")

    def _refuse_to_die(self, task: Task | None) -> NoReturn:
        """A task that is being unwound wants to wait: kill it again, and leave it for good if it never learns."""
        if task is not None:
            task.wait += 1
            if task.wait > PATIENCE:
                while True:
                    self._leave()
        raise TaskKilled


STUCK = LimitReachedError("no task can run")
"""Stands for a deadlock until the judge has worded it."""


def _accept(task: Task) -> None:
    """What `Kernel.wake` does, for the one task that goes on of those that were offered it."""
    task.state = READY
    task.woken = True


def _refuse_choice(value: object, bound: int) -> NoReturn:
    raise IndexError(f"it chose {value!r}, which is not a whole number below {bound}")


def _of_strategy(error: Exception) -> SimulationError:
    """Make sure that an error in choosing is not taken for one of the program's."""
    if isinstance(error, SimulationError):
        return error
    wrapped = SimulationError(f"the strategy failed: {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped
