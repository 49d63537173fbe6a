"""Flows whose activations have names, the same in every run, so that it can be told which of them have run.

An activation's name says who emitted it, in which attempt and as which of its events: ``0.1:2work.1:0leaf`` is the
first event, to ``leaf``, of the first attempt of what the entry's first attempt emitted as its third event.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import NamedTuple

from routilux import ErrorHandler, Flow, Routine
from routilux.engine import context

ROOT = "0"


class Spec(NamedTuple):
    """What a routine does: emit, take its time, and fail the first times."""

    emits: tuple[str, ...] = ()
    fails: int = 0
    errors: str = "retry"
    merge: object = "override"
    delay: float = 0.0
    limit: int | None = None


def gather(old, new):
    """Merge as ``append`` does, by a function."""
    return {"token": [*old.get("token", []), new["token"]]}


def own(token):
    """The name of an activation from the data that it carries: what a slot has gathered ends with its own."""
    return token[-1] if isinstance(token, list) else token


class Runs:
    """What has really run, in one process: attempts begun, and activations run to their end, by name."""

    def __init__(self):
        self.begun = []
        self.ended = []


class Names:
    """An instrument that knows the names of activations by job and number."""

    def __init__(self):
        self.of = {}

    def activation_queue(self, activation):
        self.of[activation.job.job_id, activation.number] = own(activation.data["token"])


def build(plan, runs, store=None, names=None, **options):
    """A flow by a plan: ``{routine: Spec}``; jobs begin with ``entry``, ``execute("entry", {"token": ROOT})``."""
    options = {"flow_id": "tree", "execution_strategy": "concurrent", "max_workers": 2, **options}
    flow = Flow(store=store, instruments=[] if names is None else [names], **options)
    for name, spec in plan.items():
        flow.add_routine(_routine(name, spec, runs), name)
    for name, spec in plan.items():
        for target in dict.fromkeys(spec.emits):
            flow.connect(name, f"to_{target}", target, "trigger")
    return flow


def _routine(name, spec, runs):
    routine = Routine()

    def handle(token):
        token = own(token)
        attempt = context.current()[5]
        runs.begun.append((token, attempt))
        for index, target in enumerate(spec.emits):
            routine.emit(f"to_{target}", token=f"{token}.{attempt}:{index}{target}")
            if spec.delay:
                time.sleep(spec.delay)
        if attempt <= spec.fails:
            raise ValueError(f"attempt {attempt} of {token}")
        runs.ended.append(token)

    routine.define_slot("trigger", handler=handle, merge_strategy=spec.merge, max_concurrency=spec.limit)
    for target in dict.fromkeys(spec.emits):
        routine.define_event(f"to_{target}")
    if spec.errors == "retry":
        routine.set_error_handler(ErrorHandler("retry", max_retries=9, retry_delay=0.01, retry_backoff=1.0))
    else:
        routine.set_error_handler(ErrorHandler(spec.errors))
    return routine


def attempts(spec):
    """How many attempts an activation takes."""
    return spec.fails + 1 if spec.errors == "retry" else 1


def family(plan, name="entry", token=ROOT):
    """Names of all activations that a job of the plan has, each once."""
    found = Counter([token])
    spec = plan[name]
    for attempt in range(1, attempts(spec) + 1):
        for index, target in enumerate(spec.emits):
            found += family(plan, target, f"{token}.{attempt}:{index}{target}")
    return found


def emitter(token):
    """Name and attempt of the activation that emitted one; None for the root and for what came from outside."""
    if "." not in token:
        return None
    parent, _, last = token.rpartition(".")
    return parent, int(last.partition(":")[0])


FAN_IN = {
    "entry": Spec(("work", "work")),
    "work": Spec(("sum", "leaf")),
    "sum": Spec(("leaf",), merge="append"),
    "leaf": Spec(),
}
RETRIES = {
    "entry": Spec(("flaky", "sum")),
    "flaky": Spec(("sum",), fails=1),
    "sum": Spec(("leaf",), fails=1, merge=gather),
    "leaf": Spec(),
}
ERRORS = {
    "entry": Spec(("skip", "go_on", "work")),
    "skip": Spec(("leaf",), fails=1, errors="skip"),
    "go_on": Spec(("sum",), fails=1, errors="continue"),
    "work": Spec(("sum",), limit=1),
    "sum": Spec(merge="append"),
    "leaf": Spec(),
}
DEEP = {
    "entry": Spec(("a", "sum"), delay=0.03),
    "a": Spec(("b",), delay=0.01),
    "b": Spec(("sum", "c"), fails=2),
    "c": Spec(("sum",)),
    "sum": Spec(merge="append"),
}
SMALL = {"entry": Spec(("sum", "work")), "work": Spec(("sum",)), "sum": Spec(merge="append")}
FLAKY = {"entry": Spec(("flaky",)), "flaky": Spec(("sum",), fails=1), "sum": Spec(merge=gather)}
PLANS = {"fan-in": FAN_IN, "retries": RETRIES, "errors": ERRORS, "deep": DEEP}
