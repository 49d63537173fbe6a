"""``routilux jobs``."""

from __future__ import annotations

import json
import sqlite3

import pytest

from routilux.store import JobStore

SUMMARY = ["created", "ended", "flow", "interrupted", "job", "outstanding", "status", "updated"]


@pytest.fixture
def paused(routilux):
    """The id of a paused job with two activations outstanding."""
    return routilux.record("--param", "orders=2", "--param", "pause=true")


@pytest.fixture
def failed(routilux):
    return routilux.record("--param", "orders=8")


def left_running(job_id):
    """Make a store say what it does when its process was killed: the job is running."""
    with sqlite3.connect("orders.db") as database:
        database.execute("UPDATE jobs SET status = 'running' WHERE job_id = ?", (job_id,))
    database.close()


# Looking


def test_jobs_are_listed_oldest_first(routilux, paused, failed):
    """A line each, in aligned columns."""
    result = routilux.jobs("list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["job", "flow", "status", "ended", "outstanding", "created", "updated"]
    assert [line.split()[:5] for line in lines[1:]] == [
        [paused, "orders", "paused", "1", "2"],
        [failed, "orders", "failed", "9", "0"],
    ]
    assert len({line.index(status) for line, status in zip(lines[1:], ["paused", "failed"], strict=True)}) == 1


def test_the_list_as_json_has_stable_keys(routilux, paused, failed):
    """An array, also when it is empty."""
    found = json.loads(routilux.jobs("list", "--json").stdout)
    assert [list(job) for job in found] == [SUMMARY, SUMMARY]
    assert [(job["job"], job["status"], job["outstanding"]) for job in found] == [
        (paused, "paused", 2),
        (failed, "failed", 0),
    ]
    assert json.loads(routilux.jobs("list", "--json", "--flow", "others").stdout) == []


def test_the_list_can_be_narrowed(routilux, paused, failed):
    """By flow and by status."""
    assert failed not in routilux.jobs("list", "--status", "paused").stdout
    assert paused in routilux.jobs("list", "--status", "paused", "--flow", "orders").stdout
    nothing = routilux.jobs("list", "--flow", "others")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "no such jobs in orders.db" in nothing.stderr


def test_a_job_whose_process_is_gone_is_interrupted(routilux, paused):
    """While somebody has the store open it may be running."""
    left_running(paused)
    assert "interrupted" in routilux.jobs("list").stdout
    assert json.loads(routilux.jobs("list", "--status", "interrupted", "--json").stdout)[0]["status"] == "running"
    with JobStore("orders.db"):
        assert "interrupted" not in routilux.jobs("list").stdout
        assert paused in routilux.jobs("list", "--status", "running").stdout


def test_a_job_is_shown_with_all_that_there_is(routilux, paused):
    """Figures, the reason why it is paused, what is outstanding, its history."""
    result = routilux.jobs("show", paused)
    assert result.exit_code == 0
    shown = result.stdout
    assert shown.startswith(f"{paused} of orders: paused\n")
    assert "reason   to be approved" in shown
    assert 'pack.order        1  {"number": 0}' in shown
    assert "history, 1 of 1" in shown
    assert "desk     completed  trigger, 0.0" in shown


def test_the_error_is_shown_with_its_traceback(routilux, failed):
    """As the process that ran it would have printed it."""
    shown = routilux.jobs("show", failed, "--history", "2").stdout
    assert "error    LookupError: number 7 is not on the shelf" in shown
    assert "Traceback (most recent call last):" in shown
    assert "history, 2 of 9" in shown
    assert '{"number": 6}' in shown


def test_a_job_as_json_has_stable_keys(routilux, paused):
    """What the outcome of a run has, what a line of the list has, and the details."""
    found = json.loads(routilux.jobs("show", paused, "--json", "--history", "0").stdout)
    details = {"deferred", "history", "pending", "recorded"}
    outcome = {"error", "figures", "outputs", "reason", "routines", "traceback"}
    assert list(found) == sorted({*SUMMARY, *details, *outcome})
    assert found["history"] == []
    assert [(task["routine"], task["slot"], task["data"]) for task in found["pending"]] == [
        ("pack", "order", {"number": 0}),
        ("pack", "order", {"number": 1}),
    ]


def test_a_job_may_be_named_by_the_beginning_of_its_id(routilux, paused):
    """``job-`` need not be typed."""
    for name in (paused, paused[:9], paused.removeprefix("job-")[:6]):
        assert routilux.jobs("show", name).stdout.startswith(paused)


def test_a_beginning_that_several_jobs_have_is_refused_with_their_names(routilux, paused, failed):
    """Also when one of them is the whole id of none; an unknown one says where to look."""
    result = routilux.jobs("show", "job-")
    assert result.exit_code == 2
    assert f"may be any of 2 jobs: {paused}, {failed}; give more of its id" in result.stderr
    unknown = routilux.jobs("show", "zzz")
    assert unknown.exit_code == 2
    assert "there is no job 'zzz' in 'orders.db'" in unknown.stderr


def test_an_id_that_is_the_beginning_of_another_names_its_own_job(routilux, paused):
    """``job-a-1`` is not ``job-a-10``."""
    with JobStore("orders.db") as store:
        job = store.load(paused)
        job.job_id = f"{paused}0"
        store.put(job)
    assert routilux.jobs("show", paused).stdout.startswith(f"{paused} of")


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["show", "x"],
        ["resume", "x", "--flow", "flows_of_the_cli:stored"],
        ["cancel", "x"],
        ["delete", "x"],
        ["prune", "--keep", "1"],
    ],
)
def test_a_store_that_is_not_there_is_refused_and_not_made(routilux, arguments):
    """Not even by a factory that would."""
    result = routilux.jobs(*arguments)
    assert result.exit_code == 2
    assert "there is no job store 'orders.db'" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not list(routilux.directory.glob("orders.db*"))


