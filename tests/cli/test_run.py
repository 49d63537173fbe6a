"""``routilux run``."""

from __future__ import annotations

import json
import sys

import pytest

from routilux import JobState


def test_a_completed_job_exits_with_0(routilux):
    """What was sent is printed as it came, then the outcome, a routine a line."""
    result = routilux.run("--param", "orders=2")
    assert result.exit_code == 0, result.output
    sent, outcome = result.stdout.splitlines()[:2], result.stdout.splitlines()[2:]
    assert sent == ['pack packed: {"number": 0}', 'pack packed: {"number": 1}']
    assert " of orders: completed (" in outcome[0]
    assert [line.split()[:3] for line in outcome[1:]] == [
        ["routine", "state", "done"],
        ["desk", "completed", "1"],
        ["pack", "completed", "2"],
    ]
    assert result.stderr == ""


def test_a_failed_job_exits_with_1_and_says_why_in_one_line(routilux):
    """The exception's message is put on one line; the traceback comes when asked for."""
    result = routilux.run("--param", "orders=9", "--quiet")
    assert result.exit_code == 1
    assert "failed" in result.stdout.splitlines()[0]
    assert result.stdout.splitlines()[0].endswith("LookupError: number 7 is not on the shelf")
    assert "Traceback" not in result.output
    assert "Traceback" in routilux.run("--param", "orders=9", "--traceback").stdout


def test_the_outcome_as_json_has_stable_keys(routilux):
    """One line, sorted, with figures and outputs; nothing else on standard output."""
    result = routilux.run("--param", "orders=2", "--json")
    outcome = json.loads(result.stdout)
    assert list(outcome) == [
        "error",
        "figures",
        "flow",
        "job",
        "outputs",
        "outstanding",
        "reason",
        "routines",
        "status",
        "traceback",
    ]
    assert (outcome["flow"], outcome["status"], outcome["error"]) == ("orders", "completed", None)
    assert outcome["routines"] == {"desk": "completed", "pack": "completed"}
    assert outcome["figures"]["pack"]["completed"] == 2
    assert [each["data"] for each in outcome["outputs"]] == [{"number": 0}, {"number": 1}]
    failed = json.loads(routilux.run("--param", "orders=9", "--json").stdout)
    assert failed["error"] == "LookupError: number 7 is\nnot on the shelf"
    assert failed["traceback"].startswith("Traceback")


def test_quiet_prints_the_outcome_alone(routilux):
    """Neither what was sent nor warnings."""
    result = routilux.run("--param", "orders=1", "--quiet", factory="doubtful")
    assert "packed" not in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("strategy", ["sequential", "concurrent"])
def test_a_paused_job_exits_with_3_and_can_be_saved(routilux, strategy):
    """The document holds what is outstanding; how it goes on is said on standard error."""
    result = routilux.run("--param", "orders=2", "--param", "pause=true", "--strategy", strategy, "--save", "job.json")
    assert result.exit_code == 3, result.output
    assert "paused, 2 outstanding" in result.stdout
    assert "to be approved" in result.stdout
    assert "saved in job.json" in result.stderr
    job = JobState.load(routilux.directory / "job.json")
    assert [task.data for task in job.pending_tasks] == [{"number": 0}, {"number": 1}]


def test_a_job_that_ends_is_not_saved(routilux):
    """``--save`` is for jobs that are to go on."""
    assert routilux.run("--param", "orders=1", "--save", "job.json").exit_code == 0
    assert not (routilux.directory / "job.json").exists()


def test_a_paused_job_that_nothing_keeps_is_said_to_be_lost(routilux):
    """With what would have kept it."""
    result = routilux.run("--param", "orders=1", "--param", "pause=true")
    assert "nothing keeps it" in result.stderr
    assert "--store or --save" in result.stderr


def test_parameters_come_from_a_file_and_one_by_one(routilux):
    """Those given one by one come first; what is not JSON is text."""
    (routilux.directory / "params.json").write_text('{"orders": 1, "a": [1], "b": 2}')
    routilux.run("--params", "params.json", "--param", "b=x=y", "--param", 'c={"d": null}')
    assert sys.modules["flows_of_the_cli"].calls == [{"a": [1], "b": "x=y", "c": {"d": None}}]


def test_parameters_come_from_standard_input(routilux):
    """``--params -`` reads the object there."""
    assert routilux.run("--params", "-", stdin='{"orders": 0}').exit_code == 0


def test_workers_are_counted_for_concurrent_jobs(routilux):
    """With one worker, orders are packed in their order."""
    result = routilux.run("--param", "orders=5", "--strategy", "concurrent", "--max-workers", "1", "--json")
    assert [each["data"]["number"] for each in json.loads(result.stdout)["outputs"]] == [0, 1, 2, 3, 4]


