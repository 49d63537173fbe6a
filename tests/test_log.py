"""The execution log: one closed set of names, in production and in simulations."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from examples.concurrent_flow_demo import create_concurrent_flow, part_3_error_handling, run_and_wait
from routilux import ErrorHandler, Flow, JobState, Routine
from routilux.log import EVENTS, ExecutionLog, configure, configured, json_lines, of
from routilux_sim import simulate
from tests.exploring import explore

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _nothing_stays_configured():
    """No test leaves a log turned on."""
    yield
    configure(None)


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


def lines_of(content):
    return [json.loads(line) for line in content.splitlines()]


def events_in(content):
    return [line["event"] for line in lines_of(content)]


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


def test_pausing_and_resuming_are_logged_with_the_reason():
    """``job.pause`` says why, if the job knows; ``job.resume`` has nothing to add."""
    job = JobState("flow", "job-1")
    stream = io.BytesIO()
    with json_lines(stream) as log:
        log.job_pause(job)
        log.job_resume(job)
    paused, resumed = lines_of(stream.getvalue())
    assert (paused["event"], paused["job"], paused["reason"]) == ("job.pause", "job-1", "")
    assert (resumed["event"], resumed["job"]) == ("job.resume", "job-1")

    class Told:
        job_id = "job-2"
        pause_reason = "maintenance"

    written = []
    ExecutionLog(lambda event, fields: written.append((event, fields))).job_pause(Told())
    assert written == [("job.pause", {"job": "job-2", "reason": "maintenance"})]
    assert {event for event, _ in written} < EVENTS


def test_nothing_is_configured_unless_asked_for():
    """Off by default, and off again after ``configure(None)``."""
    assert configured() is None
    assert configure(None) is None
    log = configure(io.BytesIO())
    assert configured() is log is not None
    configure(None)
    assert configured() is None


def test_a_configured_log_is_appended_to_its_file_and_ends_with_its_block(tmp_path):
    """``with configure(path)`` logs while the block lasts, and keeps what was in the file."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"event": "older"}\n')
    with configure(path) as log:
        assert configured() is log
        assert flaky_job([configured()]) == "completed"
    assert configured() is None
    assert events_in(path.read_bytes())[:2] == ["older", "job.start"]
    assert events_in(path.read_bytes())[-1] == "job.end"


def test_each_line_is_in_the_file_at_once(tmp_path):
    """Whoever reads the file while the flow runs sees every line so far, whole."""
    path = tmp_path / "log.jsonl"
    with json_lines(path) as log:
        for count in range(1, 4):
            log.job_resume(JobState("flow", "job"))
            assert events_in(path.read_bytes()) == ["job.resume"] * count


def test_configuring_again_ends_the_log_before(tmp_path):
    """The second takes the place of the first, which writes nothing more; closing the first leaves the second on."""
    first = configure(tmp_path / "first.jsonl")
    second = configure(tmp_path / "second.jsonl")
    assert configured() is second
    first.job_resume(JobState("flow", "job"))
    first.close()
    assert configured() is second
    second.job_resume(JobState("flow", "job"))
    assert (tmp_path / "first.jsonl").read_bytes() == b""
    assert events_in((tmp_path / "second.jsonl").read_bytes()) == ["job.resume"]


def test_a_job_under_way_goes_on_when_its_log_is_closed():
    """What is logged after the end of a log is dropped, and breaks nothing: the instrument is not disabled."""
    stream = io.BytesIO()
    log = json_lines(stream)

    class Closer:
        def activation_start(self, activation):
            log.close()

    assert flaky_job([log, Closer()]) == "completed"
    assert events_in(stream.getvalue()) == ["job.start", "activation.start"]
    assert not stream.closed


@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        (7, TypeError, "a path or a binary file, not to 7"),
        (io.StringIO(), TypeError, "open it in binary mode"),
        (b"log.jsonl", TypeError, "a path or a binary file"),
        ("no such directory/log.jsonl", OSError, "no such directory"),
    ],
    ids=["number", "text file", "bytes", "no directory"],
)
def test_a_target_that_cannot_be_used_changes_nothing(target, error, words):
    """The error names it, and what was configured stays so and goes on writing."""
    stream = io.BytesIO()
    log = configure(stream)
    with pytest.raises(error, match=words):
        configure(target)
    assert configured() is log
    log.job_resume(JobState("flow", "job"))
    assert events_in(stream.getvalue()) == ["job.resume"]


def test_any_object_that_writes_bytes_will_do():
    """``write`` alone is enough, as for a file that rotates; ``flush`` is called after each line where there is one."""

    class Rotating:
        def __init__(self):
            self.parts = []

        def write(self, line):
            self.parts.append(line)

    class Buffered(Rotating):
        def flush(self):
            self.parts.append("flushed")

    for target, each in ((Rotating(), 1), (Buffered(), 2)):
        json_lines(target).job_resume(JobState("flow", "job"))
        assert len(target.parts) == each
        assert events_in(target.parts[0]) == ["job.resume"]
    assert target.parts[1] == "flushed"


