"""How the boundary's table is written down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

__all__ = ["Entry", "Group", "Status", "allowed", "escapes", "module", "seeded", "simulated"]

Status = Literal["simulated", "seeded", "allowed", "escapes"]


class Entry(NamedTuple):
    """What becomes of one entry point inside a simulation.

    Attributes:
        module: Where it is.
        name: Its public name; dots lead into classes.
        status: ``simulated``: it does what CPython's does, in virtual time. ``seeded``: it is random by the execution's
            seed. ``allowed``: the real thing runs. ``escapes``: it ends the execution as inconclusive.
        note: How it is simulated; why it is harmless; or what to do instead.
        on: For what is left as it is because it is built on something else that is taken over: what, as a dotted path.
        event: For what is caught by an audit event instead of under its name: which. Empty where there is none.
    """

    module: str
    name: str
    status: Status
    note: str
    on: str = ""
    event: str = ""


class Group(NamedTuple):
    """Names of one module that share everything else."""

    names: str
    status: Status
    note: str
    on: str
    event: str


def simulated(names: str, note: str = "in virtual time, on simulated threads", on: str = "") -> Group:
    """Names that are simulated."""
    return Group(names, "simulated", note, on, "")


def seeded(names: str, note: str = "random by the execution's seed", on: str = "") -> Group:
    """Names that draw from the execution's seed."""
    return Group(names, "seeded", note, on, "")


def allowed(names: str, why: str) -> Group:
    """Names that do the real thing."""
    return Group(names, "allowed", why, "", "")


def escapes(names: str, remedy: str, on: str = "", event: str = "") -> Group:
    """Names that end the execution."""
    return Group(names, "escapes", remedy, on, event)


def module(name: str, *groups: Group) -> Iterator[Entry]:
    """The entries of one module."""
    for group in groups:
        for each in group.names.split():
            yield Entry(name, each, group.status, group.note, group.on, group.event)
