"""A deterministic simulator for threaded Python: virtual time, seeded interleavings, replay.

Names load when they are first used: the pytest plugin is imported at every start of every user's pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from routilux_sim.campaigns.files import CampaignFileError as CampaignFileError
    from routilux_sim.execution import Execution as Execution
    from routilux_sim.executor import SimulatedExecutor as SimulatedExecutor
    from routilux_sim.exploration import Failure as Failure
    from routilux_sim.exploration import Report as Report
    from routilux_sim.exploration import explore as explore
    from routilux_sim.faults import FaultPlan as FaultPlan
    from routilux_sim.faults import Latencies as Latencies
    from routilux_sim.judge.races import Race as Race
    from routilux_sim.kernel.errors import DataRaceError as DataRaceError
    from routilux_sim.kernel.errors import DeadlockError as DeadlockError
    from routilux_sim.kernel.errors import DivergenceError as DivergenceError
    from routilux_sim.kernel.errors import EscapeError as EscapeError
    from routilux_sim.kernel.errors import HangError as HangError
    from routilux_sim.kernel.errors import InconclusiveError as InconclusiveError
    from routilux_sim.kernel.errors import InvariantError as InvariantError
    from routilux_sim.kernel.errors import LimitReachedError as LimitReachedError
    from routilux_sim.kernel.errors import LivelockError as LivelockError
    from routilux_sim.kernel.errors import NondeterminismError as NondeterminismError
    from routilux_sim.kernel.errors import SimulationError as SimulationError
    from routilux_sim.linearizability import History as History
    from routilux_sim.linearizability import NotLinearizableError as NotLinearizableError
    from routilux_sim.linearizability import WouldBlock as WouldBlock
    from routilux_sim.linearizability import check_linearizable as check_linearizable
    from routilux_sim.linearizability import explore_linearizable as explore_linearizable
    from routilux_sim.replay_files import ReplayFileError as ReplayFileError
    from routilux_sim.replay_files import load_schedule as load_schedule
    from routilux_sim.replay_files import save_schedule as save_schedule
    from routilux_sim.replays import replay as replay
    from routilux_sim.schedule import Schedule as Schedule
    from routilux_sim.scheduler import SimScheduler as SimScheduler
    from routilux_sim.simulation import simulate as simulate
    from routilux_sim.strategy import Strategy as Strategy

_HOMES = {
    "CampaignFileError": "routilux_sim.campaigns.files",
    "DataRaceError": "routilux_sim.kernel.errors",
    "DeadlockError": "routilux_sim.kernel.errors",
    "DivergenceError": "routilux_sim.kernel.errors",
    "EscapeError": "routilux_sim.kernel.errors",
    "Execution": "routilux_sim.execution",
    "Failure": "routilux_sim.exploration",
    "FaultPlan": "routilux_sim.faults",
    "HangError": "routilux_sim.kernel.errors",
    "History": "routilux_sim.linearizability",
    "InconclusiveError": "routilux_sim.kernel.errors",
    "Latencies": "routilux_sim.faults",
    "InvariantError": "routilux_sim.kernel.errors",
    "LimitReachedError": "routilux_sim.kernel.errors",
    "LivelockError": "routilux_sim.kernel.errors",
    "NondeterminismError": "routilux_sim.kernel.errors",
    "NotLinearizableError": "routilux_sim.linearizability",
    "Race": "routilux_sim.judge.races",
    "ReplayFileError": "routilux_sim.replay_files",
    "Report": "routilux_sim.exploration",
    "Schedule": "routilux_sim.schedule",
    "SimScheduler": "routilux_sim.scheduler",
    "SimulatedExecutor": "routilux_sim.executor",
    "SimulationError": "routilux_sim.kernel.errors",
    "Strategy": "routilux_sim.strategy",
    "WouldBlock": "routilux_sim.linearizability",
    "check_linearizable": "routilux_sim.linearizability",
    "explore": "routilux_sim.exploration",
    "explore_linearizable": "routilux_sim.linearizability",
    "load_schedule": "routilux_sim.replay_files",
    "replay": "routilux_sim.replays",
    "save_schedule": "routilux_sim.replay_files",
    "simulate": "routilux_sim.simulation",
}

__all__ = [  # noqa: PLE0604 - the keys are names
    *_HOMES,
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'routilux_sim' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only when something is used

    from routilux_sim.unfrozen import real_time  # noqa: PLC0415 - likewise

    with real_time():
        value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return __all__
