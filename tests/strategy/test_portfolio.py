"""The portfolio shares schedules by what its members find, and the same for one seed, however they are run."""

import functools
import time

from routilux_sim import explore as explore_memory
from routilux_sim import simulate
from routilux_sim.execution import Campaign
from routilux_sim.search import Search
from routilux_sim.strategy import names
from routilux_sim.strategy.fifo import FifoStrategy
from routilux_sim.strategy.portfolio import SHARES, Note, PortfolioStrategy
from tests.strategy.small import Variable, between, guarded, in_threads, lost_update, points, reorder

# These tests are about synchronization operations alone.
explore = functools.partial(explore_memory, instrument=None)


def searched(program, schedules, seed=0):
    campaign = Campaign(program)
    search = Search(campaign, PortfolioStrategy(), seed, schedules, lambda: False, check=False)
    with campaign.running():
        return list(search.rows()), search


def test_each_member_has_its_share():
    """The plain schedule first; then everybody, and nobody less than half of what it has at first."""
    report = explore(guarded(6), strategy="portfolio", schedules=1200)
    assert report.strategies["fifo"] == 1
    total = sum(SHARES.values())
    for name, share in SHARES.items():
        if name in report.strategies:
            assert report.strategies[name] > 1200 * share / total / 8, name
    assert sum(report.strategies.values()) == 1200


def test_one_seed_one_portfolio():
    """Which strategy makes a schedule, and what that comes to, is the same each time, and by the seed."""

    def outcome(seed):
        rows, _ = searched(guarded(4), 400, seed)
        return [(row.strategy, row.seed, row.footprint) for row in rows]

    assert outcome(1) == outcome(1)
    assert outcome(1) != outcome(2)


def test_more_goes_to_whom_finds_more():
    """A member that alone shows new pairs gets more than it had, and the first share again once nobody finds any."""
    strategy = PortfolioStrategy()
    strategy.prepare(0, 10_000)

    def shares():
        whose = [strategy._whose(number) for number in range(1, 4000)]
        return {name: whose.count(name) / len(whose) for name in SHARES}

    members = strategy._members

    def learn(finds):
        notes = []
        for number in range(50):
            for name in members:
                pairs = (len(strategy._pairs) + number,) if name == finds else ()
                notes.append(Note(name, None, 0, pairs, over=()))
        # What each member would learn is another matter.
        strategy._members = dict.fromkeys(members, FifoStrategy())
        strategy.learn(notes)
        strategy._members = members

    before = shares()
    for _ in range(3):
        learn("pos")
    after = shares()
    assert after["pos"] > 2 * before["pos"]
    assert all(after[name] > before[name] / 4 for name in strategy._members)
    for _ in range(300):
        learn(None)
    assert abs(shares()["pos"] - before["pos"]) < 0.01


def test_who_waits_in_a_loop_does_not_hold_everything_up():
    """Hundreds of schedules of a program that spins, yielding or not, take no more steps than others would."""

    def program():
        done = Variable("done")

        def wait():
            while not done.value:
                pass

        def wait_politely():
            while not done.value:
                time.sleep(0)

        def end():
            done.value = 1

        in_threads(wait, wait_politely, end)

    for strategy in ("pct", "mutation"):
        campaign = Campaign(program)
        search = Search(campaign, names.make_strategy(strategy), 0, 100, lambda: False, check=False)
        with campaign.running():
            steps = [row.execution.steps for row in search.rows()]
        assert max(steps) < 20_000, strategy


def test_an_unfair_schedule_does_not_keep_others_from_failing():
    """That a strategy starves somebody until the limit is reached says nothing: others run, and nothing passes."""

    def program(is_right):
        done = Variable("done")

        def wait():
            while not done.value:
                pass

        def end():
            done.value = 1
            seen = done.value
            done.value = 2
            assert is_right or seen == 1

        def disturb():
            done.value = 3

        in_threads(wait, end, disturb)

    def explored(is_right):
        return explore(lambda: program(is_right), schedules=200, max_steps=500, shrink=False)

    report = explored(True)
    assert (report.verdict, report.schedules) == ("inconclusive", 200)
    assert "it ended once its tasks were scheduled fairly" in report.reason
    assert explored(False).verdict == "failed"


def test_a_small_space_is_exhausted():
    """Its systematic members end with a proof, and so does the exploration."""
    report = explore(points(0, 0), strategy="portfolio", schedules=10_000)
    assert report.verdict == "exhausted"
    assert report.proof == "every interleaving of synchronization operations"
    assert report.schedules < 1000


def test_a_large_one_is_not():
    """When the budget is spent, nothing is proved."""
    report = explore(guarded(4), strategy="portfolio", schedules=500)
    assert (report.verdict, report.proof) == ("passed", None)


def test_what_a_program_does_once_is_no_doubt():
    """A cache that the first executions fill changes the schedules of later ones; state that goes on changing is."""
    once, ever = [], []

    def caching():
        points(*([2, 2] if len(once) < 30 else [1, 1]))()
        once.append(1)

    def drifting():
        points(1, len(ever) // 20)()
        ever.append(1)

    assert explore(caching, schedules=400, strategy="portfolio").verdict == "passed"
    report = explore(drifting, schedules=2000, strategy="portfolio")
    assert report.verdict == "inconclusive"


def test_what_fails_comes_back():
    """Whoever found it: the failure is confirmed, and named by the member that made it."""
    report = explore(between(5, 5), strategy="portfolio", schedules=2000)
    assert report.verdict == "failed"
    assert report.failure.strategy in report.strategies


def test_the_usual_bugs_are_found_soon():
    """Within ten thousand schedules by far; the rare one within a hundred thousand."""
    for program, budget in ((lost_update, 200), (between(10, 10), 1000), (reorder(5), 500), (reorder(10), 3000)):
        for seed in (0, 500_000):
            assert explore(program, strategy="portfolio", schedules=budget, seed=seed).verdict == "failed"


def test_one_schedule_alone_is_a_random_walk():
    """`simulate` has no campaign: another seed is another schedule."""
    made = {simulate(guarded(3), strategy="portfolio", seed=seed).schedule for seed in range(5)}
    assert len(made) == 5
    assert simulate(guarded(3), strategy="portfolio", seed=3).schedule == simulate(guarded(3), seed=3).schedule
