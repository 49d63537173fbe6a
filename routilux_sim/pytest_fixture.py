"""The fixture ``sim``: what a simulated test can ask of the simulation that it runs in, and say about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from routilux_sim.faults import FaultPlan
    from routilux_sim.kernel.core import Kernel

__all__ = ["Sim", "sim"]

_Function = TypeVar("_Function", bound=Callable[[], object])


class Sim:
    """The simulation that a test runs in.

    Attributes:
        invariants: What was said with `always` before the test began: it holds in each of its executions.
        faults: What may go wrong in each of them; None: what the marker says.
        swarm: Whether each execution draws which of the faults exist.
    """

    def __init__(self) -> None:
        self.invariants: list[Callable[[], object]] = []
        self.faults: FaultPlan | None = None
        self.swarm = False

    @property
    def now(self) -> float:
        """Virtual seconds since the test began; to look is no step."""
        return _kernel("now").now / 1e9

    def advance(self, seconds: float) -> None:
        """Let so many virtual seconds go by, in which other tasks run: ``time.sleep``, by a name that says it.

        Raises:
            ValueError: They are below 0.
        """
        if not seconds >= 0:
            raise ValueError(f"time cannot go back: seconds must be 0 or more, not {seconds!r}")
        _kernel("advance").sleep(round(seconds * 1e9))

    @property
    def log(self) -> list[dict[str, Any]]:
        """The execution log so far, a dictionary a line."""
        from routilux_sim.execution import log_of  # noqa: PLC0415 - nothing of the simulator before it is used

        return log_of(_kernel("log"))

    def fault(self, plan: FaultPlan | Mapping[str, Any], *, swarm: bool = False) -> None:
        """Let go wrong what a plan says: in a fixture, in all schedules of the test; in the test, from now on.

        In the test it comes on top of what may go wrong already, and calls are counted from there: ``nth=1`` is the
        next one.

        Args:
            plan: As for ``explore(faults=)``; in a fixture it goes before what the marker says.
            swarm: Whether each schedule draws which of the faults exist.

        Raises:
            RuntimeError: A fixture has given a plan before; or this is said in an invariant.
            ValueError: It is no plan; or it has latencies, and the test has begun.
        """
        from routilux_sim.faults import FaultPlan  # noqa: PLC0415 - nothing of the simulator before it is used

        __tracebackhide__ = True
        kernel = _running()
        if kernel is not None:
            try:
                _join(kernel, plan, swarm)
            except ValueError as error:
                raise ValueError(f"sim.fault: {error}") from None
            return
        if self.faults is not None:
            raise RuntimeError(
                "sim.fault has been called before in a fixture; put everything that may go wrong from the beginning in "
                "one plan"
            )
        self.faults = FaultPlan.from_dict(plan)
        self.swarm = swarm

    def always(self, invariant: _Function) -> _Function:
        """Have ``invariant`` checked at each step from now on; said before the test begins, in all of its schedules.

        Args:
            invariant: A function without arguments, that returns something false (not None) or raises AssertionError
                where it does not hold. It must not wait.

        Returns:
            ``invariant``: this is a decorator, too.

        Raises:
            InvariantError: Not here: it ends the schedule in which it does not hold.
        """
        kernel = _running()
        if kernel is None:
            self.invariants.append(invariant)
        else:
            from routilux_sim.judge.invariants import always  # noqa: PLC0415 - nothing of it before it is used

            always(kernel, [invariant])
        return invariant

    def eventually(self, condition: Callable[[], object], *, within: float) -> None:
        """Fail if ``condition`` has not been true once before so many virtual seconds have gone by.

        The test goes on meanwhile; its end is the last chance.

        Args:
            condition: As for `always`.
            within: Virtual seconds from now on.

        Raises:
            InvariantError: Not here: it ends the schedule in which it has not come true.
            ValueError: ``within`` is below 0.
        """
        from routilux_sim.judge.invariants import eventually  # noqa: PLC0415 - nothing of it before it is used

        if not within >= 0:
            raise ValueError(f"within must be 0 or more virtual seconds, not {within!r}")
        eventually(_kernel("eventually"), condition, within)

    def speedup(self, one: Callable[[], object], other: Callable[[], object]) -> float:
        """How many times as long as ``other`` does ``one`` take, in virtual time? Both run here, ``one`` first.

        Each is to wait for what it starts.

        Raises:
            ValueError: ``other`` takes no time.
        """
        took = [self._took(function) for function in (one, other)]
        if not took[1]:
            raise ValueError(f"{other!r} takes no virtual time, so nothing is so many times as fast")
        return took[0] / took[1]

    def _took(self, function: Callable[[], object]) -> int:
        began = _kernel("speedup").now
        function()
        return _kernel("speedup").now - began

    def __repr__(self) -> str:
        return "<fixture sim>"


def _join(kernel: Kernel, plan: FaultPlan | Mapping[str, Any], swarm: bool) -> None:
    """Let more go wrong in an execution that is under way."""
    __tracebackhide__ = True
    from routilux_sim.faults.arming import arm  # noqa: PLC0415 - nothing of the simulator before it is used

    if kernel.join_faults is None:
        raise RuntimeError("sim.fault is not for an invariant, which must change nothing")
    armed = arm(plan, swarm)
    if armed is not None:
        kernel.join_faults(armed)


def _running() -> Kernel | None:
    from routilux_sim.kernel.active import here  # noqa: PLC0415 - nothing of the simulator before it is used

    return here()


def _kernel(what: str) -> Kernel:
    kernel = _running()
    if kernel is None:
        raise RuntimeError(f"sim.{what} is for the test itself: no simulation runs here, in a fixture or a real thread")
    return kernel


@pytest.fixture
def sim(request: pytest.FixtureRequest) -> Sim:
    """What the simulation that the test runs in can tell, and is told: for tests that are marked ``sim``."""
    if request.node.get_closest_marker("sim") is None:
        raise pytest.UsageError(f"{request.node.nodeid}: the fixture 'sim' is for tests marked with @pytest.mark.sim")
    return Sim()
