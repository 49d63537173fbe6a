"""Connections: mappings rename what travels, and a pair is connected once."""

from __future__ import annotations

import random
import time

import pytest

from routilux import DuplicateNameError, ErrorHandler, Flow
from tests.engine.flows import step
from tests.semantics.oracles import check
from tests.semantics.workloads import BEAT, attempt, collect, join, start_threads, wait

NAMES = ("a", "b", "c")


def renamed(data, mapping):
    """What the claim says: mapped names are given up for their new ones, others stay unless one lands on them."""
    kept = {name: value for name, value in data.items() if name not in mapping}
    return kept | {mapping[name]: value for name, value in data.items() if name in mapping}


def test_a_mapping_renames_and_the_source_name_is_not_passed_as_well():
    """Random data along random mappings to several slots, in both strategies and through retries: each gets its own."""

    def program():
        got = {}
        fails = random.randint(0, 1)
        mappings = {
            f"sink{n}": dict(zip(random.sample(NAMES, 2), random.sample([*NAMES, "x", "y"], 2), strict=True))
            for n in range(3)
        }

        def handler_of(name):
            def handler(**data):
                time.sleep(random.randint(0, 1) * BEAT)
                if attempt() <= fails:
                    data.clear()
                    raise ValueError
                got.setdefault(name, []).append(data)

            return handler

        sent = [{name: (name, n) for name in NAMES[: random.randint(1, 3)]} for n in range(2)]
        flow = Flow(execution_strategy=random.choice(["sequential", "concurrent"]), max_workers=3)
        source = step(lambda: [source.emit("out", **data) for data in sent], "out")
        flow.add_routine(source, "entry")
        for name, mapping in mappings.items():
            flow.add_routine(step(handler_of(name), slot="in"), name)
            flow.connect("entry", "out", name, "in", param_mapping=mapping)
        flow.set_error_handler(ErrorHandler("retry", retry_delay=BEAT))
        with flow:
            job = flow.execute("entry")
            wait(flow, job)
        for name, mapping in mappings.items():
            expected = [renamed(data, mapping) for data in sent]
            assert sorted(map(repr, map(sorted_items, got[name]))) == sorted(map(repr, map(sorted_items, expected)))

    check(program)


def sorted_items(data):
    return sorted(data.items())


def test_connecting_the_same_pair_twice_is_refused_and_changes_nothing():
    """A ValueError; what is emitted afterwards, and meanwhile by a job that runs, arrives once."""

    def program():
        got = []

        def emit():
            for n in range(3):
                source.emit("out", n=n)
                time.sleep(random.randint(0, 1) * BEAT)

        flow = Flow(execution_strategy="concurrent", max_workers=2)
        source = step(emit, "out")
        flow.add_routine(source, "entry")
        flow.add_routine(step(lambda **data: got.append(data), slot="in"), "sink")
        flow.connect("entry", "out", "sink", "in", param_mapping={"n": "m"})

        def again():
            with pytest.raises(DuplicateNameError, match="connected already"):
                flow.connect("entry", "out", "sink", "in", param_mapping=random.choice([None, {"n": "other"}]))

        with flow:
            job = flow.execute("entry")
            join(start_threads(again, again))
            wait(flow, job)
        assert sorted(data["m"] for data in got) == [0, 1, 2]
        assert all(set(data) == {"m"} for data in got)
        assert len(flow.connections) == 1

    check(program)


def test_connecting_during_a_run_is_seen_whole_or_not_at_all():
    """Each emit of a running job reaches all the slots that are connected then, each once, and no half of them."""

    def program():
        got = {"old": [], "new": []}

        def emit():
            for n in range(4):
                source.emit("out", n=n)
                time.sleep(random.randint(0, 1) * BEAT)

        flow = Flow(execution_strategy="concurrent", max_workers=2)
        source = step(emit, "out")
        flow.add_routine(source, "entry")
        for name, into in got.items():
            flow.add_routine(step(collect(into), slot="in"), name)
        flow.connect("entry", "out", "old", "in")
        with flow:
            job = flow.execute("entry")
            join(start_threads(lambda: flow.connect("entry", "out", "new", "in")))
            wait(flow, job)
        assert sorted(got["old"]) == [0, 1, 2, 3]
        assert sorted(got["new"]) == list(range(4 - len(got["new"]), 4))

    check(program)
