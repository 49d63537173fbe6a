"""Routines that do what cannot be done from afar, or only in its own way."""

from __future__ import annotations

import threading
from collections import deque

from routilux import Routine


class Asking(Routine):
    """Asks for something that only the driver has."""

    stateless = True

    def __init__(self) -> None:
        super().__init__()
        self.define_slot("trigger", handler=self.ask)

    def ask(self, what: str) -> None:
        found = self.get_execution_context()
        if what == "shared data":
            found.job_state.get_shared_data("key")
        elif what == "status":
            found.job_state.status  # noqa: B018 - that is what is tried
        elif what == "flow":
            found.flow.execute("other")
        elif what == "ids":
            self.send_output("ids", flow=found.flow.flow_id, job=found.job_state.job_id, routine=found.routine_id)


class Choosy(Routine):
    """Needs two things."""

    stateless = True

    def __init__(self) -> None:
        super().__init__()
        self.define_slot("trigger", handler=self.take)

    def take(self, one: int, two: int) -> None:
        """Take both."""


class Forgetful(Routine):
    """Says that it has no state, and changes it."""

    stateless = True

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.define_slot("trigger", handler=self.work)

    def work(self, how: str) -> None:
        if how == "attribute":
            self.count += 1
        elif how == "new attribute":
            self.more = 1
        elif how == "configuration":
            self.set_config(more=1)


class Emitting(Routine):
    """Emits what cannot be pickled, keeps it, or raises it."""

    def __init__(self) -> None:
        super().__init__()
        self.define_slot("trigger", handler=self.work)
        self.define_event("out", ["value"])
        self.kept = None

    def work(self, how: str) -> None:
        value = (each for each in ())
        if how == "emit":
            self.emit("out", value=value)
        elif how == "keep":
            self.kept = value
        elif how == "raise":
            raise OddError(value)
        elif how == "unknown event":
            self.emit("nowhere")


class OddError(Exception):
    """Holds what cannot be pickled."""


class Furnished(Routine):
    """Has attributes of many kinds: its own slots, events, methods and locks among them."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = self.define_slot("trigger", handler=self.work)
        self.out = self.define_event("out", ["value"])
        self.nested = {"slot": self.entry, "me": self, "method": self.work}
        self.lock = threading.Lock()
        self.rlock = threading.RLock()
        self.queue = deque([1])
        self.temporary = "here"

    def work(self, turn: int) -> None:
        assert self.entry is self.get_slot("trigger")
        assert self.nested["slot"] is self.entry
        assert self.nested["me"] is self
        assert self.nested["method"] == self.work
        with self.lock, self.rlock:
            self.queue.append(turn)
        if hasattr(self, "temporary"):
            del self.temporary
        self.fresh = turn
        self.set_config(turns=turn)


class Pickling(Routine):
    """Says itself what of it travels."""

    def __init__(self) -> None:
        super().__init__()
        self.define_slot("trigger", handler=self.work)
        self.total = 0
        self.connection = threading.Event()  # a stand-in for what holds on to a process

    def __getstate__(self) -> dict[str, int]:
        return {"total": self.total}

    def __setstate__(self, state: dict[str, int]) -> None:
        self.total = state["total"]
        if not hasattr(self, "connection"):
            self.connection = threading.Event()

    def work(self, n: int) -> None:
        assert not self.connection.is_set()
        self.total += n


def add_one(data: dict[str, int]) -> None:
    """A handler that is a function of a module."""
    assert data["n"] == 1
