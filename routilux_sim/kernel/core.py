"""The kernel: which task runs, and what time it is.

One operating-system thread; every simulated thread is a greenlet, and switching goes straight from one to the next.
The kernel knows tasks, waits and deadlines; it does not know what the tasks wait in (that is `routilux_sim.world`) nor
who should run next (that is a `Strategy`). Every choice it asks for is written to the tape. Value 0 is always the plain
one: the current task goes on; among tasks that wait to run, the one that has waited longest.
"""

from __future__ import annotations

import heapq
import itertools
from _thread import get_ident
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, NoReturn

import greenlet

from routilux.abc import LONGEST_WAIT
from routilux_sim.kernel.errors import LimitReachedError, SimulationError, TaskKilled, TaskStuckError
from routilux_sim.kernel.task import BLOCKED, DONE, READY, Carriers, Task
from routilux_sim.strategy import Strategy

__all__ = ["DEFAULT_EPOCH_NS", "Decision", "Kernel", "Limits", "here", "wall_seconds"]

DEFAULT_EPOCH_NS = 1_767_225_600_000_000_000
"""What ``time.time_ns()`` reads when an execution begins: 2026-01-01 00:00:00 UTC."""

Decision = tuple[int, int, Task, str, Any]
"""A choice on the tape: value, bound, the task that was running, and its operation and object."""

PATIENCE = 100
"""How many times a task may carry on after having been killed before it is given up."""


_numbers = itertools.count(1)


def wall_seconds(nanoseconds: int) -> float:
    """Nanoseconds since 1970 in seconds, to the nearest float; a plain quotient would round twice."""
    whole, rest = divmod(nanoseconds, 1_000_000_000)
    return whole + rest / 1e9


class Limits:
    """How long one execution may go on.

    Args:
        max_steps: Scheduling points and clock readings.
        max_seconds: Virtual time.
    """

    __slots__ = ("max_ns", "max_steps")

    def __init__(self, max_steps: int = 1_000_000, max_seconds: float = 10 * 365 * 86_400.0) -> None:
        if isinstance(max_steps, bool) or not isinstance(max_steps, int) or max_steps < 1:
            raise ValueError(f"max_steps must be a whole number from 1 up, not {max_steps!r}")
        if not isinstance(max_seconds, int | float) or not 0 < max_seconds <= LONGEST_WAIT:
            raise ValueError(f"max_seconds must be a number above 0, at most a century, not {max_seconds!r}")
        self.max_steps = max_steps
        self.max_ns = round(max_seconds * 1e9)