def test_what_the_parameter_of_a_flow_means(tmp_path):
    """None: what is configured; False: nothing; a target: a new log; a log: itself; anything else is refused."""
    assert of(None) is None
    log = configure(io.BytesIO())
    assert of(None) is log
    assert of(False) is None
    assert of(log) is log
    with of(tmp_path / "a.jsonl") as fresh, of(str(tmp_path / "b.jsonl")) as another:
        assert len({id(log), id(fresh), id(another)}) == 3
    stream = io.BytesIO()
    of(stream).job_resume(JobState("flow", "job"))
    assert stream.getvalue()
    with pytest.raises(TypeError, match=r"log=True does not say where to; .* routilux\.log\.configure"):
        of(True)
    with pytest.raises(TypeError, match=r"not to 3\.5"):
        of(3.5)


def test_lines_stay_whole_and_in_order_under_every_schedule():
    """Two threads log while a third turns the log off: numbers and times ascend, no line is torn, none comes late."""

    def program():
        stream = io.BytesIO()
        log = configure(stream)
        job = JobState("flow", "job")

        def write():
            log.job_pause(job)
            log.job_resume(job)

        threads = [threading.Thread(target=write) for _ in range(2)]
        threads.append(threading.Thread(target=configure, args=(None,)))
        for thread in threads:
            thread.start()
        threads[-1].join()
        seen = stream.getvalue()
        for thread in threads:
            thread.join()
        assert stream.getvalue() == seen
        lines = lines_of(seen)
        assert [line["seq"] for line in lines] == list(range(len(lines)))
        assert [line["t_ns"] for line in lines] == sorted(line["t_ns"] for line in lines)

    explore(program, schedules=200).raise_if_failed()


def test_a_simulation_has_its_own_configuration():
    """What is configured outside is not on in a simulated program; what that configures ends with it."""
    outside = configure(io.BytesIO())

    def program():
        assert configured() is None
        stream = io.BytesIO()
        configure(stream)
        flaky_job([configured()])
        return stream.getvalue()

    execution = simulate(program, seed=5)
    content = execution.result()
    assert configured() is outside
    assert content == simulate(program, seed=5).result()
    assert lines_of(content)[-1]["t_ns"] >= 1_000_000  # the retry's delay, in virtual time
    assert {line["task"] for line in lines_of(content)} <= {line["task"] for line in execution.log}


def test_a_log_made_outside_tells_the_time_and_tasks_of_the_world_it_is_used_in():
    """A log that is handed into a simulation writes virtual times and the names of simulated threads."""
    stream = io.BytesIO()
    with json_lines(stream) as log:
        execution = simulate(lambda: flaky_job([log]), seed=5)
    lines = lines_of(stream.getvalue())
    theirs = [line for line in execution.log if not line["event"].startswith(("task.", "execution."))]
    first = theirs[0]["t_ns"]
    assert [(line["event"], line["task"], line["t_ns"]) for line in lines] == [
        (line["event"], line["task"], line["t_ns"] - first) for line in theirs
    ]


CRASH = """
import os, sys
from routilux import JobState
from routilux.log import configure
log = configure(sys.argv[1])
log.job_resume(JobState("flow", "job"))
os._exit(1)
"""

FORK = """
import os, sys
from routilux import JobState
from routilux.log import configure, configured
log = configure(sys.argv[1])
log.job_resume(JobState("flow", "parent"))
with log._write.__self__._lock:  # as if another thread were writing
    child = os.fork()
    if not child:
        assert configured() is None
        log.job_resume(JobState("flow", "child"))
        os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert configured() is log
log.job_resume(JobState("flow", "parent"))
"""


@pytest.mark.parametrize(
    ("code", "jobs"), [(CRASH, ["job"]), (FORK, ["parent", "child", "parent"])], ids=["crash", "fork"]
)
def test_lines_outlive_crashes_and_forks(tmp_path, code, jobs):
    """A process that dies loses no line; a forked child has nothing configured, and appends beside its parent."""
    path = tmp_path / "log.jsonl"
    subprocess.run([sys.executable, "-c", code, str(path)], check=code is FORK, cwd=ROOT)
    assert [line["job"] for line in lines_of(path.read_bytes())] == jobs


def test_a_missing_extra_is_named():
    """Without structlog, asking for a log says what to install; everything else works."""
    code = (
        "import sys; sys.modules['structlog'] = None\n"
        "from routilux.log import configure, configured\n"
        "assert configured() is None and configure(None) is None\n"
        "try: configure('log.jsonl')\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "routilux[log]" in done.stdout
