"""CPython's own tests of what is simulated pass in the simulator, or are left out with a reason."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from tests.conformance import suite

SEEDS = [1, 2]
MANY_SEEDS = list(range(3, 11))

LARGE = {"test.test_asyncio.test_tasks"}
"""What takes a minute by itself."""


def results_of(module, tmp_path, seeds, **options):
    """What came of a module's tests; skips where the interpreter does not ship them."""
    try:
        return suite.run(module, tmp_path, seeds, **options)
    except suite.MissingError as error:
        pytest.skip(f"this interpreter does not ship {module}: {error}")


@pytest.mark.parametrize(
    "module", [pytest.param(name, marks=pytest.mark.long) if name in LARGE else name for name in suite.MODULES]
)
def test_cpythons_own_tests_pass_or_are_left_out_with_a_reason(module, tmp_path):
    """Each test passes under a few schedules or is on the list; what is on the list does not pass."""
    results = results_of(module, tmp_path, SEEDS)
    assert results
    assert [result.problem for result in results if result.problem] == []
    # The list of another patch release may lack a test.
    if suite.listing().exists():
        expected = [line for line in suite.listed(suite.listing()) if line.startswith(f"{module} ")]
        assert sorted(map(str, results)) == expected


@pytest.mark.long
@pytest.mark.parametrize("module", [name for name in suite.MODULES if name not in LARGE])
def test_they_pass_under_many_schedules(module, tmp_path):
    """More random schedules change nothing about it, and what counts on an order does fail under some."""
    results = results_of(module, tmp_path, MANY_SEEDS, everything=True)
    assert [result.problem for result in results if result.problem] == []


def test_every_pattern_stands_for_some_test():
    """Nothing is left out that no version has: the lists know the tests of each."""
    tests = {line.split("  ")[0] for path in (suite.HERE / "lists").glob("*.txt") for line in suite.listed(path)}
    patterns = [pattern for group in suite.groups() for pattern in group.patterns]
    assert [pattern for pattern in patterns if not any(fnmatchcase(test, pattern) for test in tests)] == []


@pytest.mark.long
def test_a_failing_test_is_reported(tmp_path, monkeypatch):
    """Without its reason, what is left out counts as failing."""
    monkeypatch.setattr(suite, "groups", list)
    problems = [result.problem for result in results_of("test.test_sched", tmp_path, [])]
    assert set(problems) == {None}
    problems = [result.problem for result in results_of("test.test_asyncio.test_pep492", tmp_path, [])]
    assert [problem.split()[1] for problem in problems if problem] == [
        "LockTests.test_context_manager_async_with",
        "LockTests.test_context_manager_with_await",
    ]


def test_a_left_out_test_that_passes_is_reported(tmp_path, monkeypatch):
    """A reason that does not hold any more is found out."""
    expectation = suite.Expectation(suite.LEFT_OUT, "no reason at all", True)
    monkeypatch.setattr(suite, "groups", lambda: [suite.Group(expectation, ["test.test_sched *.test_cancel"])])
    results = results_of("test.test_sched", tmp_path, [])
    assert [result.problem for result in results if result.problem] == [
        "test.test_sched TestCase.test_cancel passes, though listed as 'left out': take it off that list"
    ]