def test_the_log_has_the_events_of_the_job(routilux):
    """``--log`` writes JSON lines with sorted keys."""
    assert routilux.run("--param", "orders=0", "--log", "out.jsonl").exit_code == 0
    lines = [json.loads(line) for line in (routilux.directory / "out.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["job.start", "activation.start", "activation.end", "job.end"]
    assert all(list(line) == sorted(line) for line in lines)


def test_errors_in_the_wiring_refuse_the_run(routilux):
    """They are told one a line, and nothing runs, unless it is forced to."""
    refused = routilux.run("--param", "orders=1", factory="odd")
    assert refused.exit_code == 2
    assert refused.stdout == ""
    assert "error: routine 'island' is out of reach" in refused.stderr
    assert "--force" in refused.stderr.splitlines()[-1]
    forced = routilux.run("--param", "orders=1", "--force", factory="odd")
    assert forced.exit_code == 0
    assert "'island'" in forced.stderr


def test_warnings_about_the_wiring_are_told_and_do_not_refuse(routilux):
    """They are for people: on standard error, also when a program reads standard output."""
    result = routilux.run("--param", "orders=0", "--json", factory="doubtful")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["status"] == "completed"
    assert "routilux: warning: " in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--param", "name"], "'name' must be NAME=VALUE"),
        (["--params", "absent.json"], "'absent.json': No such file"),
        (["--params", "flows_of_the_cli.py"], "'flows_of_the_cli.py' is not JSON"),
        (["--timeout", "0"], "0"),
        (["--strategy", "parallel"], "'parallel' is not one of"),
        (["--max-workers", "2"], "add --strategy concurrent"),
        (["--save", "absent/job.json"], "'absent/job.json' is in no directory"),
        (["--log", "absent/out.jsonl"], "absent/out.jsonl"),
        (["--store", "flows_of_the_cli.py"], "not a database"),
        (["--frobnicate"], "--frobnicate"),
    ],
)
def test_bad_arguments_exit_with_2(routilux, arguments, message):
    """In one line on standard error that names what is wrong."""
    result = routilux.run("--param", "orders=1", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("routilux: ")


def test_an_array_is_no_parameters(routilux):
    """A JSON file must hold an object."""
    result = routilux.run("--params", "-", stdin="[1]")
    assert result.exit_code == 2
    assert "must hold a JSON object of names to values, not an array" in result.stderr


def test_an_unknown_entry_exits_with_2(routilux):
    """The message lists the routines there are."""
    result = routilux("run", "flows_of_the_cli:make", "--entry", "nobody")
    assert result.exit_code == 2
    assert "unknown routine 'nobody' in flow 'orders'; there are: 'desk', 'pack'" in result.stderr
    assert "Missing option '--entry'" in routilux("run", "flows_of_the_cli:make").stderr


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("flows_of_the_cli", "write 'package.module:name'"),
        ("flows_of_the_cli:nobody", "there is no 'nobody'"),
        ("absent:make", "No module named 'absent'"),
        ("flows_of_the_cli:calls", "cannot be called"),
        ("flows_of_the_cli:nothing", "must return a Flow"),
        ("flows_of_the_cli:failing", "KeyError: 'key' (flows_of_the_cli.py, line "),
        ("flows_of_the_cli:quitting", "ended the program"),
        ("broken:make", "ZeroDivisionError: division by zero (broken.py, line 2)"),
    ],
)
def test_a_factory_that_makes_no_flow_exits_with_2(routilux, path, message):
    """In one line that names it, and where in its code things went wrong."""
    (routilux.directory / "broken.py").write_text("\n1 / 0\n")
    result = routilux("run", path, "--entry", "x")
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_job_is_recorded_in_a_store(routilux):
    """``--store`` makes the file; a paused job's way on is said with it."""
    result = routilux.run("--param", "orders=1", "--param", "pause=true", "--store", "orders.db")
    assert result.exit_code == 3
    assert "routilux jobs orders.db resume job-" in result.stderr
    assert "--flow flows_of_the_cli:make" in result.stderr
    assert (routilux.directory / "orders.db").exists()


def test_a_store_needs_a_flow_with_an_id_of_its_own(routilux):
    """One that was made up would not be found again."""
    result = routilux.run("--param", "orders=1", "--store", "orders.db", factory="nameless")
    assert result.exit_code == 2
    assert "give it one where it is made: Flow('orders')" in result.stderr
    assert routilux.run("--param", "orders=1", factory="nameless").exit_code == 0


def test_a_flow_with_a_store_takes_no_other(routilux):
    """The same one may be named; another is refused."""
    assert routilux.run("--param", "orders=1", "--store", "./orders.db", factory="stored").exit_code == 0
    other = routilux.run("--param", "orders=1", "--store", "other.db", factory="stored")
    assert other.exit_code == 2
    assert "records its jobs in 'orders.db' already, not in 'other.db'" in other.stderr
    assert not (routilux.directory / "other.db").exists()


def test_a_progress_bar_without_a_terminal_is_one_line_if_asked_for(routilux):
    """By default there is none."""
    assert routilux.run("--param", "orders=2").stderr == ""
    asked = routilux.run("--param", "orders=2", "--progress")
    assert asked.stderr.startswith("jobs: 1 completed; activations: 3 done;")


def test_a_progress_bar_without_rich_says_what_to_install(routilux, monkeypatch):
    """If it was asked for."""
    monkeypatch.setitem(sys.modules, "rich.console", None)
    result = routilux.run("--param", "orders=2", "--progress")
    assert result.exit_code == 2
    assert "pip install 'routilux[progress]'" in result.stderr
