"""Small flows for the tests of the engine."""

from __future__ import annotations

import time

from routilux import Flow, Routine


def nap(seconds):
    time.sleep(seconds)


def step(handler, *events, slot="trigger"):
    """A routine of one slot that calls ``handler``, and of some events."""
    routine = Routine()
    routine.define_slot(slot, handler=handler)
    for event in events:
        routine.define_event(event)
    return routine


def one(handler, **options):
    """A flow of one entry routine, ``entry``."""
    flow = Flow(**options)
    flow.add_routine(step(handler), "entry")
    return flow


def fan(handler, count=3, **options):
    """A concurrent flow whose ``entry`` emits ``n`` from 0 to ``count`` to ``sink``, which calls ``handler``."""
    flow = Flow(execution_strategy="concurrent", **options)

    def go(**data):
        for n in range(count):
            source.emit("out", n=n, **data)

    source = step(go, "out")
    flow.add_routine(source, "entry")
    flow.add_routine(step(handler, slot="in"), "sink")
    flow.connect("entry", "out", "sink", "in")
    return flow
