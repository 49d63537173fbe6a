"""What a scenario runs: jobs with their times, plain programs, recorded schedules, real threads."""

from __future__ import annotations

import datetime as dt
import time

import pytest

from routilux_sim import save_schedule
from routilux_sim.scenario import load_scenario, run_scenario
from tests.scenario.conftest import PIPELINE, run, write

TWO = (
    PIPELINE
    + """
[run]
schedules = 20
[[job]]
name = "a"
entry = "source"
params = { items = 1 }
[[job]]
name = "b"
at = 5
entry = "source"
params = { items = 1 }
"""
)


def outcome_of(tmp_path, text, **options):
    return run_scenario(load_scenario(write(tmp_path, text)), shrink=False, **options)


def test_each_job_begins_at_its_time(tmp_path):
    """Five virtual seconds apart; the duration is from the first beginning to the last end."""
    outcome = outcome_of(
        tmp_path, TWO + "[expect]\nduration = 6\njobs = { a = { duration = 1 }, b = { duration = 1 } }"
    )
    assert outcome.problem is None
    assert {sample.duration for sample in outcome.samples} == {6.0}
    assert len(outcome.samples) == 20


def test_each_job_is_judged_by_its_own_status(tmp_path):
    """One is cancelled, the other completes; the message names the job."""
    text = TWO.replace('name = "a"', 'name = "a"\nactions = [{ at = 0.5, do = "cancel" }]')
    assert outcome_of(tmp_path, text + "[expect]\njobs = { a = { status = 'cancelled' } }").problem is None
    assert "job 'a': status is cancelled, must be completed" in outcome_of(tmp_path, text + "[expect]").problem


def test_a_job_may_stay_paused(tmp_path):
    """What nothing resumes is paused in the end, under every schedule, and nobody waits for it for ever."""
    text = PIPELINE + "[run]\nentry = 'source'\nschedules = 20\nparams = { items = 3 }\n"
    text += "actions = [{ at = 0.5, do = 'pause' }]\n[expect]\nstatus = 'paused'"
    assert outcome_of(tmp_path, text).problem is None


@pytest.mark.parametrize("strategy", ["sequential", "concurrent"])
def test_sequential_jobs_are_paused_and_resumed_too(tmp_path, strategy):
    """The job's thread is not the one that pauses it."""
    text = PIPELINE + f"[run]\nentry = 'source'\nschedules = 20\nexecution_strategy = '{strategy}'\n"
    text += "params = { items = 3 }\nactions = [{ at = 0.5, do = 'pause' }, { at = 9, do = 'resume' }]\n[expect]\n"
    seconds = 11 if strategy == "sequential" else 10
    assert outcome_of(tmp_path, text + f"duration = {seconds}").problem is None


def year() -> int:
    return time.localtime().tm_year


def seconds() -> float:
    return time.time()


@pytest.mark.parametrize(
    ("epoch", "program", "returns"),
    [("2031-05-06T07:08:09Z", "year", 2031), ("1_000_000", "seconds", 1_000_000.0), ("0", "seconds", 0.0)],
)
def test_the_wall_clock_begins_where_it_is_told(tmp_path, epoch, program, returns):
    """``epoch``: a date and time, or seconds since 1970."""
    text = f"""
    [program]
    callable = "tests.scenario.test_jobs:{program}"
    [run]
    epoch = {epoch}
    [expect]
    returns = {returns}
    """
    assert outcome_of(tmp_path, text).problem is None


def twice(value: dt.date, mine: list[int]) -> list[object]:
    mine.append(1)
    return [value.year, *mine]


def test_a_program_gets_its_arguments_fresh_each_time(tmp_path):
    """With TOML's own types; what one schedule changes in them the next does not see."""
    text = """
    [program]
    callable = "tests.scenario.test_jobs:twice"
    arguments = { value = 2026-02-03, mine = [7] }
    [run]
    schedules = 3
    [expect]
    returns = [2026, 7, 1]
    """
    assert outcome_of(tmp_path, text).problem is None


RACE = """
[flow]
factory = "scenarios.flows:of_equal_sources"
[run]
entry = "trigger"
{how}
[expect]
delivered = [{{ routine = "formatter", slot = "aggregated_input", count = 1 }}]
"""


