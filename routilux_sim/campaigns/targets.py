"""What goes to another process so that it can run the schedules of a campaign."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from routilux.loading import load_callable
from routilux_sim.execution import Campaign
from routilux_sim.faults.arming import arm
from routilux_sim.judge.invariants import Invariant
from routilux_sim.judge.races import RacePolicy
from routilux_sim.kernel.core import Limits
from routilux_sim.points.code_under_test import Instrument
from routilux_sim.replay_files import path_of
from routilux_sim.world import ready

__all__ = ["Target", "packed", "unpacked"]


class Target(NamedTuple):
    """A program and how it is run.

    Attributes:
        path: Where the program is found; None: it is pickled.
        program: It, if it is pickled.
        folder: Where imports are looked for first, besides where they are anyway.
        limits, epoch_ns, instrument, races, invariants, log: As for `Campaign`.
        faults: As in `Schedule`.
    """

    path: str | None
    program: Callable[[], Any] | None
    folder: str
    limits: Limits
    epoch_ns: int
    instrument: Instrument
    races: RacePolicy | None
    faults: dict[str, Any] | None
    invariants: tuple[Invariant, ...]
    log: bool

    def campaign(self) -> Campaign:
        """What runs it."""
        program = self.program
        if program is None and self.path is not None:
            # What the program makes and captures when it is imported is ready for a simulation then.
            ready.prepare()
            program = load_callable(self.path, [Path(self.folder)])
        assert program is not None  # noqa: S101 - one of the two is there
        return Campaign(
            program,
            self.limits,
            self.epoch_ns,
            self.instrument,
            self.races,
            None if self.faults is None else arm(self.faults["plan"], self.faults["swarm"]),
            invariants=self.invariants,
            log=self.log,
        )


def packed(target: Target) -> bytes:
    """The bytes of a target whose program is at hand: by its import path if it has one, else pickled.

    Raises:
        ValueError: It cannot travel.
    """
    path = target.path or path_of(target.program)
    if path is not None and (target.path is not None or _leads_to(path, target.program)):
        target = target._replace(path=path, program=None)
    try:
        return pickle.dumps(target)
    except Exception as error:
        what = "its invariants" if target.program is None else f"{target.program!r}"
        raise ValueError(
            f"the exploration cannot go to an executor: {what} cannot be pickled ({type(error).__name__}: {error}); "
            "give functions of a module, or the program's import path, 'package.module:function'"
        ) from error


def unpacked(data: bytes) -> Target:
    """The target of those bytes."""
    target: Target = pickle.loads(data)  # noqa: S301 - from who runs the campaign
    return target


def _leads_to(path: str, program: Any) -> bool:
    try:
        return load_callable(path) is program
    except ValueError:
        return False