def test_a_file_that_is_no_store_is_refused(routilux):
    """It is not touched."""
    (routilux.directory / "orders.db").write_text("hello")
    assert routilux.jobs("list").exit_code == 2
    with sqlite3.connect("other.db") as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    assert "not a routilux job store" in routilux("jobs", "other.db", "cancel", "x").stderr
    assert (routilux.directory / "orders.db").read_text() == "hello"


@pytest.mark.parametrize("left_out", [["list"], ["show", "x"]])
def test_a_store_that_was_left_out_is_noticed(routilux, left_out):
    """``jobs list`` does not take ``list`` for a file."""
    result = routilux("jobs", *left_out)
    assert result.exit_code == 2
    assert f"routilux jobs STORE {left_out[0]}" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [["jobs"], ["jobs", "STORE", "list"], ["jobs", "list"], ["jobs", "STORE"], ["run"], ["graph"], []],
)
def test_help_comes_with_an_example(routilux, arguments):
    """Also for commands of a store, without one."""
    result = routilux(*arguments, "--help")
    assert result.exit_code == 0
    assert "For example:" in result.stdout
    assert "$ routilux " in result.stdout


@pytest.mark.parametrize("name", ["list", "show", "resume", "cancel", "delete", "prune"])
def test_each_command_of_a_store_has_an_example(routilux, name):
    """Of itself."""
    assert f"$ routilux jobs orders.db {name}" in routilux.jobs(name, "--help").stdout


# Letting go on


@pytest.mark.parametrize("factory", ["make", "stored"])
def test_a_paused_job_goes_on(routilux, paused, factory):
    """With the figures of before; the store is the flow's own, or is given to it."""
    result = routilux.jobs("resume", paused, "--flow", f"flows_of_the_cli:{factory}")
    assert result.exit_code == 0, result.output
    assert 'pack packed: {"number": 1}' in result.stdout
    assert f"{paused} of orders: completed" in result.stdout
    assert "completed" in routilux.jobs("list").stdout


def test_an_interrupted_job_goes_on(routilux, paused):
    """What was not recorded as ended runs; the outcome as JSON is that of a run."""
    left_running(paused)
    result = routilux.jobs("resume", paused, "--flow", "flows_of_the_cli:make", "--json")
    outcome = json.loads(result.stdout)
    assert (outcome["job"], outcome["status"]) == (paused, "completed")
    assert outcome["figures"]["desk"]["completed"] == 1
    assert outcome["figures"]["pack"]["completed"] == 2


