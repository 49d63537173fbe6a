"""What must hold, and what is said when it does not."""

from __future__ import annotations

import math
import threading
import time

import pytest

from routilux_sim.scenario import Outcome, load_scenario, run_scenario
from routilux_sim.scenario.model import Range
from tests.scenario.conftest import GOOD, PIPELINE, run, write

ITEMS = (
    PIPELINE
    + """
[run]
entry = "source"
params = { items = 2 }
[expect]
"""
)

FLAKY = """
[flow]
factory = "scenarios.flows:flaky"
arguments = { strategy = "retry" }
[run]
entry = "source"
params = { items = 1 }
[expect]
"""


def outcome_of(tmp_path, text: str, **options) -> Outcome:
    return run_scenario(load_scenario(write(tmp_path, text)), shrink=False, **options)


@pytest.mark.parametrize(
    ("expectation", "problem"),
    [
        ("duration = 0.3", "duration is 0.25 virtual seconds, must be 0.3"),
        ("duration = { min = 0.3, max = 0.4 }", "duration is 0.25 virtual seconds, must be 0.3 to 0.4"),
        ("status = 'failed'", "status is completed, must be failed"),
        ("speedup = { min = 3, max = 4 }", "speed-up over sequential is 2.6 times, must be 3 to 4"),
        (
            "[[expect.delivered]]\nroutine = 'formatter'\nslot = 'aggregated_input'\ncount = 2",
            "formatter.aggregated_input got 1 deliveries, must get 2",
        ),
        (
            "[[expect.delivered]]\nroutine = 'formatter'\nslot = 'aggregated_input'\ndata = { total_count = 4 }",
            "formatter.aggregated_input['total_count'] is 3, must be 4",
        ),
        ("duration = { min = 0.3 }", "duration is 0.25 virtual seconds, must be at least 0.3"),
        ("duration = { max = 0.2 }", "duration is 0.25 virtual seconds, must be at most 0.2"),
    ],
)
def test_what_does_not_hold_is_named(tmp_path, expectation, problem):
    """A broken expectation says what was found and what must be."""
    outcome = outcome_of(tmp_path, GOOD.replace("duration = 0.25", expectation))
    assert outcome.verdict == "failed"
    assert outcome.problem == f"{problem} (seed 0)"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (ITEMS + "errors = { worker = 1 }", "worker failed 0 times, must fail 1 times"),
        (FLAKY + "errors = { worker = { max = 1 } }", "worker failed 2 times, must fail at most 1 times"),
        (FLAKY + "retries = { worker = [1.1] }", "worker was tried again at 1.1, 3.2 virtual seconds, must be at 1.1"),
        (FLAKY + "retries = { worker = [] }", "worker was tried again at 1.1, 3.2 virtual seconds, must be at no"),
        (
            ITEMS + "log = [{ event = 'job.end', status = 'fail.*' }]",
            "0 log lines have event = 'job.end', status = 'fail.*', must be at least 1",
        ),
        (
            ITEMS + "log = [{ event = 'emit', routine = 'source', at = 0, count = 1 }]",
            "2 log lines have event = 'emit', routine = 'source', at 0 virtual seconds, must be 1",
        ),
        (ITEMS + "speedup = { over = { max_workers = 1 }, max = 1 }", "speed-up over max_workers = 1 is 2 times, must"),
        (
            ITEMS + "invariants = ['tests.scenario.test_expectations:never']",
            "invariant 'tests.scenario.test_expectations:never' does not hold after step",
        ),
        (ITEMS + "invariants = ['tests.scenario.test_expectations:asserts']", ": said so"),
    ],
)
def test_what_happened_is_held_against_what_must(tmp_path, text, problem):
    """Errors, times of retries, log lines, another setting's duration and invariants."""
    assert problem in str(outcome_of(tmp_path, text).problem)


def nobody_works(flow) -> bool:
    """False while a call of the worker runs."""
    return flow.routines["worker"].running == 0


@pytest.mark.parametrize("clock", ["virtual", pytest.param("real", marks=pytest.mark.real_time)])
def test_an_invariant_is_asked_all_along(tmp_path, clock):
    """What is false in the middle only is found: after a step, or when something happens on real threads."""
    text = PIPELINE.replace("max_workers = 2", "max_workers = 2, seconds = 0.1") + f"[run]\nclock = '{clock}'\n"
    text += "entry = 'source'\nparams = { items = 4 }\n[expect]\nfails = 'invariant'\n"
    outcome = outcome_of(tmp_path, text + "invariants = ['tests.scenario.test_expectations:nobody_works']")
    assert outcome.problem is None
    assert outcome.failed_as.startswith("invariant: ")


balance = [1, 0]


def moves() -> None:
    balance[:] = [1, 0]
    time.sleep(1)
    balance[0] -= 1
    time.sleep(1)
    balance[1] += 1


def nothing_is_gone() -> None:
    assert sum(balance) <= 1, "too much"


def test_a_program_has_invariants_too(tmp_path):
    """They are given nothing, and asked after each step."""
    text = "[program]\ncallable = 'tests.scenario.test_expectations:moves'\n[expect]\n"
    text += "invariants = ['tests.scenario.test_expectations:{0}']"
    assert outcome_of(tmp_path, text.format("nothing_is_gone")).problem is None
    broken = outcome_of(tmp_path, text.format("never_empty")).problem
    assert "invariant 'never_empty' does not hold after step" in broken


def never_empty() -> bool:
    return balance != [0, 0]


def never(flow) -> bool:
    return False


def always(flow) -> None:
    assert flow.routines


