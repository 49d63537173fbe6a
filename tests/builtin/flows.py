"""Small flows for the tests of the built-in routines."""

from __future__ import annotations

import json

from routilux import Flow, Routine


class Sink(Routine):
    """Remembers what arrives, in the order of arrival; outside the flow's own state, as a test may."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.define_slot("input", handler=self.take)

    def take(self, data):
        self.seen.append(data)


class Source(Routine):
    """Emits one event for each item of ``events``."""

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.go)
        self.define_event("output")

    def go(self, events):
        for event in events:
            self.emit("output", **event)


def wire(routine, **options):
    """A flow of a source, ``routine`` as "it", and a sink for each of its events, by the event's name."""
    flow = Flow(**options)
    flow.add_routine(Source(), "source")
    flow.add_routine(routine, "it")
    flow.connect("source", "output", "it", "input")
    for event in routine.events:
        flow.add_routine(Sink(), f"to {event}")
        flow.connect("it", event, f"to {event}", "input")
    return flow


def run(routine, *events):
    """Send events through a routine; return what it emitted, by event, as lists of data."""
    return collect(wire(routine), *events)


def collect(flow, *events):
    """Send events through a wired flow; return what its sinks saw."""
    job = flow.execute("source", {"events": list(events)})
    if job.error is not None:
        raise job.error
    return seen(flow)


def seen(flow):
    """What the sinks of a wired flow saw, by event, without those that saw nothing."""
    sinks = {name.removeprefix("to "): sink for name, sink in flow.routines.items() if isinstance(sink, Sink)}
    return {name: list(sink.seen) for name, sink in sinks.items() if sink.seen}


def stored(flow):
    """The flow that comes of storing one as text and reading it again."""
    again = Flow()
    again.deserialize(json.loads(json.dumps(flow.serialize())))
    return again


def output(routine, **data):
    """The one event that a routine emits as ``output`` for one event."""
    emitted = run(routine, data)
    assert list(emitted) == ["output"]
    (only,) = emitted["output"]
    return only
