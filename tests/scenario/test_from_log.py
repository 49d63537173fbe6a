"""``from-log``: a scenario out of a log of real threads."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from click.testing import CliRunner, Result

from examples.concurrent_flow_demo import create_concurrent_flow
from routilux import ErrorHandler, Flow, Routine
from routilux.job_state import JobState
from routilux.log import json_lines
from routilux_sim.cli import cli
from routilux_sim.scenario import load_scenario, run_scenario
from routilux_sim.scenario.log_reader import LogFileError, read_log
from scenarios import flows

DEMO = "examples.concurrent_flow_demo:create_concurrent_flow"


def from_log(log, *options: str, flow: str = DEMO) -> Result:
    arguments = [str(log), "--flow", flow, "-o", str(log.with_suffix(".toml")), *options]
    return CliRunner().invoke(cli, ["from-log", *arguments])


def logged(tmp_path, flow: Flow, *entries, actions=()) -> None:
    """Run jobs on real threads, and log them."""
    with json_lines(tmp_path / "production.jsonl") as log:
        flow._log = log
        with flow:
            jobs = [flow.execute(entry, params) for entry, params in entries]
            for seconds, act in actions:
                time.sleep(seconds)
                act(jobs[0])
            for job in jobs:
                JobState.wait_for_completion(flow, job, timeout=60)
    return tmp_path / "production.jsonl"


def starts(execution) -> list[tuple[str, str]]:
    return [(line["routine"], line["slot"]) for line in execution.log if line["event"] == "activation.start"]


@pytest.mark.real_time
def test_the_incident_comes_back(tmp_path):
    """The same activations in the observed order, each as long as it took; other schedules run in other orders."""
    log = logged(tmp_path, create_concurrent_flow(), ("trigger", {"task_id": "a"}), ("trigger", {"task_id": "b"}))
    result = from_log(log, "--params", '{"task_id": "x"}', "--schedules", "40")
    assert result.exit_code == 0, result.output
    scenario = load_scenario(log.with_suffix(".toml"))
    outcome = run_scenario(scenario, schedules=1)
    assert outcome.problem is None
    jobs = read_log(log)
    rows = sorted((row for job in jobs for row in job.activations), key=lambda row: row.start)
    assert starts(outcome.execution) == [(row.routine, row.slot) for row in rows]
    began = min(job.start for job in jobs)
    lines = [line for line in outcome.execution.log if line["event"] == "activation.start"]
    assert [line["t_ns"] for line in lines] == pytest.approx([row.start - began for row in rows], abs=10)
    around = run_scenario(scenario)
    assert around.problem is None
    assert len({sample.duration for sample in around.samples}) > 5


@pytest.mark.real_time
def test_what_production_only_could_show_is_found_beside_it(tmp_path):
    """The sources answered one after the other in production; around that order the aggregator breaks."""
    log = logged(tmp_path, flows.of_equal_sources(), ("trigger", {}))
    flow = "scenarios.flows:of_equal_sources"
    assert from_log(log, "--schedules", "400", flow=flow).exit_code == 0
    incident = log.with_suffix(".toml")
    text = "[expect]\ndelivered = [{ routine = 'formatter', slot = 'aggregated_input', count = 1 }]\n[expect.jobs]"
    incident.write_text(incident.read_text().replace("[expect.jobs]", text))
    scenario = load_scenario(incident)
    if run_scenario(scenario, schedules=1).verdict == "passed":
        outcome = run_scenario(scenario, shrink=False)
        assert outcome.verdict == "failed"
        assert "formatter.aggregated_input got" in outcome.problem


class Unlucky(Routine):
    """Fails when the world is bad, which no simulation knows."""

    bad = False

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.work)

    def work(self):
        if Unlucky.bad:
            raise OSError("the disk is full")


def unlucky() -> Flow:
    flow = Flow(execution_strategy="concurrent")
    flow.add_routine(Unlucky(), "unlucky")
    return flow


@pytest.mark.real_time
def test_errors_come_back_as_faults(tmp_path, monkeypatch):
    """What a handler raised it raises again, whatever made it."""
    monkeypatch.setattr(Unlucky, "bad", True)
    log = logged(tmp_path, unlucky(), ("unlucky", {}))
    monkeypatch.setattr(Unlucky, "bad", False)
    assert from_log(log, flow="tests.scenario.test_from_log:unlucky").exit_code == 0
    outcome = run_scenario(load_scenario(log.with_suffix(".toml")), schedules=5)
    assert outcome.problem is None
    assert outcome.figures.status == "failed"
    assert "OSError: the disk is full" in outcome.execution.log_bytes().decode()


class Halting(Routine):
    """Emits twice, with an error between them at its second and third call."""

    def __init__(self):
        super().__init__()
        self.define_slot("trigger", handler=self.work)
        self.define_event("done", ["item"])
        self._calls = 0

    def work(self, item):
        self._calls += 1
        bad = self._calls in (2, 3) and not self.get_config("is_well", False)
        self.emit("done", item=item)
        time.sleep(0.01)
        if bad:
            raise ConnectionError("no line")
        self.emit("done", item=item)


class Slowly(Routine):
    """Takes a while, in an event loop."""

    def __init__(self):
        super().__init__()
        self.define_slot("item", handler=self.work)

    async def work(self, item):
        await asyncio.sleep(0.005)


def halting(is_well: bool = False) -> Flow:
    flow = Flow(execution_strategy="concurrent", max_workers=1)
    flow.add_routine(flows.Source(), "source")
    flow.add_routine(Halting(), "halting")
    flow.add_routine(Slowly(), "slowly")
    flow.routines["halting"].set_config(is_well=is_well)
    flow.connect("source", "item", "halting", "trigger")
    flow.connect("halting", "done", "slowly", "item")
    flow.set_error_handler(ErrorHandler("retry", max_retries=3, retry_delay=0.02))
    return flow


@pytest.mark.real_time
@pytest.mark.parametrize("is_well", [False, True])
def test_attempts_that_failed_halfway_come_back(tmp_path, is_well):
    """With what they had emitted and the time they took; whether the code fails by itself or only its world was bad."""
    log = logged(tmp_path, halting(), ("source", {"items": 2}))
    assert log.read_text().count("activation.retry") == 2
    assert from_log(log, "--params", '{"items": 2}', flow="tests.scenario.test_from_log:halting").exit_code == 0
    incident = log.with_suffix(".toml")
    if is_well:
        incident.write_text(incident.read_text().replace("[flow]", "[flow]\narguments = { is_well = true }"))
    outcome = run_scenario(load_scenario(incident), schedules=1)
    assert outcome.problem is None
    retries = [line["t_ns"] for line in outcome.execution.log if line["event"] == "activation.retry"]
    jobs = read_log(log)
    began = min(job.start for job in jobs)
    ends = sorted(row.end - began for job in jobs for row in job.activations if row.status == "retry")
    assert retries == pytest.approx(ends, abs=10)


@pytest.mark.real_time
@pytest.mark.parametrize("strategy", ["sequential", "concurrent"])
def test_pauses_and_cancellations_come_back(tmp_path, strategy):
    """When they came; and jobs run the way they did."""
    flow = flows.pipeline(max_workers=1, seconds=0.05)
    flow.set_execution_strategy(strategy)
    actions = () if strategy == "sequential" else ((0.02, flow.pause), (0.1, flow.resume), (0.02, flow.cancel))
    log = logged(tmp_path, flow, ("source", {"items": 4}), actions=actions)
    assert from_log(log, "--params", '{"items": 4}', flow="scenarios.flows:pipeline").exit_code == 0
    scenario = load_scenario(log.with_suffix(".toml"))
    assert scenario.jobs[0].execution_strategy == strategy
    assert [action.do for action in scenario.jobs[0].actions] == (["pause", "resume", "cancel"] if actions else [])
    text = log.with_suffix(".toml").read_text().replace("pipeline", "quick_pipeline")
    log.with_suffix(".toml").write_text(text.replace("scenarios.flows", "tests.scenario.test_from_log"))
    outcome = run_scenario(load_scenario(log.with_suffix(".toml")), schedules=1)
    assert outcome.figures.status == ("cancelled" if actions else "completed")


def quick_pipeline() -> Flow:
    return flows.pipeline(max_workers=1, seconds=0.0)


@pytest.mark.real_time
def test_a_job_that_stayed_paused_does_so_again(tmp_path):
    """The log ends before the job does."""
    flow = flows.pipeline(max_workers=1, seconds=0.02)
    with json_lines(tmp_path / "production.jsonl") as log:
        flow._log = log
        job = flow.execute("source", {"items": 3})
        time.sleep(0.01)
        flow.pause(job)
    flow.cancel(job)
    flow.shutdown()
    path = tmp_path / "production.jsonl"
    options = ["--params", '{"items": 3}']
    assert from_log(path, *options, flow="tests.scenario.test_from_log:quick_pipeline").exit_code == 0
    outcome = run_scenario(load_scenario(path.with_suffix(".toml")), schedules=1)
    assert (outcome.problem, outcome.figures.status) == (None, "paused")


START = {"event": "job.start", "flow": "f", "job": "j", "seq": 0, "t_ns": 5, "task": "MainThread"}
BEGIN = {"event": "activation.start", "job": "j", "routine": "a", "slot": "trigger", "activation": 1, "t_ns": 6}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{"], ":1: not a JSON object"),
        (["[]"], ":1: must be a JSON object, not []"),
        ([{}], ":1: 'event' must be a string, not None"),
        ([{"event": "boot"}], ":1: there is no event 'boot' in an execution log; is this one?"),
        ([{**START, "t_ns": -1}], ":1: 't_ns' must be a whole number from 0 up, not -1"),
        ([{**START, "t_ns": True}], ":1: 't_ns' must be a whole number from 0 up, not True"),
        ([START, START], ":2: job 'j' begins a second time; read one run's log alone"),
        ([START, {**BEGIN, "task": "w", "t_ns": 4}], ":2: 't_ns' is 4, and the job began at 5"),
        ([START, BEGIN], ":2: 'task' must be a string, not None"),
        (
            [START, {**BEGIN, "task": "w", "event": "activation.end", "status": "completed"}],
            ":2: activation 1 of job 'j' ends without a start",
        ),
        ([{**START, "job": "\ud800"}], ":1: 'job' is no text"),
    ],
)
def test_a_log_that_is_none_is_refused(tmp_path, lines, message):
    """With the file, the line and what is wrong; exit code 2."""
    path = tmp_path / "production.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    with pytest.raises(LogFileError) as caught:
        read_log(path)
    assert str(caught.value).startswith(f"{path}{message}")
    result = from_log(path)
    assert result.exit_code == 2
    assert not path.with_suffix(".toml").exists()


def test_jobs_from_before_the_log_are_left_out(tmp_path):
    """As are lines of the simulator's own, and empty ones."""
    path = tmp_path / "production.jsonl"
    lines = [{**BEGIN, "job": "earlier", "task": "w"}, {"event": "task.start"}, START, {**BEGIN, "task": "w"}]
    path.write_text("\n\n".join(json.dumps(line) for line in lines))
    assert [(job.name, len(job.activations)) for job in read_log(path)] == [("j", 1)]


