"""Why two executions of one schedule parted: told by experiment where that can be, and else said to be a guess."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from routilux_sim.determinism.experiments import Result, experiment
from routilux_sim.determinism.moments import Difference
from routilux_sim.determinism.suspects import Call
from routilux_sim.execution import Campaign
from routilux_sim.schedule import Schedule

__all__ = ["CAUSES", "Diagnosis", "diagnose"]

CAUSES = {
    "addresses": "the order of addresses: that of a set of objects without a __hash__ of their own, or of id()",
    "string hashes": "the order of a set of strings, which PYTHONHASHSEED decides",
    "clock": "a real clock",
    "randomness": "randomness that the seed does not decide",
    "process": "the number of the process or thread",
    "files": "files or the network",
    "outside": "something outside the process: a clock, the operating system's randomness, files, the network",
    "garbage collection": "when garbage is collected, and finalizers and weak references with it",
    "kept state": "state that is kept from one run to the next: a module's variable, a cache, an object made outside",
    "unknown": "something that is not simulated",
}
"""What may be the cause, and how it is called in messages."""

REMEDIES = {
    "addresses": "iterate over something that has an order (a list, a dict), or sort it by what the program knows",
    "string hashes": "sort it, or iterate over a list or a dict",
    "clock": "read it through the time or datetime module, inside the program",
    "randomness": "draw from the random module, or from a generator that the program seeds",
    "process": "number threads and processes in the program",
    "files": "keep real input and output out of the program",
    "outside": "keep it out of the program",
    "garbage collection": "do not let the program depend on gc, finalizers or what weak references still hold",
    "kept state": "let the program make all its state itself, or put it back at its beginning",
    "unknown": "keep it out of the program",
}

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")


class Diagnosis(NamedTuple):
    """The likely cause.

    Attributes:
        cause: One of `CAUSES`.
        certain: Whether an experiment showed it; else it is a guess.
        evidence: What was seen, in words.
    """

    cause: str
    certain: bool
    evidence: Sequence[str]


def diagnose(campaign: Campaign, schedule: Schedule, difference: Difference, sets: Sequence[str]) -> Diagnosis:
    """Find out why the executions of a schedule part.

    Args:
        campaign: Runs them.
        schedule: The decisions.
        difference: Where they part.
        sets: Sets that were being iterated there, in words.
    """
    evidence = [f"iterated at that moment: {words}" for words in sets]
    if _ADDRESS.search(difference.first) and _ADDRESS.sub("", difference.first) == _ADDRESS.sub("", difference.second):
        return Diagnosis("addresses", True, ["a name holds an address", *evidence])
    seen = experiment(campaign, schedule)
    plain = seen.get("plain")
    if plain is None:
        return _guess(sets, evidence)
    calls = _relevant(seen.get("watched"), plain)
    # The first of two runs in a process is plain, too.
    alike = [result.runs[0] for name in ("plain", "later", "twice") if (result := seen.get(name)) is not None]
    if any(run != alike[0] for run in alike):
        return _unlike(alike, calls, evidence)
    if _differ(plain, seen.get("elsewhere")) or _differ(plain, seen.get("elsewhere again")):
        evidence.append("with objects at other addresses the same schedule runs differently")
        return Diagnosis("addresses", True, evidence)
    if _differ(plain, seen.get("collected")):
        evidence.append("after a collection the same schedule runs differently")
        return Diagnosis("garbage collection", True, evidence)
    return _inside(seen, calls, evidence)


def _guess(sets: Sequence[str], evidence: list[str]) -> Diagnosis:
    if any("addresses" in words for words in sets):
        return Diagnosis("addresses", False, evidence)
    return Diagnosis("unknown", False, evidence)


def _differ(plain: Result, other: Result | None) -> bool:
    return other is not None and plain.runs[0] != other.runs[0]


def _relevant(watched: Result | None, plain: Result) -> list[Call]:
    """The real calls, those first that came last before the watched run parted from the plain one."""
    if watched is None:
        return []
    parted = next(
        (index for index, (old, new) in enumerate(zip(plain.runs[0], watched.runs[0], strict=False)) if old != new),
        len(plain.runs[0]),
    )
    return sorted((call for call in watched.calls if call.step <= parted), key=lambda call: -call.step)


def _unlike(alike: list[list[int]], calls: list[Call], evidence: list[str]) -> Diagnosis:
    """Processes that began alike did not do the same."""
    if not calls and any(alike.count(run) > 1 for run in alike):
        # Nothing real was called, and most agree: as far as they do not, memory was not quite the same.
        return Diagnosis("addresses", False, [*evidence, "equal processes ran the same schedule differently"])
    evidence = [*evidence, "two processes that began with the same memory ran the same schedule differently"]
    if not calls:
        return Diagnosis("outside", False, evidence)
    causes = {call.cause for call in calls}
    return Diagnosis(calls[0].cause, len(causes) == 1, [*evidence, *_named(calls)])


def _named(calls: list[Call]) -> list[str]:
    return list(dict.fromkeys(f"{call.name} was really called at {call.place}" for call in calls))[:3]


def _inside(seen: dict[str, Result], calls: list[Call], evidence: list[str]) -> Diagnosis:
    """Nothing outside, no addresses, no garbage: what is left is what an earlier run has left behind."""
    watched, twice = seen.get("watched"), seen.get("twice")
    changed = [f"a run changes {words}" for words in watched.changed[:3]] if watched is not None else []
    if twice is not None and twice.runs[0] != twice.runs[1]:
        evidence += ["of two runs in one process the second differs from the first", *changed]
        return Diagnosis("kept state", True, evidence)
    if calls:
        # A clock that is read in whole seconds, say, differs once in a while only.
        return Diagnosis(calls[0].cause, False, [*evidence, *_named(calls)])
    evidence += ["later runs are alike: it seems that only the first did something once", *changed]
    return Diagnosis("kept state", False, evidence)
