"""The benchmark's report and the soak's judgement, on sizes that tell nothing of speed."""

from __future__ import annotations

import functools
import json
import math
import subprocess
import sys
import threading
from functools import partial

import pytest

from benchmarks import (
    campaigns,
    costs,
    engine,
    fresh,
    growth,
    hunting,
    page,
    peers,
    plot,
    simulated,
    simulator,
    soak,
    steering,
)
from benchmarks.fresh import Cost
from benchmarks.report import Case, Figure, Report
from routilux_sim import explore as explore_memory

# These tests are about synchronization operations alone.
explore = functools.partial(explore_memory, instrument=None)


@pytest.fixture(scope="module")
def report():
    """A run a hundredth the size."""
    lines = []
    report = engine.run(short=True, peers=False, scale=100, say=lines.append)
    report.lines = lines
    return report


@pytest.mark.long
@pytest.mark.real_time
def test_a_run_measures_each_case_for_us_and_for_the_executor(report):
    """Every case has both times and their ratio, and every line of the table is said."""
    assert [case.name for case in report.cases] == ["flat", "chain", "fan-out"]
    for case in report.cases:
        ours, theirs = case.microseconds["routilux"], case.microseconds["executor"]
        assert ours > 0
        assert case.ratio("routilux") == ours / theirs
        assert any(case.title in line and f"{ours:.2f}" in line for line in report.lines)


@pytest.mark.long
@pytest.mark.real_time
def test_the_json_names_what_it_was_measured_on(report, tmp_path):
    """The document can be read back, with the machine, the versions, every ratio and every figure."""
    path = tmp_path / "new" / "report.json"
    report.write_json(path)
    document = json.loads(path.read_text(encoding="utf-8"))
    assert (document["format"], document["version"]) == ("routilux-benchmark", 1)
    assert document["python"].endswith(".".join(map(str, sys.version_info[:3])))
    assert document["versions"]["routilux"]
    assert {"date", "machine", "workers", "short", "absent", "missed"} <= document.keys()
    assert all(case["ratios"]["executor"] == 1 for case in document["cases"])
    named = {figure["name"]: figure for figure in document["figures"]}
    assert named["memory of a queued event"]["goal"] == 300
    assert named["import routilux adds"]["unit"] == "ms"
    assert named["modules that must not come with it"]["value"] == 0


@pytest.fixture
def invented():
    """A report of numbers that are easy to judge."""
    microseconds = {"routilux": 2.0, "executor": 10.0, "dask": 200.0}
    cases = [
        Case("flat", "flat 10", 10, 0.25, microseconds),
        Case("chain", "chain of 10", 10, 0.1, {"routilux": 2.0, "executor": 10.0}),
    ]
    return Report(False, 4, cases, [Figure("memory", 390.0, "bytes", 300), Figure("sleeps", None, "s", 1)])


def test_a_goal_is_missed_when_it_is_exceeded_by_more_than_the_tolerance(invented):
    """What is met, what has no value and what is tolerated is not reported."""
    assert [line.split(":")[0] for line in invented.missed()] == ["chain of 10", "memory"]
    assert [line.split(":")[0] for line in invented.missed(tolerance=0.5)] == ["chain of 10"]
    assert list(invented.missed(tolerance=1.0)) == []


@pytest.mark.parametrize(
    ("missed", "arguments", "code"), [(True, [], 0), (True, ["--check"], 1), (False, ["--check"], 0)]
)
def test_a_missed_goal_is_the_exit_code_only_when_asked_to_check(
    missed, arguments, code, monkeypatch, tmp_path, capsys
):
    """Machines are shared, so a plain run reports and ends well."""
    found = Report(False, 4, [], [Figure("memory", 301.0 if missed else 299.0, "bytes", 300)])
    monkeypatch.setattr(engine, "run", lambda **_: found)
    monkeypatch.setattr(engine, "write_plot", lambda *_: None)
    assert engine.main([*arguments, "--json", str(tmp_path / "a.json")]) == code
    assert ("missed: memory: 301 bytes" in capsys.readouterr().out) is missed


