"""A search that leaves something out is never called exhausted, and what breaks that rule anywhere is noticed here."""

import functools
import operator
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from routilux_sim import exploration
from routilux_sim import explore as explore_memory
from routilux_sim.search import Search
from routilux_sim.strategy.dfs import DfsStrategy
from routilux_sim.strategy.portfolio import PortfolioStrategy
from tests.strategy.enumerating import all_schedules
from tests.strategy.small import in_threads, points

# These tests are about synchronization operations alone.
explore = functools.partial(explore_memory, instrument=None)

TOTALS = {program: sum(1 for _ in all_schedules(program)) for program in (points(0, 0), points(1, 0), points(1, 1))}


def overclaims(make):
    """Whether an exploration says exhausted that has not run every schedule there is.

    Args:
        make: Makes the strategy.
    """
    for program, total in TOTALS.items():
        for budget in (1, 2, total // 2, total - 1, 20 * total):
            report = explore(program, strategy=make(), schedules=budget)
            if report.verdict == "exhausted" and report.schedules < total:
                return True
            if report.verdict == "exhausted" and report.proof != "every interleaving of synchronization operations":
                return True
    return False


class TooSoon(DfsStrategy):
    """Ends before it is through."""

    def begin(self, seed):
        if seed == 3:
            self.proof = ""
            return False
        return super().begin(seed)


class Forgetful(DfsStrategy):
    """Does not put every branch down."""

    def _put(self, branches, preemptions, deviations):
        if self._queued % 3 != 2:
            super()._put(branches, preemptions, deviations)
        self._queued += 1


class Stingy(DfsStrategy):
    """Has a bound that it does not speak of."""

    def __init__(self):
        super().__init__(1)

    @property
    def proof(self):
        return None if self._proof is None else ""

    @proof.setter
    def proof(self, proof):
        self._proof = proof


def test_nothing_is_overclaimed():
    """By enumeration, or by the portfolio."""
    assert not overclaims(DfsStrategy)
    assert not overclaims(PortfolioStrategy)


@pytest.mark.parametrize("mutant", [TooSoon, Forgetful, Stingy])
def test_a_strategy_that_overclaims_is_caught(mutant):
    """Whatever it is that it leaves out."""
    assert overclaims(mutant)


def test_a_judge_that_takes_any_end_for_a_proof_is_caught(monkeypatch):
    """The verdict's rule itself."""
    rule = exploration.of_campaign
    monkeypatch.setattr(exploration, "of_campaign", lambda **facts: rule(**{**facts, "proof": facts["proof"] or ""}))
    assert overclaims(DfsStrategy)


def test_a_search_that_takes_a_spent_budget_for_an_end_is_caught(monkeypatch):
    """Where schedules are counted."""
    rows = Search.rows

    def wrong(self):
        yield from rows(self)
        self.proof = ""

    monkeypatch.setattr(Search, "rows", wrong)
    assert overclaims(DfsStrategy)


def test_code_that_is_not_seen_is_not_spoken_for():
    """A race in code that memory points do not reach: not found, and nothing is said of its memory."""
    space = {"__name__": "json.made_up", "in_threads": in_threads}
    exec(
        "def program():\n"
        "    numbers = [0]\n"
        "    def add():\n"
        "        read = numbers[0]\n"
        "        numbers[0] = read + 1\n"
        "    in_threads(add, add)\n"
        "    assert numbers == [2]\n",
        space,
    )
    program = space["program"]
    report = explore(program, strategy="portfolio", schedules=100, instrument=["no.such.module"])
    assert (report.verdict, report.proof) == ("passed", None)
    report = explore(program, strategy="dpor", schedules=100, instrument=["no.such.module"])
    assert (report.verdict, report.proof) == ("passed", None)
    assert "no code in which accesses to memory are scheduling points" in report.reason


def test_what_is_shared_out_of_sight_is_not_certified():
    """Tasks that meet inside of calls, which memory points do not reach: the default finds that the order matters."""

    def program():
        numbers = {}
        in_threads(
            functools.partial(operator.setitem, numbers, "last", 1),
            functools.partial(operator.setitem, numbers, "last", 2),
        )
        assert numbers["last"] == 2

    reduced = explore(program, strategy="dpor", instrument="auto", schedules=100)
    assert reduced.verdict == "failed" or "provided that tasks share nothing" in reduced.proof
    assert explore(program, instrument="auto", schedules=300).verdict == "failed"


def test_a_program_from_standard_input_is_seen():
    """It is the program's own code, and in no file."""
    code = """
    import threading
    from routilux_sim import explore
    def program():
        numbers = [0]
        def add():
            numbers[0] += 1
        threads = [threading.Thread(target=add) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert numbers == [2]
    print(explore(program, schedules=300, instrument="auto").verdict)
    """
    done = subprocess.run(
        [sys.executable, "-"],
        input=textwrap.dedent(code),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "failed\n", done.stderr
