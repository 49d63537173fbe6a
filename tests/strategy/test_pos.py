"""POS gives each pending operation a priority, and races new ones."""

from routilux_sim import explore
from routilux_sim.kernel.task import Task
from routilux_sim.strategy.pos import PosStrategy
from tests.strategy.small import Variable, in_threads, reorder


def pending(number: int, op: str, obj: object) -> Task:
    task = Task(number, f"task-{number}", lambda: None, daemon=False)
    task.op, task.obj = op, obj
    return task


def test_who_races_with_what_was_done_has_a_new_priority():
    """An operation on the same object that depends on it; others keep theirs."""
    one, two = Variable("one"), Variable("two")
    strategy = PosStrategy()
    kept, redrawn = 0, 0
    for seed in range(50):
        strategy.begin(seed)
        tasks = [pending(1, "write", one), pending(2, "read", one), pending(3, "write", two), pending(4, "read", two)]
        done = tasks[strategy.pick(None, tasks)]
        assert done.number not in strategy._priorities
        for task in tasks:
            if task is not done:
                races = task.obj is done.obj
                assert (task.number in strategy._priorities) is not races
                redrawn += races
                kept += not races
    assert (kept, redrawn) == (100, 50)


def test_looks_do_not_race():
    """Two reads of one object keep their priorities."""
    one = Variable("one")
    strategy = PosStrategy()
    strategy.begin(0)
    tasks = [pending(number, "read", one) for number in (1, 2, 3)]
    strategy.pick(None, tasks)
    assert len(strategy._priorities) == 2


def test_a_long_delay_is_likely():
    """One step comes after twenty of another task in one of some twenty schedules, not in one of a million."""

    def program():
        race, own = Variable("race"), Variable("own")

        def late():
            for _ in range(20):
                _ = own.value
            race.value = 1

        def early():
            assert race.value == 0

        in_threads(late, early)

    found = [explore(program, strategy="pos", schedules=300, seed=1000 * number).schedules for number in range(20)]
    assert sum(found) / len(found) < 60


def test_it_finds_what_a_random_walk_does_not():
    """One of eight threads between two writes, before any other one is through."""
    assert explore(reorder(10), strategy="random", schedules=1000).verdict == "passed"
    assert explore(reorder(10), strategy="pos", schedules=3000).verdict == "failed"
