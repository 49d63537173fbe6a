"""Laws of the kernel, on generated programs."""

import threading
import time

from hypothesis import given, settings
from hypothesis import strategies as generators
from sim_helpers import run_threads

from routilux_sim import replay, simulate

MODERATE = settings(deadline=None, max_examples=40)

SEEDS = generators.integers(0, 2**64)
PLANS = generators.recursive(
    generators.tuples(generators.just("sleep"), generators.integers(0, 5)),
    lambda inner: generators.tuples(generators.sampled_from(("after", "beside")), generators.lists(inner, max_size=3)),
    max_leaves=10,
)
"""What to do: sleep so many milliseconds, or several things one after the other or beside each other."""


def carry_out(plan):
    kind, what = plan
    if kind == "sleep":
        time.sleep(what / 1000)
    elif kind == "after":
        for part in what:
            carry_out(part)
    else:
        run_threads(*[lambda part=part: carry_out(part) for part in what])


def critical_path(plan):
    kind, what = plan
    if kind == "sleep":
        return what
    lengths = [critical_path(part) for part in what]
    return sum(lengths) if kind == "after" else max(lengths, default=0)


def guarded(plans):
    """Make a program of threads that take turns with a lock while they sleep."""

    def program():
        lock = threading.Lock()
        order = []

        def work(name, sleeps):
            for milliseconds in sleeps:
                with lock:
                    order.append(name)
                    time.sleep(milliseconds / 1000)

        run_threads(*[lambda name=name, sleeps=sleeps: work(name, sleeps) for name, sleeps in enumerate(plans)])
        return order

    return program


GUARDED = generators.lists(generators.lists(generators.integers(0, 5), max_size=3), max_size=4)


@MODERATE
@given(PLANS, SEEDS)
def test_elapsed_is_the_critical_path(plan, seed):
    """Whatever the interleaving, sleeps take as long as the longest chain of them."""
    execution = simulate(lambda: carry_out(plan), seed=seed)
    execution.result()
    assert execution.elapsed_ns == critical_path(plan) * 1_000_000


@MODERATE
@given(GUARDED, SEEDS)
def test_a_lock_adds_the_times_up(plans, seed):
    """What is done under one lock takes its sum, in every interleaving, and is done once."""
    execution = simulate(guarded(plans), seed=seed)
    assert sorted(execution.result()) == [name for name, sleeps in enumerate(plans) for _ in sleeps]
    assert execution.elapsed_ns == sum(map(sum, plans)) * 1_000_000


@MODERATE
@given(PLANS, SEEDS)
def test_choices_are_below_their_bounds(plan, seed):
    """Each decision is a number from 0 below its bound, which counts its candidates: two at least."""
    for step in simulate(lambda: carry_out(plan), seed=seed).schedule:
        assert 0 <= step.value < step.bound
        assert step.bound >= 2
        assert len(step.enabled) in {0, step.bound}


@MODERATE
@given(GUARDED, SEEDS)
def test_fifo_always_takes_the_plain_choice(plans, seed):
    """Under fifo every value is 0, and the seed changes nothing."""
    schedule = simulate(guarded(plans), seed=seed, strategy="fifo").schedule
    assert schedule.preemptions == 0
    assert all(step.value == 0 for step in schedule)
    assert schedule == simulate(guarded(plans), seed=0, strategy="fifo").schedule


@MODERATE
@given(GUARDED, SEEDS, generators.sampled_from(["random", "fifo"]))
def test_a_schedule_replays_its_execution(plans, seed, strategy):
    """Replaying the schedule of any execution gives its value, its log and its schedule again."""
    execution = simulate(guarded(plans), seed=seed, strategy=strategy)
    again = replay(guarded(plans), execution.schedule)
    assert again.result() == execution.result()
    assert again.log_bytes() == execution.log_bytes()
    assert again.schedule == execution.schedule


@MODERATE
@given(GUARDED, SEEDS)
def test_the_log_tells_no_secrets(plans, seed):
    """Lines are numbered, in the order of time, and each thread starts and ends once."""
    log = simulate(guarded(plans), seed=seed).log
    assert [line["seq"] for line in log] == list(range(len(log)))
    assert [line["t_ns"] for line in log] == sorted(line["t_ns"] for line in log)
    started = [line["number"] for line in log if line["event"] == "task.start"]
    ended = [line["number"] for line in log if line["event"] == "task.end"]
    assert started == list(range(1, len(plans) + 2))
    assert sorted(ended) == started


@MODERATE
@given(GUARDED, SEEDS)
def test_steps_are_counted_alike_with_and_without_a_log(plans, seed):
    """Watching an execution does not change it."""
    seen, unseen = (simulate(guarded(plans), seed=seed, log=log) for log in (True, False))
    assert (seen.steps, seen.elapsed_ns, seen.value) == (unseen.steps, unseen.elapsed_ns, unseen.value)