def asserts(flow) -> None:
    raise AssertionError("said so")


@pytest.mark.parametrize(
    "text",
    [
        ITEMS + "errors = { worker = 0 }\nretries = { worker = [] }",
        FLAKY + "errors = { worker = 2 }\nretries = { worker = [1.1, 3.2] }",
        FLAKY + "log = [{ event = 'activation.retry', error = 'ConnectionError: .*', delay_ns = 2_000_000_000 }]",
        ITEMS + "log = [{ event = 'job.start', job = 'job', at = 0, count = 1 }]",
        ITEMS + "invariants = ['tests.scenario.test_expectations:always', 'scenarios.flows:no_more_than_workers']",
    ],
)
def test_what_holds_is_no_problem(tmp_path, text):
    """The same expectations, met."""
    assert outcome_of(tmp_path, text, schedules=10).problem is None


@pytest.mark.parametrize(
    ("fails", "problem"),
    [
        ("'expectation'", None),
        ("{ kind = 'expectation', message = 'must be [0-9]' }", None),
        (
            "{ kind = 'expectation', message = 'nothing like it' }",
            "failed, but not with 'nothing like it': duration is",
        ),
        ("'deadlock'", "failed with a broken expectation, must fail with a deadlock: duration is 0.25"),
    ],
)
def test_a_scenario_may_say_how_it_fails(tmp_path, fails, problem):
    """``fails``: a failure of that kind, and with that message, is what must be; another one is a problem."""
    text = GOOD.replace("duration = 0.25", f"duration = 3\nfails = {fails}")
    outcome = outcome_of(tmp_path, text)
    assert outcome.verdict == "failed"
    assert (outcome.problem or "").startswith(problem or "")
    assert (outcome.problem is None) == (problem is None) == (outcome.failed_as is not None)


@pytest.mark.parametrize(
    ("callable_", "kind"),
    [
        ("scenarios.flows:opposite_locks", "deadlock"),
        ("tests.scenario.test_expectations:raises", "exception"),
        ("tests.scenario.test_expectations:counts_badly", "race"),
    ],
)
def test_programs_fail_in_every_way(tmp_path, callable_, kind):
    """A deadlock, an exception, a data race: each is a kind of its own."""
    text = f"""
    [program]
    callable = "{callable_}"
    [run]
    strategy = "portfolio"
    schedules = 200
    races = "fail"
    [expect]
    fails = "{kind}"
    """
    outcome = outcome_of(tmp_path, text)
    assert outcome.problem is None
    assert outcome.failed_as.startswith(f"{kind}: ")


def raises() -> None:
    raise LookupError("gone")


class Counter:
    value = 0


def counts_badly() -> None:
    counter = Counter()

    def count() -> None:
        counter.value += 1

    threads = [threading.Thread(target=count) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_what_must_fail_and_does_not_is_a_problem(tmp_path):
    """No schedule failed, and one must."""
    outcome = outcome_of(tmp_path, GOOD + "fails = 'deadlock'", schedules=3)
    assert outcome.verdict == "passed"
    assert outcome.problem == "no schedule of 3 failed, and one must, with a deadlock"


def test_what_a_program_returns_is_compared(tmp_path):
    """``returns``: any value that TOML has."""
    text = "[program]\ncallable = 'scenarios.flows:refused_when_full'\n[expect]\nreturns = {0}"
    assert outcome_of(tmp_path, text.format("'QueueFullError'")).problem is None
    problem = outcome_of(tmp_path, text.format("[1]")).problem
    assert problem == "the program returned 'QueueFullError', must return [1] (seed 0)"


def test_a_broken_expectation_makes_the_command_fail(tmp_path):
    """It exits with 1, and leaves a replay file with the command that runs it again."""
    scenario = write(tmp_path, GOOD.replace("0.25", "3"))
    result = run(scenario)
    assert result.exit_code == 1
    command = result.output.splitlines()[-1]
    assert command.startswith(f"run it again: routilux-sim run {scenario} --replay .routilux_sim")
    again = run(*command.split()[5:])
    assert again.exit_code == 1
    assert "duration is 0.25 virtual seconds, must be 3" in again.output


TWICE_BROKEN = (
    PIPELINE
    + """
[run]
entry = "source"
params = { items = 2 }
[[faults.raise]]
routine = "worker"
nth = 2
[[faults.slow]]
routine = "sink"
by = 100
[expect]
duration = { max = 90 }
"""
)


@pytest.mark.parametrize("seed", range(5))
def test_shrinking_keeps_to_the_expectation_that_is_broken(tmp_path, seed):
    """Two faults break one expectation each; what is left is the one that breaks what is reported."""
    outcome = run_scenario(load_scenario(write(tmp_path, TWICE_BROKEN)), seed)
    assert outcome.problem.startswith("status is failed (RuntimeError: an injected fault), must be completed")
    assert outcome.sentence == "FIFO everywhere, but only if worker.trigger raises RuntimeError at its 2nd call"


def test_figures_are_those_of_the_failure(tmp_path):
    """Not of what ran when something simpler was looked for."""
    outcome = run_scenario(load_scenario(write(tmp_path, TWICE_BROKEN)))
    assert outcome.figures.status == "failed"
    assert outcome.samples == [outcome.figures]


def test_ranges_include_their_bounds():
    """Both bounds belong to a range; NaN does not."""
    assert 2.0 in Range(2, 3)
    assert 3.0 in Range(2, 3)
    assert 3.1 not in Range(2, 3)
    assert math.nan not in Range(2, 3)  # noqa: PLW0177 - containment is what is tested
