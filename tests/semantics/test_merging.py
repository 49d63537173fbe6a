"""Merging is atomic per job and slot, and every handler gets a snapshot of its own."""

from __future__ import annotations

import json
import random
import time
from itertools import pairwise

from routilux import ErrorHandler, Flow, JobState, Routine
from tests.engine.flows import step
from tests.semantics.oracles import check
from tests.semantics.workloads import BEAT, attempt, collect, random_beats, resume, start_threads, wait

COUNT = 4


def gathering(handler, merge, flow_id="flow", **options):
    """A flow whose entry emits n from 0 to `COUNT`, by way of routines that take their time, to a slot that merges."""
    flow = Flow(flow_id, execution_strategy="concurrent", max_workers=random.randint(2, 4), **options)
    source = step(lambda job: [source.emit("out", job=job, n=n) for n in range(COUNT)], "out")
    middle = step(lambda job, n: (time.sleep(n % 2 * BEAT), middle.emit("out", job=job, n=n)), "out", slot="in")
    sink = Routine()
    sink.define_slot("in", handler=handler, merge_strategy=merge)
    for name, routine in (("entry", source), ("middle", middle), ("sink", sink)):
        flow.add_routine(routine, name)
    flow.connect("entry", "out", "middle", "in")
    flow.connect("middle", "out", "sink", "in")
    return flow


def chain(snapshots):
    """Sort snapshots by length, and raise unless each is the one before and one more: what merging one by one gives."""
    ordered = sorted(snapshots, key=len)
    assert [len(each) for each in ordered] == list(range(1, COUNT + 1)), ordered
    for before, after in pairwise(ordered):
        assert after[:-1] == before, f"{before} is not what {after} came from"
    return ordered[-1]


def test_appending_is_one_step_for_each_job():
    """However handlers overlap, the k-th merge sees the k-1 before it, of its own job only; nothing is overwritten."""

    def program():
        seen = {0: [], 1: []}

        def handler(job, n):
            assert len(set(job)) == 1
            assert len(job) == len(n)
            time.sleep(random.randint(0, 1) * BEAT)
            seen[job[0]].append(n)

        with gathering(handler, "append") as flow:
            jobs = [flow.execute("entry", {"job": n}) for n in range(2)]
            wait(flow, *jobs)
        for snapshots in seen.values():
            assert sorted(chain(snapshots)) == list(range(COUNT))

    check(program)


def test_a_merge_function_runs_alone_for_its_job_and_slot():
    """A function that reads, waits and writes loses nothing: nobody else merges into that slot meanwhile."""

    def program():
        inside = {0: 0, 1: 0}
        sums = {0: [], 1: []}

        def merge(old, new):
            job = new["job"]
            inside[job] += 1
            total = old.get("n", 0)
            time.sleep(random.randint(0, 1) * BEAT)
            assert inside[job] == 1
            inside[job] -= 1
            return {"job": job, "n": total + 10 ** new["n"]}

        with gathering(lambda job, n: sums[job].append(n), merge) as flow:
            jobs = [flow.execute("entry", {"job": n}) for n in range(2)]
            wait(flow, *jobs)
            assert [job.status for job in jobs] == ["completed"] * 2
        for values in sums.values():
            assert max(values) == 1111
            assert sorted(str(n).count("1") for n in values) == [1, 2, 3, 4]

    check(program)


def test_every_handler_gets_a_snapshot_of_its_own_in_each_attempt():
    """What a handler does to its data is seen by no other handler, no later merge, and no later attempt of its own."""

    def program():
        seen, tried = [], {}

        def handler(job, n):
            first = tried.setdefault(tuple(n), list(n))
            assert n == first
            if attempt() == 3:
                seen.append(list(n))
            n.clear()
            job.append("spoiled")
            time.sleep(random.randint(0, 1) * BEAT)
            assert n == []
            if attempt() < 3:
                raise ValueError

        with gathering(handler, "append") as flow:
            flow.set_error_handler(ErrorHandler("retry", retry_delay=random.randint(0, 1) * BEAT))
            job = flow.execute("entry", {"job": 0})
            wait(flow, job)
            assert job.status == "completed", job.error
        assert sorted(chain(seen)) == list(range(COUNT))

    check(program)


def test_what_was_gathered_survives_pause_save_and_load():
    """A job that goes on elsewhere merges with what it had gathered here: each value is merged once in all."""

    def program():
        def make():
            return gathering(handler, "append")

        def handler(n):
            found = sink_of[0].get_execution_context()
            found.job_state.append_to_shared_log({"n": n})

        flow = make()
        sink_of = [flow.routines["sink"]]
        job = flow.execute("entry", {"job": 0})
        random_beats(2)
        if flow.pause(job):
            document = json.loads(json.dumps(job.serialize()))
            flow.cancel(job)
            flow.shutdown()
            flow, job = make(), JobState.deserialize(document)
            sink_of[0] = flow.routines["sink"]
            resume(flow, job)
        wait(flow, job)
        flow.shutdown()
        assert sorted(chain([entry["n"] for entry in job.get_shared_log()])) == list(range(COUNT))

    check(program)


def test_a_merge_that_fails_merges_nothing():
    """When the function raises, or returns no dictionary, the error strategy is asked and the slot stays as it was."""

    def program():
        calls = []

        def merge(old, new):
            calls.append(new["n"])
            if calls.count(new["n"]) == 1:
                if new["n"] % 2:
                    raise ValueError(new)
                return None
            return {"n": [*old.get("n", []), new["n"]]}

        seen = []
        with gathering(collect(seen), merge) as flow:
            flow.set_error_handler(ErrorHandler("retry", retry_delay=BEAT, retry_backoff=1.0))
            job = flow.execute("entry", {"job": 0})
            script = start_threads(lambda: flow.pause(job) and resume(flow, job))
            script[0].join()
            wait(flow, job)
            assert job.status == "completed", job.error
        assert sorted(chain(seen)) == list(range(COUNT))

    check(program)