class Kernel:
    """Runs one execution of a program.

    Args:
        strategy: Makes the choices.
        carriers: Greenlets of the calling thread.
        limits: When to give up.
        epoch_ns: The wall clock's reading at the beginning, in nanoseconds since 1970.
        log: Called as ``log(event, fields)`` with what happens, if anybody wants to know.
        keep_enabled: Note with each choice which tasks could have run.

    Attributes:
        number: Tells the executions of a process apart. What lives longer than an execution keeps this, and not the
            kernel, which would keep the execution's tasks alive.
        now: Virtual nanoseconds since the beginning.
        current: The task that runs; None while the kernel itself does.
        ready: Tasks that could run, besides the current one, longest-waiting first.
        tape: The choices made so far.
        enabled: With ``keep_enabled``, the candidates of each choice.
        steps: Scheduling points passed so far.
        failure: What ended the execution before its time, or None.
        entering: Called with each task before control passes to it, if anybody wants to know.
        at_end: Called at the end of the execution, in tasks of their own, once all others have been unwound.
        kept: What the simulated world keeps for this execution, by the id of what it belongs to, which it keeps alive.
    """

    active: Kernel | None = None
    """The kernel whose execution is under way. One at a time: simulating patches the process."""

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
        self.tasks: list[Task] = []
        self.tape: list[Decision] = []
        self.enabled: list[tuple[Task, ...]] = []
        self.steps = 0
        self.failure: BaseException | None = None
        self.failed_task: Task | None = None
        self.thread_id = get_ident()
        self.ending = False
        self.log = log
        self._pick = strategy.pick
        self._draw = strategy.draw
        self._carriers = carriers
        self._limits = limits
        self.max_steps = limits.max_steps
        self._interrupted = False
        self._keep_enabled = keep_enabled
        self._driver: greenlet.greenlet = greenlet.getcurrent()
        self._deadlines: list[tuple[int, int, Task, int]] = []
        self._order = itertools.count()
        self._ordinals: dict[str, int] = {}
        self._until: Task | None = None
        self._frozen = False
        self.usual_excepthook: Any = None
        self.entering: Callable[[Task | None], None] | None = None
        self.at_end: list[Callable[[], None]] = []
        self.kept: dict[int, Any] = {}

    # Tasks

    def spawn(self, body: Callable[[], Any], name: str, daemon: bool) -> Task:
        """Make a task that can run from now on."""
        task = Task(len(self.tasks) + 1, name, body, daemon)
        self.tasks.append(task)
        if not self.ending:
            self.ready.append(task)
        if self.log is not None:
            self.log("task.start", {"task": name, "number": task.number, "daemon": daemon})
        return task

    def spawn_caller(self, body: Callable[[], Any]) -> Task:
        """Make the task that stands for the calling thread: it goes by its name, and sees its context variables."""
        task = self.spawn(body, "MainThread", daemon=False)
        task.is_caller = True
        task.context = copy_context()
        return task

    def run_task(self, task: Task) -> None:
        """Run a task's body, in the task's own context; called by its carrier."""
        try:
            task.body()
        except TaskKilled:
            pass
        except BaseException as error:  # noqa: BLE001 - whatever it is, it ended the task and is the program's failure
            task.error = error
            if not self.ending:
                self._fail(error, task)

    def after(self, task: Task) -> Task | None:
        """Enter a task's end; return who runs next, None for the driver."""
        task.state = DONE
        if self.log is not None and not self.ending:
            self.log("task.end", {"task": task.name, "number": task.number})
        if self.ending or self.failure is not None:
            return None
        for joiner in task.joiners:
            self.wake(joiner)
        task.joiners.clear()
        task.op, task.obj = "end", None
        return None if task is self._until else self._next(task)

    def leave_for(self, following: Task | None) -> Any:
        """Go from an ended task to another one, or to the driver; return what the carrier is given next."""
        if following is None:
            self.current = None
            return self._driver.switch()
        if self.log is not None:
            self.log("task.switch", {"task": following.name})
        self.current = following
        return self._enter(following)

    def _enter(self, task: Task) -> Any:
        if self.entering is not None:
            self.entering(task)
        carrier = task.greenlet
        if carrier is not None:
            return carrier.switch()
        carrier = task.greenlet = self._carriers.take()
        return carrier.switch(self, task)

    def run(self, task: Task) -> None:
        """Run tasks, from the driver, until ``task`` has ended or the execution has failed."""
        self._until = task
        following = self._next(None)
        if following is not None:
            self.leave_for(following)

    def settle(self) -> None:
        """Let every task that can run go on, from the driver, until all wait: the clock does not move."""
        self._until = None
        self._frozen = True
        while self.ready and self.failure is None:
            self.leave_for(self._next(None))
        self._frozen = False

    def ordinal(self, kind: str) -> int:
        """Count the objects of a kind, from 1, in the order in which they were made."""
        count = self._ordinals[kind] = self._ordinals.get(kind, 0) + 1
        return count

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
        if not ready:
            return
        me = self.current
        assert me is not None  # noqa: S101 - the driver has no scheduling points
        me.op = op
        me.obj = obj
        try:
            choice = self._pick(me, ready)
            if not 0 <= choice <= len(ready):
                _refuse_choice(choice, len(ready) + 1)
        except Exception as error:  # noqa: BLE001 - not the program's to catch
            self.stop(_of_strategy(error))
        self.tape.append((choice, len(ready) + 1, me, op, obj))
        if self._keep_enabled:
            self.enabled.append((me, *ready))
        if choice:
            following = ready.pop(choice - 1)
            ready.append(me)
            self._switch(me, following)

    def give_way(self, op: str) -> None:
        """Let others run first: the current task goes to the end of the line."""
        self.tick()
        me = self.current
        assert me is not None  # noqa: S101 - called by tasks only
        if self.ready:
            me.op, me.obj = op, None
            self.ready.append(me)
            following = self._next(me)
            if following is not me:
                self._switch(me, following)

    def tick(self) -> None:
        """Count a step that is no choice, such as a clock reading, so that a loop of such steps comes to an end."""
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
            heapq.heappush(self._deadlines, (deadline, next(self._order), me, me.wait))
        following = self._next(me)
        if following is not me:
            self._switch(me, following)
        me.waits_for = None
        return me.woken

    def wake(self, task: Task) -> None:
        """Let a blocked task go on; without effect on one that is not blocked."""
        if task.state is BLOCKED and not self.ending:
            task.state = READY
            task.woken = True
            self.ready.append(task)

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

    def draw(self, label: str, bound: int) -> int:
        """Choose a number below ``bound`` for something else than who runs next; 0 is the plain choice."""
        if bound <= 1:
            return 0
        me = self.current
        assert me is not None  # noqa: S101 - called by tasks only
        try:
            value = self._draw(label, bound)
            if not 0 <= value < bound:
                _refuse_choice(value, bound)
        except Exception as error:  # noqa: BLE001 - not the program's to catch
            self.stop(_of_strategy(error))
        self.tape.append((value, bound, me, label, None))
        if self._keep_enabled:
            self.enabled.append(())
        return value

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
            return ready.pop()
        try:
            choice = self._pick(None, ready)
            if not 0 <= choice < len(ready):
                _refuse_choice(choice, len(ready))
        except Exception as error:  # noqa: BLE001 - not the program's to catch
            self._fail(_of_strategy(error), me)
            return None
        self.tape.append((choice, len(ready), me or ready[0], me.op if me else "begin", me.obj if me else None))
        if self._keep_enabled:
            self.enabled.append(tuple(ready))
        return ready.pop(choice)

    def _switch(self, me: Task, following: Task | None) -> None:
        if following is None:
            self.current = None
            self._driver.switch()
        else:
            if self.log is not None:
                self.log("task.switch", {"task": following.name, "from": me.name, "point": describe(me)})
            self.current = following
            self._enter(following)

    # Time

    def _advance(self) -> bool:
        """Move the clock to the next deadline, and let every task that waits for that very instant go on."""
        deadlines = self._deadlines
        while deadlines:
            at, _, task, wait = deadlines[0]
            if task.wait != wait or task.state is not BLOCKED:
                heapq.heappop(deadlines)
                continue
            if at > self._limits.max_ns:
                return False
            self.now = max(self.now, at)
            while deadlines and deadlines[0][0] <= self.now:
                _, _, due, wait = heapq.heappop(deadlines)
                if due.wait == wait and due.state is BLOCKED:
                    due.state = READY
                    self.ready.append(due)
            return True
        return False

    def sleep(self, nanoseconds: int) -> None:
        """Suspend the current task for a time; 0 is a plain yield."""
        if nanoseconds <= 0:
            self.give_way("yield")
        else:
            self.block("sleep", None, self.now + nanoseconds)

    # Ends

    def _fail(self, error: BaseException | None, task: Task | None) -> None:
        """Note why the execution ends; an error of None means that nothing can run any more."""
        if self.failure is not None:
            return
        if error is None:
            if self._deadlines and self._deadlines[0][0] > self._limits.max_ns:
                error = LimitReachedError(f"more than {self._limits.max_ns / 1e9:g} virtual seconds went by")
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
        self.stop(
            LimitReachedError(
                f"the program took more than {self._limits.max_steps} {what}; "
                "it may never end, or it needs a higher max_steps"
            )
        )

    def end(self) -> None:
        """Unwind every task that is left, from the driver: their ``finally`` blocks run, in the order of the tasks."""
        self.ending = True
        self.ready.clear()
        self.max_steps = self.steps + 1_000_000
        for task in self.tasks:
            if task.greenlet is not None and task.state is not DONE:
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
        resume(*args)
        self.current = None
        if task.state is not DONE and self.failure is None:
            self.failure = TaskStuckError(f"{task!r} caught every attempt to end it")

    def _refuse_to_die(self, task: Task | None) -> NoReturn:
        """A task that is being unwound wants to wait: kill it again, and leave it for good if it never learns."""
        if task is not None:
            task.wait += 1
            if task.wait > PATIENCE:
                while True:
                    self.current = None
                    self._driver.switch()
        raise TaskKilled


STUCK = LimitReachedError("no task can run")
"""Stands for a deadlock until the judge has worded it."""


def _refuse_choice(value: object, bound: int) -> NoReturn:
    raise IndexError(f"it chose {value!r}, which is not a whole number below {bound}")


def _of_strategy(error: Exception) -> SimulationError:
    """Make sure that an error in choosing is not taken for one of the program's."""
    if isinstance(error, SimulationError):
        return error
    wrapped = SimulationError(f"the strategy failed: {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped


def here() -> Kernel | None:
    """The kernel that the calling code is simulated by; None in real threads, and in the simulator's own code."""
    kernel = Kernel.active
    if kernel is None or kernel.current is None or kernel.thread_id != get_ident():
        return None
    return kernel


def describe(task: Task) -> str:
    """What a task is about to do, in words without addresses: ``acquire Lock-1``."""
    if task.obj is None:
        return task.op
    return f"{task.op} {label_of(task.obj)}"


def label_of(obj: Any) -> str:
    """The name by which labels call an object."""
    if isinstance(obj, Task):
        return obj.name
    label = getattr(obj, "label", None)
    return label if isinstance(label, str) else type(obj).__name__