def test_all_jobs_of_a_flow_go_on(routilux, paused, failed):
    """Not those that have ended, nor those of others; the exit code is that of the worst."""
    broken = routilux.record("--param", "orders=8", "--param", "pause=true")
    others = routilux.record("--param", "orders=1", "--param", "pause=true", factory="other")
    result = routilux.jobs("resume", "--all", "--flow", "flows_of_the_cli:make", "--json")
    assert result.exit_code == 1
    outcomes = json.loads(result.stdout)
    assert [(each["job"], each["status"]) for each in outcomes] == [(paused, "completed"), (broken, "failed")]
    assert "1 job" in result.stderr
    assert others in routilux.jobs("list", "--status", "paused").stdout
    again = routilux.jobs("resume", "--all", "--flow", "flows_of_the_cli:make")
    assert (again.exit_code, again.stdout) == (0, "")
    assert "has no job in orders.db that is to go on" in again.stderr


def test_a_job_goes_on_in_its_own_flow_only(routilux, paused):
    """The message names both flows."""
    result = routilux.jobs("resume", paused, "--flow", "flows_of_the_cli:other")
    assert result.exit_code == 2
    assert "is of flow 'orders', not of 'others'" in result.stderr
    assert paused in routilux.jobs("list", "--status", "paused").stdout


def test_a_job_that_has_ended_does_not_go_on(routilux, failed):
    """It says how it ended."""
    result = routilux.jobs("resume", failed, "--flow", "flows_of_the_cli:make")
    assert (result.exit_code, "is failed, which is final" in result.stderr) == (2, True)


@pytest.mark.parametrize("arguments", [[], ["x", "--all"]])
def test_one_job_or_all_of_them(routilux, paused, arguments):
    """Neither none nor both."""
    result = routilux.jobs("resume", *arguments, "--flow", "flows_of_the_cli:make")
    assert (result.exit_code, "--all" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("damage", "problem"), [("slot = 'gone'", "'gone'"), ("data = '{'", "JSON")], ids=["unfit", "unreadable"]
)
def test_jobs_that_cannot_be_taken_up_do_not_hinder_others(routilux, paused, damage, problem):
    """They are told of, and make the exit code 2."""
    broken = routilux.record("--param", "orders=1", "--param", "pause=true")
    with sqlite3.connect("orders.db") as database:
        database.execute(f"UPDATE activations SET {damage} WHERE job_id = ? AND outcome IS NULL", (broken,))
    database.close()
    result = routilux.jobs("resume", "--all", "--flow", "flows_of_the_cli:make")
    assert result.exit_code == 2
    assert problem in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert f"{paused} of orders: completed" in result.stdout


# Ending and forgetting


def test_a_job_that_nobody_runs_is_cancelled(routilux, paused):
    """The reason is kept; what was outstanding is dropped; it cannot be cancelled twice."""
    result = routilux.jobs("cancel", paused[:8], "--reason", "ordered twice")
    assert (result.exit_code, result.stdout) == (0, f"{paused} of orders: cancelled, 2 outstanding dropped\n")
    found = json.loads(routilux.jobs("show", paused, "--json").stdout)
    assert (found["status"], found["reason"], found["pending"]) == ("cancelled", "ordered twice", [])
    again = routilux.jobs("cancel", paused)
    assert (again.exit_code, "is cancelled already" in again.stderr) == (2, True)


def test_a_job_that_has_ended_is_forgotten(routilux, failed):
    """One that has not needs to be cancelled first, or --force."""
    paused = routilux.record("--param", "orders=2", "--param", "pause=true")
    refused = routilux.jobs("delete", paused)
    assert refused.exit_code == 2
    assert "is paused, with 2 outstanding; cancel it first" in refused.stderr
    assert routilux.jobs("delete", failed).exit_code == 0
    assert [job["job"] for job in json.loads(routilux.jobs("list", "--json").stdout)] == [paused]
    assert routilux.jobs("delete", paused, "--force").exit_code == 0
    assert "no jobs in orders.db" in routilux.jobs("list").stderr


def test_the_latest_jobs_that_have_ended_stay(routilux, paused):
    """Those that have not ended are not counted, and stay."""
    ended = [routilux.record("--param", "orders=0") for _ in range(3)]
    assert routilux.jobs("prune", "--keep", "1", "--flow", "others").stdout == "0 jobs forgotten\n"
    assert routilux.jobs("prune", "--keep", "1", "--flow", "orders").stdout == "2 jobs forgotten\n"
    left = [job["job"] for job in json.loads(routilux.jobs("list", "--json").stdout)]
    assert left == [paused, ended[-1]]
