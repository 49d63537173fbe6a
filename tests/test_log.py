"""The execution log: one closed set of names, in production and in simulations."""

from __future__ import annotations

import io
import json

from examples.concurrent_flow_demo import create_concurrent_flow, part_3_error_handling, run_and_wait
from routilux import ErrorHandler, Flow, JobState, Routine
from routilux.log import EVENTS, json_lines
from routilux_sim import simulate


class Flaky(Routine):
    """Fails once, then completes."""

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", self.handle)
        self.define_event("done")
        self.set_error_handler(ErrorHandler("retry", retry_delay=0.001))
        self.failures = 1

    def handle(self):
        if self.failures:
            self.failures -= 1
            raise OSError("not yet")
        self.emit("done", answer=object())


def flaky_job(instruments=()):
    with Flow("flaky", instruments=instruments) as flow:
        flow.add_routine(Flaky(), "flaky")
        job = flow.execute("flaky")
        assert JobState.wait_for_completion(flow, job, timeout=10)
        return job.status


def test_every_name_in_a_simulated_log_is_in_the_closed_set():
    """Simulated logs use no other event names than `EVENTS`."""
    lines = simulate(part_3_error_handling, seed=3).log + simulate(flaky_job).log
    names = {line["event"] for line in lines}
    assert names <= EVENTS
    assert {"job.start", "job.end", "emit", "activation.start", "activation.end", "activation.retry"} <= names
    assert {"task.start", "task.switch", "task.end", "execution.end"} <= names


def test_production_writes_the_same_events_with_the_same_fields():
    """A real run's log has the engine's lines of a simulated run: same names, same fields, same values but times."""

    def essence(lines):
        unlike = {"seq", "t_ns", "task", "job"}
        kept = [line for line in lines if not line["event"].startswith(("task.", "execution."))]
        return [{key: value for key, value in line.items() if key not in unlike} for line in kept]

    stream = io.BytesIO()
    assert flaky_job([json_lines(stream)]) == "completed"
    real = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert essence(real) == essence(simulate(flaky_job).log)
    assert [line["seq"] for line in real] == list(range(len(real)))
    assert [line["t_ns"] for line in real] == sorted(line["t_ns"] for line in real)


def test_a_concurrent_production_log_is_whole_lines_in_order(tmp_path):
    """Lines of several workers do not mix, and are numbered in the order in which they stand."""
    path = tmp_path / "log.jsonl"
    with json_lines(path) as log, create_concurrent_flow() as flow:
        flow.add_instrument(log)
        flow.routines["fetcher_3"].configure(delay=0.001)
        flow.routines["fetcher_2"].configure(delay=0.001)
        flow.routines["fetcher_1"].configure(delay=0.001)
        run_and_wait(flow, "logged")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["seq"] for line in lines] == list(range(len(lines)))
    assert lines[-1]["event"] == "job.end"


def test_logs_hold_no_values_and_no_addresses():
    """What is emitted is named, not shown: values may be large, private, or have an address in their repr."""
    log = simulate(flaky_job).log_bytes().decode()
    assert '"params": ["answer"]' in log
    assert "0x" not in log


def test_an_instrument_that_raises_is_disabled_and_logged_once(caplog):
    """An observer cannot break what it observes."""

    class Broken:
        calls = 0

        def activation_start(self, activation):
            Broken.calls += 1
            raise RuntimeError("cannot look")

    broken = Broken()
    with Flow("observed", instruments=[broken]) as flow:
        flow.add_routine(Flaky(), "flaky")
        job = flow.execute("flaky")
    assert job.status == "completed"
    assert Broken.calls == 1
    assert "will not be called for it again" in caplog.text
