"""Performance figures, the bounded history, and the states of routines."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routilux import ErrorHandler, ExecutionRecord, ExecutionTracker, Flow, JobState, Routine
from routilux.engine.figures import ENDS, Figures
from routilux.engine.journal import BATCH
from routilux_sim import simulate
from tests.exploring import explore


class Script(Routine):
    """Each event says how long to take and whether to fail; ``script`` is emitted item by item by ``entry``."""

    def __init__(self):
        super().__init__()
        self.define_slot("in", handler=self.go)

    def go(self, seconds=0, fail=False):
        time.sleep(seconds)
        if fail:
            raise ValueError("scripted")


def scripted(items, strategy="continue", **options):
    flow = Flow(**options)
    entry = Routine()
    entry.define_event("out")
    entry.define_slot("trigger", handler=lambda data: [entry.emit("out", **item) for item in items])
    flow.add_routine(entry, "entry")
    flow.add_routine(Script(), "script")
    flow.routines["script"].set_error_handler(ErrorHandler(strategy, max_retries=1, retry_delay=1.0))
    flow.connect("entry", "out", "script", "in")
    return flow


def test_performance_figures_of_a_routine():
    """Counts by outcome, rate of success, and least, mean, most and total time, exactly."""

    def program():
        flow = scripted([{"seconds": 1.0}, {"seconds": 3.0}, {"seconds": 2.0, "fail": True}])
        flow.execute("entry")
        return flow.execution_tracker.get_routine_performance("script")

    assert simulate(program).result() == {
        "total_executions": 3,
        "completed": 2,
        "failed": 0,
        "error_continued": 1,
        "skipped": 0,
        "retries": 0,
        "success_rate": pytest.approx(2 / 3),
        "avg_execution_time": 2.0,
        "min_execution_time": 1.0,
        "max_execution_time": 3.0,
        "total_execution_time": 6.0,
    }


def test_retries_count_as_calls_and_not_as_executions():
    """An activation that was tried twice is one execution, one retry, and the time of both attempts."""

    def program():
        flow = scripted([{"seconds": 2.0, "fail": True}], "retry")
        job = flow.execute("entry")
        return flow.execution_tracker.get_routine_performance("script", job)

    figures = simulate(program).result()
    assert (figures["total_executions"], figures["failed"], figures["retries"]) == (1, 1, 1)
    assert (figures["total_execution_time"], figures["avg_execution_time"]) == (4.0, 2.0)


def test_figures_of_the_flow_add_up_over_jobs():
    """Without a job all jobs count; with one, it alone."""

    def program():
        flow = scripted([{"seconds": 1.0}, {"seconds": 1.0}])
        jobs = [flow.execute("entry") for _ in range(3)]
        tracker = flow.execution_tracker
        return tracker.get_flow_performance(), [tracker.get_flow_performance(job) for job in jobs]

    whole, parts = simulate(program).result()
    assert whole == {
        "total_routines": 2,
        "total_events": 6,
        "total_executions": 9,
        "total_execution_time": 6.0,
        "avg_routine_time": 3.0,
    }
    assert (
        parts
        == [
            {
                "total_routines": 2,
                "total_events": 2,
                "total_executions": 3,
                "total_execution_time": 2.0,
                "avg_routine_time": 1.0,
            }
        ]
        * 3
    )


def test_figures_of_a_running_job_are_counted():
    """The tracker sees what has happened so far, and counts a job once when it ends."""

    def program():
        flow = scripted([{"seconds": 1.0}, {"seconds": 1.0}], execution_strategy="concurrent", max_workers=1)
        with flow:
            job = flow.execute("entry")
            time.sleep(1.5)
            early = flow.execution_tracker.get_routine_performance("script")["completed"]
            assert JobState.wait_for_completion(flow, job)
            late = flow.execution_tracker.get_routine_performance("script")["completed"]
        assert (early, late) == (1, 2)

    explore(program, schedules=150).raise_if_failed()


def test_figures_are_whole_in_any_schedule():
    """Readers at any moment see each activation at most once, and in the end each exactly once."""

    def program():
        flow = scripted([{"seconds": 0.0}] * 4, execution_strategy="concurrent", max_workers=3)
        seen = []
        with flow:
            jobs = [flow.execute("entry") for _ in range(2)]
            seen.extend(flow.execution_tracker.get_flow_performance()["total_executions"] for _ in range(3))
            for job in jobs:
                assert JobState.wait_for_completion(flow, job)
            seen.append(flow.execution_tracker.get_flow_performance()["total_executions"])
        assert seen == sorted(seen)
        assert seen[-1] == 10

    explore(program, schedules=400).raise_if_failed()


def test_a_routine_that_has_not_run_has_no_figures():
    """None for an unknown routine and for one that never ran; an empty flow has zeros."""
    flow = scripted([])
    tracker = flow.execution_tracker
    assert tracker.get_routine_performance("script") is None
    assert tracker.get_routine_performance("nope") is None
    assert set(tracker.get_flow_performance().values()) == {0}


def test_dropped_activations_are_no_executions():
    """What never ran is in the history and in no figure."""
    flow = scripted([{"fail": True}, {}, {}], "stop")
    job = flow.execute("entry")
    assert flow.execution_tracker.get_routine_performance("script")["total_executions"] == 1
    assert [r.event_name for r in job.get_execution_history("script")].count("dropped") == 2


def test_work_that_the_engine_does_not_see_can_be_recorded():
    """``record_routine_start`` and ``_end`` bracket work by hand; the last begun ends first."""

    def program():
        tracker = ExecutionTracker("flow")
        tracker.record_routine_start("mine", {"a": 1})
        time.sleep(1.0)
        tracker.record_routine_start("mine")
        time.sleep(2.0)
        tracker.record_routine_end("mine", "failed", error=ValueError())
        time.sleep(4.0)
        tracker.record_routine_end("mine", result=5)
        tracker.record_event("mine", "out", "other", {"a": 1})
        return tracker.get_routine_performance("mine"), tracker.get_flow_performance()

    figures, flow = simulate(program).result()
    assert (figures["completed"], figures["failed"], figures["success_rate"]) == (1, 1, 0.5)
    assert (figures["min_execution_time"], figures["max_execution_time"]) == (2.0, 7.0)
    assert (flow["total_events"], flow["total_executions"]) == (1, 2)


def test_recording_an_end_without_a_beginning_is_refused():
    """Also an outcome that does not exist."""
    tracker = ExecutionTracker()
    with pytest.raises(ValueError, match="no record_routine_start"):
        tracker.record_routine_end("mine")
    tracker.record_routine_start("mine")
    with pytest.raises(ValueError, match="status must be one of completed, failed, error_continued, skipped"):
        tracker.record_routine_end("mine", "running")
    tracker.record_routine_end("mine")
    with pytest.raises(ValueError, match="no record_routine_start"):
        tracker.record_routine_end("mine")


def test_the_tracker_keeps_a_bounded_number_of_records():
    """The latest ``max_records`` events are kept, and all are counted."""
    tracker = ExecutionTracker(max_records=3)
    for n in range(10):
        tracker.record_event("r", "out", data={"n": n})
    assert [record["data"]["n"] for record in tracker.event_flow] == [7, 8, 9]
    assert tracker.get_flow_performance()["total_events"] == 10


def test_the_history_tells_what_happened_in_order():
    """Events with their data and activations with slot, attempt, duration and error, at their times."""

    def program():
        flow = scripted([{"seconds": 1.0}, {"seconds": 0.5, "fail": True}])
        return flow.execute("entry")

    job = simulate(program, epoch=0).result()
    start = datetime.fromtimestamp(0, UTC)
    assert job.execution_history == [
        ExecutionRecord("entry", "out", {"seconds": 1.0}, start),
        ExecutionRecord("entry", "out", {"seconds": 0.5, "fail": True}, start),
        ExecutionRecord("entry", "completed", {"slot": "trigger", "attempt": 1, "duration": 0.0}, start, "activation"),
        ExecutionRecord(
            "script",
            "completed",
            {"slot": "in", "attempt": 1, "duration": 1.0},
            start + timedelta(seconds=1),
            "activation",
        ),
        ExecutionRecord(
            "script",
            "error_continued",
            {"slot": "in", "attempt": 1, "duration": 0.5, "error": "ValueError: scripted"},
            start + timedelta(seconds=1.5),
            "activation",
        ),
    ]
    assert job.get_execution_history("entry") == job.execution_history[:3]
    assert job.get_execution_history("nope") == []
    assert (job.created_at, job.updated_at) == (start, start + timedelta(seconds=1.5))
    assert job.current_routine_id == "script"


def test_the_history_is_a_copy():
    """Changing what was read changes nothing."""
    job = scripted([{"seconds": 0}]).execute("entry")
    job.execution_history.clear()
    job.execution_history[0].data.clear()
    assert job.execution_history[0].data == {"seconds": 0}


@given(limit=st.integers(1, 20), count=st.integers(0, 600))
def test_the_history_is_bounded(limit, count):
    """At most ``history_limit`` records are kept, the latest ones, in order; all events are counted."""
    job = JobState("flow", history_limit=limit)
    for n in range(count):
        job.record_execution("r", "out", {"n": n})
    assert [record.data["n"] for record in job.execution_history] == list(range(count))[-limit:]
    assert job.events_emitted == 0, "what is recorded by hand was not emitted by a routine"


def test_the_memory_of_a_long_job_is_bounded():
    """Rows beyond the limit are not kept, though nobody reads them meanwhile; all are counted."""
    flow = scripted([{}] * 11_000)
    job = flow.execute("entry")
    journal = job._journal
    assert len(journal.unsummed) <= BATCH
    assert len(journal._history) <= 10_000
    history = job.execution_history
    assert len(history) == 10_000
    assert {record.event_name for record in history} == {"completed"}
    assert job.events_emitted == 11_000
    assert flow.execution_tracker.get_routine_performance("script")["completed"] == 11_000


def test_a_routine_is_pending_then_running_then_ended():
    """The states that users read follow the activations; a routine that never ran stays pending."""

    def program():
        flow = scripted([{"seconds": 1.0}], execution_strategy="concurrent")
        flow.add_routine(Script(), "idle")
        with flow:
            job = flow.execute("entry")
            time.sleep(0.5)
            assert {rid: state["status"] for rid, state in job.routine_states.items()} == {
                "entry": "completed",
                "script": "running",
                "idle": "pending",
            }
            assert job.current_routine_id == "script"
            assert JobState.wait_for_completion(flow, job)
        assert job.get_routine_state("script") == {"status": "completed"}
        assert job.get_routine_state("idle") == {"status": "pending"}
        assert job.get_routine_state("nope") is None

    explore(program, schedules=100).raise_if_failed()


@given(st.lists(st.sampled_from(ENDS)))
def test_the_gravest_end_is_the_state(ends):
    """From gravest: failed, error_continued, skipped, completed, pending; in any order of ends."""
    figures = Figures()
    for end in ends:
        figures.end(end)
    gravity = ["failed", "error_continued", "skipped", "completed"]
    assert figures.status == next((end for end in gravity if end in ends), "pending")
    assert figures.ended == len(ends)


@pytest.mark.parametrize("order", list(itertools.permutations([("a", "skip"), ("b", "continue"), ("c", None)])))
def test_the_gravest_end_does_not_depend_on_the_order_of_activations(order):
    """One routine whose activations end in different ways has the gravest state, whichever came last."""

    def handler(strategy):
        routine.set_error_handler(ErrorHandler(strategy) if strategy else None)
        if strategy:
            raise ValueError

    flow = Flow()
    entry, routine = Routine(), Routine()
    entry.define_event("out")
    entry.define_slot("trigger", handler=lambda: [entry.emit("out", strategy=s, name=n) for n, s in order])
    routine.define_slot("in", handler=handler)
    flow.add_routine(entry, "entry")
    flow.add_routine(routine, "mixed")
    flow.connect("entry", "out", "mixed", "in")
    job = flow.execute("entry")
    assert (job.status, job.get_routine_state("mixed")["status"]) == ("completed", "error_continued")


@given(st.lists(st.tuples(st.sampled_from(ENDS), st.integers(0, 10**6), st.booleans()), max_size=20))
def test_figures_add_up_however_they_are_split(ends):
    """Adding the figures of two jobs is the same as counting all in one."""
    whole, parts = Figures(), {False: Figures(), True: Figures()}
    for end, duration, part in ends:
        for figures in (whole, parts[part]):
            figures.spend([duration])
            figures.end(end)
    total = Figures()
    for part in parts.values():
        total.add(part)
    assert [getattr(total, name) for name in Figures.__slots__] == [getattr(whole, name) for name in Figures.__slots__]


def test_notes_on_a_routine_are_kept_beside_its_state():
    """``update_routine_state`` adds fields; reading gives a copy; also for a routine that is not in the flow."""
    job = scripted([{}]).execute("entry")
    job.update_routine_state("script", {"rows": 5})
    job.update_routine_state("script", {"more": True})
    job.update_routine_state("elsewhere", {"x": 1})
    job.get_routine_state("script")["rows"] = 6
    job.routine_states.clear()
    assert job.get_routine_state("script") == {"status": "completed", "rows": 5, "more": True}
    assert job.get_routine_state("elsewhere") == {"status": "pending", "x": 1}


def test_shared_data_and_log_are_for_all_handlers():
    """Values and entries written in one place are read in another, in order, and the log is copied."""
    job = JobState("flow")
    job.update_shared_data("a", 1)
    job.append_to_shared_log({"n": 1})
    job.append_to_shared_log({"n": 2})
    job.get_shared_log().clear()
    assert (job.get_shared_data("a"), job.get_shared_data("b", 7), job.shared_data) == (1, 7, {"a": 1})
    assert job.get_shared_log() == [{"n": 1}, {"n": 2}]


def test_every_change_moves_updated_at():
    """Shared data, notes and records are news of the job."""

    def program():
        job = JobState("flow")
        moments = [job.updated_at]
        for change in (
            lambda: job.update_shared_data("a", 1),
            lambda: job.append_to_shared_log({}),
            lambda: job.update_routine_state("r", {}),
            lambda: job.record_execution("r", "out"),
        ):
            time.sleep(1.0)
            change()
            moments.append(job.updated_at)
        return [(moment - job.created_at).total_seconds() for moment in moments]

    assert simulate(program).result() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_a_flow_says_how_much_history_its_jobs_keep():
    """``history_limit`` bounds what a job remembers to the latest records, survives storing, and must be at least 1."""
    with Flow("short", history_limit=3) as flow:
        flow.add_routine(Emitter(), "emitter")
        job = flow.execute("emitter", {"count": 10})
    assert [record.event_name for record in job.execution_history] == ["out", "out", "completed"]
    assert job.events_emitted == 10
    again = Flow()
    again.deserialize(flow.serialize())
    assert again.history_limit == 3
    with pytest.raises(ValueError, match="history_limit must be a whole number from 1 up, not 0"):
        Flow(history_limit=0)


class Emitter(Routine):
    def __init__(self):
        super().__init__()
        self.define_slot("trigger", self.emit_all)
        self.define_event("out")

    def emit_all(self, count):
        for number in range(count):
            self.emit("out", number=number)
