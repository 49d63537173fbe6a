"""Sequential and concurrent ``execute``: where jobs run, in which order, and who says that they have ended."""

from __future__ import annotations

import random
import threading
import time

from routilux import Flow, JobState
from tests.engine.flows import fan, step
from tests.semantics.oracles import Observer, check
from tests.semantics.workloads import BEAT, AsyncStep, Plan, Step, Turns, delivered, join, start_threads, wait


def in_queue_order(plan):
    """The deliveries of a job of ``plan`` in the order of a FIFO queue."""
    queue, done = [("s0", "t")], []
    while queue:
        name, token = queue.pop(0)
        done.append((name, token))
        queue += [
            (target, f"{token}/{name}.{n}") for n in range(plan.config[name]["emits"]) for target in plan.targets[name]
        ]
    return done


def test_a_sequential_job_runs_to_its_end_in_the_calling_thread_in_queue_order():
    """Several threads execute jobs of one flow: each runs its own, one activation at a time, and gets it finished."""

    def program():
        plan = Plan((Step,))
        flow = plan.flow(execution_strategy="sequential")
        places = set()
        flow.add_instrument(Places(places))

        def caller():
            job = plan.execute(flow)
            assert job.status == "completed"
            assert [(entry["routine"], entry["token"]) for entry in job.get_shared_log()] == in_queue_order(plan)
            assert {name for about, name in places if about == job.job_id} == {threading.current_thread().name}

        with flow:
            join(start_threads(*[caller] * 3))

    check(program)


class Places:
    """An instrument that notes in which threads a job's activations start."""

    def __init__(self, places):
        self.places = places

    def activation_start(self, activation):
        self.places.add((activation.job.job_id, threading.current_thread().name))


def test_a_sequential_job_waits_for_its_retries_and_async_steps():
    """``execute`` returns the final state, with retries by the timer and steps on the event loop along the way."""

    def program():
        plan = Plan((Step, AsyncStep, Turns), failures=2)
        with plan.flow(execution_strategy="sequential") as flow:
            job = plan.execute(flow)
            assert (job.status, delivered(job)) == ("completed", plan.deliveries())
            assert sum(figures.calls for figures in job.figures().values()) == plan.attempts()

    check(program)


def test_a_concurrent_job_is_running_when_execute_returns():
    """``execute`` takes no time at all; the job's status is ``running`` while its first handler is."""

    def program():
        with fan(lambda n: time.sleep(BEAT), max_workers=random.randint(1, 3)) as flow:
            jobs = [flow.execute("entry") for _ in range(3)]
            assert time.monotonic_ns() == 0
            assert {job.status for job in jobs} == {"running"}
            wait(flow, *jobs)

    check(program)


def test_the_engine_itself_ends_a_job_the_moment_its_last_activation_does():
    """Nobody waits for the jobs; each gets its final status, and its end is told, at its last handler's end."""

    def program():
        plan = Plan((Step, AsyncStep), failures=1)
        observer = Observer()
        flow = plan.flow(max_workers=random.randint(1, 3), instruments=[observer])
        jobs = [plan.execute(flow) for _ in range(2)]
        time.sleep(100.0)
        for job in jobs:
            assert (job.status, delivered(job)) == ("completed", plan.deliveries())
            times = [(at, hook) for at, hook, about, _ in observer.calls if about is job and hook in {"end", "job_end"}]
            assert times[-1] == (max(at for at, hook in times if hook == "end"), "job_end")
        observer.judge(*jobs)
        assert flow.shutdown()

    check(program)


def test_a_strategy_given_to_execute_is_for_that_job_alone():
    """Jobs of both kinds side by side: the sequential one runs here, the concurrent one elsewhere, the flow's stays."""

    def program():
        where = {}

        def handler(name):
            where.setdefault(name, set()).add(threading.current_thread().name)
            time.sleep(BEAT)

        flow = Flow(execution_strategy="concurrent", max_workers=2)
        source = step(lambda name: [source.emit("out", name=name) for _ in range(2)], "out")
        flow.add_routine(source, "entry")
        flow.add_routine(step(handler, slot="in"), "sink")
        flow.connect("entry", "out", "sink", "in")
        with flow:
            before = flow.execute("entry", {"name": "before"})
            here = flow.execute("entry", {"name": "here"}, execution_strategy="sequential")
            assert (here.status, time.monotonic()) == ("completed", 2 * BEAT)
            after = flow.execute("entry", {"name": "after"})
            assert after.status == "running"
            assert flow.execution_strategy == "concurrent"
            assert JobState.wait_for_completion(flow, before)
            wait(flow, after)
        assert where["here"] == {"MainThread"}
        assert "MainThread" not in where["before"] | where["after"]

    check(program)