@pytest.mark.parametrize("suffix", plot.SUFFIXES)
def test_the_plot_is_written_in_the_format_of_its_suffix(suffix, invented, tmp_path):
    """With matplotlib, a case that somebody has not done included."""
    pytest.importorskip("matplotlib", reason="the extra 'bench' is not installed")
    path = tmp_path / f"plot{suffix}"
    plot.write_plot(invented, path)
    assert path.read_bytes().lstrip().startswith(b"\x89PNG" if suffix == ".png" else b"<?xml")


def test_without_matplotlib_the_plot_is_left_out_by_name(invented, monkeypatch, tmp_path, capsys):
    """The JSON is written all the same."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    engine.write(invented, tmp_path / "a.json", tmp_path / "a.svg")
    assert "plot: left out" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_plot_of_another_format_is_refused_before_anything_is_measured(capsys):
    """It would be a pity afterwards."""
    with pytest.raises(SystemExit):
        engine.main(["--plot", "a.bmp"])
    assert ".svg or .png" in capsys.readouterr().err


def test_a_peer_that_is_not_installed_is_left_out_by_name(monkeypatch):
    """And the others are measured."""
    monkeypatch.setitem(sys.modules, "pypeln", None)
    found, absent = peers.present((peers.Executor, peers.Pypeln))
    assert found == [peers.Executor]
    assert "pypeln" in absent["pypeln"]


COUNTED = [
    (who, case)
    for who in (peers.Executor, *peers.present()[0])
    for case in ("flat", "chain", "fan-out")
    if who.can(case)
]


@pytest.mark.real_time
@pytest.mark.parametrize(("who", "case"), COUNTED, ids=[f"{who.name}-{case}" for who, case in COUNTED])
def test_the_yardstick_and_the_peers_do_as_many_activations_as_ours(who, case, monkeypatch):
    """Calls of their handlers are counted, for the executor and for whatever is installed."""
    calls = []

    def count(value=None):
        calls.append(value)
        return value

    monkeypatch.setattr(peers, "nothing", count)
    with who(case) as ready:
        ready.work(5)
    expected = 5 * peers.ACTIVATIONS_A_FAN_OUT if case == "fan-out" else 5
    assert len(calls) == expected


@pytest.mark.real_time
def test_ours_does_as_many_activations_as_the_goals_are_for():
    """13 a round of the fan-out, by the tracker."""
    with peers.Routilux("fan-out") as ready:
        ready.work(5)
        performance = ready._flow.execution_tracker.get_flow_performance()
    assert performance["total_executions"] == 5 * peers.ACTIVATIONS_A_FAN_OUT


@pytest.mark.real_time
def test_coroutines_that_are_not_supported_have_no_figure(monkeypatch):
    """The table says why, and no goal is missed by it."""

    def refuse(*_):
        raise costs.UnsupportedError("no coroutines")

    monkeypatch.setattr(costs, "sleeping_coroutines", refuse)
    figure = engine.asleep(10)
    assert (figure.value, figure.note) == (None, "not supported: no coroutines")


@pytest.mark.real_time
def test_a_short_soak_finds_nothing():
    """Twenty-one jobs, one of which is to fail, every activation accounted for."""
    said = soak.soak(jobs=21, activations=100)
    assert "over 21 jobs" in said
    assert "none stuck, all accounted for" in said


@pytest.mark.real_time
def test_a_job_that_does_not_end_is_named_with_what_it_has_queued(monkeypatch):
    """A handler that never returns, and the events behind it."""
    free = threading.Event()
    monkeypatch.setattr(soak.Branch, "take", lambda self, task, item: free.wait() and None)
    try:
        with pytest.raises(soak.Stuck, match=r"job 0 \(running\): \d+ queued, 8 running"):
            soak.soak(jobs=1, activations=100, patience=0.2)
    finally:
        free.set()


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("expected_ends", "lambda task: soak.Counter(completed=1)", "its handlers make it"),
        ("count_ends", "lambda flow, job: soak.Counter(completed=1)", "do not add up to its 21 activations"),
    ],
)
def test_a_soak_that_finds_something_ends_with_1_and_says_what(name, value, message):
    """In a process of its own, which it leaves without waiting for the flow."""
    program = f"from benchmarks import soak; soak.{name} = {value}; soak.main(['--jobs=1', '--activations=20'])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "soak failed: job 0 (completed)" in run.stderr
    assert message in run.stderr


def test_memory_that_has_grown_is_a_finding():
    """By more than the growth allowed, of either kind; less is none."""
    before = soak.Memory(50.0, 50_000)
    before.check(soak.Memory(60.0, 50_400))
    for later in (soak.Memory(75.0, 50_000), soak.Memory(50.0, 51_000), soak.Memory(None, 51_000)):
        with pytest.raises(soak.Faulty, match="memory grew"):
            before.check(later)


def test_a_floor_is_missed_from_below(invented):
    """And the tolerance is the same: 2 stands for three times as slow, or as much."""
    invented.cases.clear()
    invented.figures[:] = [
        Figure("rate", 399.0, "schedules/s", 1200, at_least=True),
        Figure("fast", 401.0, "schedules/s", 1200, at_least=True),
        Figure("slow", 3.1, "s", 1),
        Figure("quick", 2.9, "s", 1),
    ]
    assert [line.split(":")[0] for line in invented.missed(tolerance=2.0)] == ["rate", "slow"]


PROGRAMS = {
    "locked_counter": simulated.locked_counter,
    "executor_of_sleeps": simulated.executor_of_sleeps,
    "page_flow": simulated.page_flow,
    "contended": simulated.contended(5, 2),
    "crowd": simulated.crowd(5),
    "mixed": simulated.mixed(3),
    "periodic_timers": simulated.periodic_timers(3, 4),
    "timers_in_a_row": simulated.timers_in_a_row(3, 4),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_the_simulator_is_measured_on_passes_under_many_schedules(name):
    """Each program checks by itself that all of its work was done."""
    assert explore(PROGRAMS[name], schedules=30, strategy="random").verdict == "passed"


@pytest.mark.parametrize(("power", "expected"), [(1, 1.0), (2, 2.0), (0.5, 0.5)])
def test_the_exponent_is_that_of_the_large_sizes(power, expected):
    """Small ones, whose fixed costs tell, are left out."""
    small = [Cost(1_000, 1e6, 0.0)]
    large = [Cost(steps, 1e-6 * steps**power, 0.0) for steps in (10_000, 100_000, 1_000_000)]
    assert growth.exponent(small + large) == pytest.approx(expected)
    with pytest.raises(ValueError, match="two sizes"):
        growth.exponent(small + large[:1])


@pytest.mark.real_time
def test_an_execution_in_a_process_of_its_own_says_what_it_cost():
    """Steps, seconds and megabytes; and a program that fails is an error."""
    cost = fresh.in_a_process("mixed", 10)
    assert cost.steps > 100
    assert cost.seconds > 0
    with pytest.raises(subprocess.CalledProcessError):
        fresh.in_a_process("no_such_program")


@pytest.mark.real_time
def test_a_tool_that_is_not_installed_is_left_out_by_name():
    """With what Python says about it."""
    with pytest.raises(steering.AbsentError):
        steering.rate("no-such-tool", 1)


@pytest.mark.parametrize("name", hunting.PROBLEMS)
def test_what_is_hunted_breaks(name):
    """Ours finds each, and says after how long and how many schedules."""
    found = hunting.FINDERS["ours"](hunting.PROBLEMS[name])
    assert found.seconds > 0
    assert 1 <= found.executions < hunting.MOST


def test_a_hunt_that_finds_nothing_says_so():
    """No seconds are told of it."""
    fine = hunting.Problem(simulated.Counter, [simulated.Counter.add], lambda counter: counter.total == 1)
    assert math.isnan(hunting.FINDERS["ours"](fine).seconds)


@pytest.mark.long
@pytest.mark.real_time
def test_hunts_are_measured_in_processes_of_their_own(monkeypatch):
    """The number of schedules that exhaust a locked counter is as it must be; a tool that is not there is named."""
    assert hunting.exhaust("ours", 3).executions == 6
    assert hunting.find("ours", "deadlock").executions < 10
    monkeypatch.setattr(simulator, "RIVALS", ("no-such-tool",))
    absent = {}
    assert [figure.name for figure in simulator.hunted(1, absent)] == ["ours, first exploration in a process"]
    assert "no-such-tool" in absent


@pytest.mark.long
@pytest.mark.real_time
def test_the_simulators_benchmark_measures_each_goal(monkeypatch, tmp_path, capsys):
    """A thousandth the size: every figure is said with its goal, and a goal missed is the exit code when asked for."""
    monkeypatch.setattr(simulator, "run", partial(simulator.run, scale=1_000))
    files = ["--json", str(tmp_path / "a.json"), "--plot", str(tmp_path / "a.png")]
    simulator.main(["--short", "--no-peers", *files])
    said = capsys.readouterr().out
    goals = ("(goal at least 3000)", "(goal 0.6)", "(goal 4)", "(goal 2)", "(goal 200)", "(goal 1.15)")
    assert [goal for goal in goals if goal not in said] == []
    names = [figure["name"] for figure in json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["figures"]]
    assert {"locked_counter", "executor_of_sleeps", "exponent of time over steps"} <= set(names)

    impossible = Report(True, 1, [], [Figure("rate", 1.0, "schedules/s", 2, at_least=True)])
    monkeypatch.setattr(simulator, "run", lambda **_: (impossible, []))
    monkeypatch.setattr(growth, "write_plot", lambda *_: None)
    assert simulator.main(["--check", *files]) == 1
    assert simulator.main(["--check", "--tolerance", "2", *files]) == 0
    assert simulator.main(files) == 0


@pytest.mark.parametrize("suffix", plot.SUFFIXES)
def test_the_growth_is_drawn_in_the_format_of_its_suffix(suffix, tmp_path):
    """With matplotlib."""
    pytest.importorskip("matplotlib", reason="the extra 'bench' is not installed")
    path = tmp_path / f"plot{suffix}"
    growth.write_plot([Cost(steps, steps / 1e6, steps / 1e4) for steps in (10_000, 30_000, 100_000)], path, "CPython")
    assert path.read_bytes().lstrip().startswith(b"\x89PNG" if suffix == ".png" else b"<?xml")


def test_the_page_of_figures_is_made_of_what_runs_have_left(tmp_path, monkeypatch):
    """Each case and figure is a line, with its goal in words, and each goal that was missed is said."""
    monkeypatch.setattr(page, "RUNS", tmp_path)
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    engine = Report(short=False, workers=2, date="2026-01-02T03:04:05+00:00")
    engine.cases.append(Case("flat", "flat 10", 10, 0.2, {"routilux": 5.0, "executor": 20.0}))
    engine.write_json(tmp_path / "engine.json")
    simulator = Report(short=True, workers=2)
    simulator.figures += [Figure("speed", 12_345.6, "schedules/s", 9_000, at_least=True), Figure("absent", None, "s")]
    simulator.write_json(tmp_path / "simulator.json")
    page.main()
    text = (tmp_path / "page.md").read_text()
    assert "| flat 10 | 5 | 20 | 0.25 | at most 0.2 |" in text
    assert "| speed | 12,346 | schedules/s | at least 9,000 |" in text
    assert "| absent | – | s |  |" in text
    assert "Beyond one process" not in text
    assert "- flat 10: 0.25 times the executor's time, where 0.20 is the goal" in text
    assert text.count("Missed in this run") == text.count(", short.") == text.count("2026-01-02") == 1


@pytest.mark.parametrize(
    ("driver", "cores", "least", "most"), [(0.0, 8, 0.95, 1.0), (0.005, 4, 0.9, 1.0), (0.2, 50, 0.0, 0.1)]
)
def test_what_is_computed_for_more_cores_follows_from_its_parts(driver, cores, least, most):
    """A driver that takes nothing keeps all busy; one that takes a fifth of a second a chunk keeps five so at most."""
    parts = campaigns.Measured(schedule=0.001, driver=driver, call=0.0, sent=1, received=1)
    reached, busy = campaigns.projected(parts, cores, 100.0)
    assert least <= reached.value <= most
    assert 0 <= busy.value <= 1


def test_what_a_chunk_takes_in_the_driver_is_measured():
    """Each part is above nothing, and a chunk is some kilobytes."""
    parts = campaigns.measured(0.05, 3)
    assert min(parts.schedule, parts.call, parts.sent, parts.received) > 0
    assert parts.driver >= 0
    assert parts.sent < 50_000
