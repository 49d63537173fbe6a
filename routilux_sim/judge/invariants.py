"""Invariants: what must hold whenever another task could look, and what must come true in time.

They are checked where a task has done something and is about to do the next thing, before anyone else may run: so the
one that broke an invariant is the one that is named. Code between two scheduling points is one step to all others, and
to invariants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple, NoReturn

from routilux_sim.judge.stacks import caller
from routilux_sim.judge.watch import Watched
from routilux_sim.kernel.core import Kernel, label_of
from routilux_sim.kernel.errors import InvariantError, SimulationError
from routilux_sim.kernel.task import Task
from routilux_sim.points.hook import paused

__all__ = ["Invariant", "always", "check_invariants", "eventually"]

Invariant = Callable[[], object]
"""Without arguments. It holds if it returns something true, or None as a function does that only asserts."""


def check_invariants(invariants: Any) -> tuple[Invariant, ...]:
    """Return what was given as ``invariants=``, as a tuple.

    Raises:
        TypeError: It is no sequence of callables.
    """
    if not isinstance(invariants, Sequence) or not all(map(callable, invariants)):
        raise TypeError(f"invariants must be a list of functions without arguments, not {invariants!r}")
    return tuple(invariants)


def always(kernel: Kernel, invariants: Iterable[Invariant]) -> None:
    """From now on, end the execution with an `InvariantError` where one of these does not hold."""
    _checked(kernel).invariants += [(name_of(invariant), invariant) for invariant in invariants]


def eventually(kernel: Kernel, condition: Invariant, within: float) -> None:
    """End the execution with an `InvariantError` if ``condition`` has not come true in so many virtual seconds.

    It must have been true once; the end of the program is the last chance.
    """
    due = kernel.now + round(within * 1e9)
    _checked(kernel).awaited.append(_Awaited(name_of(condition), condition, due, within))


def name_of(function: Any) -> str:
    """What an invariant is called: one without a name, by its place."""
    name = str(getattr(function, "__qualname__", None) or type(function).__qualname__).rpartition("<locals>.")[2]
    code = getattr(function, "__code__", None)
    if name != "<lambda>" or code is None:
        return name
    return f"lambda at {PurePath(code.co_filename).name}:{code.co_firstlineno}"


class _Awaited(NamedTuple):
    """What must come true.

    Attributes:
        name: Of the condition.
        condition: What is asked.
        due: The last virtual instant, in nanoseconds.
        within: The virtual seconds that it was given.
    """

    name: str
    condition: Invariant
    due: int
    within: float


class _Checked(Watched):
    """A kernel that checks invariants. A plain one pays nothing for it."""

    invariants: list[tuple[str, Invariant]]
    awaited: list[_Awaited]
    done: tuple[str, Any]

    def point(self, op: str, obj: Any = None) -> None:
        """Say what the current task is about to do; check what it has done."""
        self._check(op, obj)
        Watched.point(self, op, obj)
        self.done = op, obj

    def block(self, op: str, obj: Any, deadline: int | None = None) -> bool:
        """Suspend the current task; check what it has done."""
        self._check(op, obj)
        woken = Watched.block(self, op, obj, deadline)
        self.done = op, obj
        return woken

    def give_way(self, op: str) -> None:
        """Let others run first; check what the current task has done."""
        self._check(op, None)
        Watched.give_way(self, op)
        self.done = op, None

    def after(self, task: Task) -> Task | None:
        """Enter a task's end; check what it has done, and at the program's end what has never come true."""
        if not self.ending and self.failure is None:
            error = self._broken("end", None) or (self._overdue() if task is self._until else None)
            if error is not None:
                self._fail(error, task)
        return Watched.after(self, task)

    def _check(self, op: str, obj: Any) -> None:
        if self.ending or self.current is None:
            return
        error = self._broken(op, obj)
        if error is not None:
            self.stop(error)

    def _broken(self, op: str, obj: Any) -> BaseException | None:
        """What does not hold, or else went wrong in looking; None if all is well."""
        kept = self.trace, self.edges, self.at_point, self.faults, self.join_faults
        self.trace = self.edges = self.at_point = self.faults = self.join_faults = None
        # In whose place faults may have put a function of theirs.
        point = vars(self).pop("point", None)
        self.__class__ = _Still
        try:
            return self._first_broken(op, obj)
        except SimulationError as error:
            return error
        except Exception as error:  # noqa: BLE001 - an invariant's own fault, and a failure like the program's
            return error
        finally:
            self.__class__ = _Checked
            self.trace, self.edges, self.at_point, self.faults, self.join_faults = kept
            if point is not None:
                vars(self)["point"] = point

    def _first_broken(self, op: str, obj: Any) -> InvariantError | None:
        for name, invariant in self.invariants:
            holds, why = _ask(invariant)
            if not holds:
                return self._error(name, f"invariant {name!r} does not hold", op, obj, why)
        for awaited in list(self.awaited):
            if self.now > awaited.due:
                text = f"{awaited.name!r} did not come true within {awaited.within:g} virtual seconds"
                return self._error(awaited.name, text, op, obj, None)
            if _ask(awaited.condition)[0]:
                self.awaited.remove(awaited)
        return None

    def _overdue(self) -> InvariantError | None:
        if not self.awaited:
            return None
        name = self.awaited[0].name
        return self._error(name, f"{name!r} did not come true before the program ended", "end", None, None)

    def _error(self, name: str, text: str, op: str, obj: Any, why: AssertionError | None) -> InvariantError:
        task = self.current
        who = "" if task is None else task.name
        place = caller(0)
        where = "" if place is None else f" at {place}"
        said = f": {why}" if why is not None and str(why) else ""
        error = InvariantError(
            f"{text} after step {self.steps}, in task {who!r} between '{_words(*self.done)}' and '{_words(op, obj)}'"
            f"{where}{said}",
            invariant=name,
            step=self.steps,
            task=who,
        )
        error.__cause__ = why
        return error


class _Still(_Checked):
    """The kernel while invariants look: nobody else runs, and asking is no step."""

    def point(self, op: str, obj: Any = None) -> None:
        """No scheduling point."""

    def give_way(self, op: str) -> None:
        """Let nobody run."""

    def tick(self) -> None:
        """Do not count a clock reading."""

    def access(self, op: str, obj: Any) -> None:
        """Note no access."""

    def block(self, op: str, obj: Any, deadline: int | None = None) -> NoReturn:  # noqa: ARG002 - they never wait
        """Refuse to wait.

        Raises:
            SimulationError: Always.
        """
        raise SimulationError(
            f"an invariant must not wait, but would in '{_words(op, obj)}'; let it read what it needs without locks, "
            "and leave alone what is locked"
        )

    def spawn(self, body: Callable[[], Any], name: str, daemon: bool) -> NoReturn:  # noqa: ARG002 - they never start
        """Refuse to start a task.

        Raises:
            SimulationError: Always.
        """
        raise SimulationError(f"an invariant must not start threads, but would start {name!r}")


def _checked(kernel: Kernel) -> _Checked:
    """Make a kernel one that checks, from now on."""
    if not isinstance(kernel, _Checked):
        kernel.__class__ = _Checked
        assert isinstance(kernel, _Checked)  # noqa: S101 - just said so
        kernel.invariants, kernel.awaited, kernel.done = [], [], ("begin", None)
    return kernel


def _ask(invariant: Invariant) -> tuple[bool, AssertionError | None]:
    """Whether it holds, and why not, if it says so. Its accesses to memory are nobody's."""
    try:
        answer = paused(invariant)()
    except AssertionError as error:
        return False, error
    return answer is None or bool(answer), None


def _words(op: str, obj: Any) -> str:
    return op if obj is None else f"{op} {label_of(obj)}"