OTHER = {**START, "job": "k", "flow": "g"}


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        ([], [], "no job begins in it"),
        ([START], [], "no job begins in it"),
        ([START, {**BEGIN, "task": "w"}], ["--job", "x"], "has no job 'x'; there are: 'j'"),
        ([START, {**BEGIN, "task": "w"}], [], "do not go together"),
        (
            [START, OTHER, {**BEGIN, "task": "w"}, {**BEGIN, "job": "k", "task": "v"}],
            [],
            "the jobs are of several flows, 'f', 'g'; name those of one with --job",
        ),
        ([START, {**BEGIN, "task": "w"}], ["--params", "{"], "not a JSON object"),
        ([START, {**BEGIN, "task": "w"}], ["--params", "[]"], "must be a JSON object, not []"),
        ([START, {**BEGIN, "task": "w"}], ["--params", '{"a": [null]}'], "null is nothing that a scenario can hold"),
        ([START, {**BEGIN, "task": "w"}], ["--only-from", "scenarios"], "is not allowed"),
        ([START, {**BEGIN, "task": "w"}], ["--schedules", "0"], "0 is not in the range x>=1"),
        ([START, {**BEGIN, "task": "w"}], ["-o", "absent/incident.toml"], "No such file or directory"),
    ],
)
def test_what_cannot_become_a_scenario_is_refused(tmp_path, lines, options, message):
    """A usage error, exit code 2, and no file."""
    path = tmp_path / "production.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    result = from_log(path, *options)
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.output.split())
    assert not path.with_suffix(".toml").exists()


def test_an_order_that_does_not_come_back_is_said_so(tmp_path):
    """The flow does something else than it did in production: nothing can be said."""
    path = tmp_path / "incident.toml"
    path.write_text(
        "[flow]\nfactory = 'scenarios.flows:pipeline'\n[run]\nentry = 'source'\nparams = { items = 1 }\n[observed]\n"
        "activations = [{ job = 'job', routine = 'source', slot = 'trigger', start = 0 }]"
    )
    outcome = run_scenario(load_scenario(path))
    assert outcome.verdict == "inconclusive"
    assert outcome.problem == (
        "the observed order does not come back: start 2 was nothing in production, and is worker.trigger of job here"
    )