def test_a_failing_schedule_is_kept_and_replayed(tmp_path):
    """``run.replay`` and ``--replay``: one schedule, which fails as it did."""
    outcome = outcome_of(tmp_path, RACE.format(how="strategy = 'portfolio'\nschedules = 1000"))
    assert outcome.verdict == "failed"
    save_schedule(outcome.execution.schedule, tmp_path / "kept.replay.json")
    again = outcome_of(tmp_path, RACE.format(how="replay = 'kept.replay.json'"))
    assert (again.verdict, again.schedules) == ("failed", 1)
    assert again.problem == outcome.problem.partition(" (seed")[0]
    result = run(write(tmp_path, RACE.format(how="")), "--replay", str(tmp_path / "kept.replay.json"))
    assert result.exit_code == 1
    assert again.problem in result.output


def test_a_schedule_of_something_else_is_inconclusive(tmp_path):
    """It does not fit: nothing is said of the flow, and the step is named."""
    outcome = outcome_of(tmp_path, TWO + "[expect]")
    save_schedule(outcome.execution.schedule, tmp_path / "kept.replay.json")
    other = outcome_of(tmp_path, RACE.format(how="replay = 'kept.replay.json'"))
    assert other.verdict == "inconclusive"
    assert "the schedule does not fit the program at step" in other.problem


@pytest.mark.real_time
def test_the_real_clock_runs_real_threads(tmp_path):
    """``clock = "real"``: so many times, in real time, with the same expectations."""
    text = PIPELINE.replace("max_workers = 2", "max_workers = 2, seconds = 0.01")
    text += "[run]\nclock = 'real'\nschedules = 3\nentry = 'source'\nparams = { items = 2 }\n[expect]\n"
    held = outcome_of(tmp_path, text + "duration = { min = 0.01, max = 5 }\nlog = [{ event = 'job.end', count = 1 }]")
    assert (held.verdict, held.schedules, held.problem) == ("passed", 3, None)
    assert held.execution is None
    broken = outcome_of(tmp_path, text + "duration = { max = 0.001 }")
    assert (broken.verdict, broken.schedules) == ("failed", 1)
    result = run(write(tmp_path, text))
    assert "schedules  3, on real threads" in result.output
    result = run(write(tmp_path, text), "--log", str(tmp_path / "log"))
    assert result.exit_code == 2
    assert "--log is of simulations, and run.clock is 'real'" in " ".join(result.output.split())


def test_faults_are_part_of_a_scenario(tmp_path):
    """What is planned to go wrong does: the second call of the worker raises."""
    text = PIPELINE + "[run]\nentry = 'source'\nparams = { items = 3 }\nschedules = 10\n"
    text += "[[faults.raise]]\nroutine = 'worker'\nnth = 2\nerror = 'OSError'\nmessage = 'unplugged'\n"
    text += "[expect]\nstatus = 'failed'\nerrors = { worker = 1 }\n"
    text += "log = [{ event = 'job.end', error = 'OSError: unplugged' }]"
    assert outcome_of(tmp_path, text).problem is None


def test_in_swarm_mode_each_seed_draws_which_faults_there_are(tmp_path):
    """Under some seeds the worker fails, under others it does not."""
    text = PIPELINE + "[run]\nentry = 'source'\nparams = { items = 1 }\nschedules = 1\nswarm = true\n"
    text += "[[faults.raise]]\nroutine = 'worker'\nnth = 1\n"
    verdicts = {outcome_of(tmp_path, text, seed=seed).verdict for seed in range(20)}
    assert verdicts == {"passed", "failed"}


def test_latencies_are_part_of_a_scenario(tmp_path):
    """Handlers take what is drawn for them, other times under each seed, within the bounds."""
    text = PIPELINE.replace("max_workers = 2", "max_workers = 2, seconds = 0.0")
    text += "[run]\nentry = 'source'\nparams = { items = 1 }\nschedules = 30\n"
    text += "[latency.worker]\nkind = 'uniform'\nlow = 1\nhigh = 2\n[expect]\nduration = { min = 1, max = 2 }"
    outcome = outcome_of(tmp_path, text)
    assert outcome.problem is None
    assert len({sample.duration for sample in outcome.samples}) > 5
