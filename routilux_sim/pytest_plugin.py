"""The pytest plugin: runs tests marked ``sim`` as simulated programs.

Loaded at every start of every user's pytest, so it imports nothing of the simulator before a marked test runs.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from routilux_sim import given, pytest_first, pytest_points, pytest_races, pytest_replay, pytest_summary
from routilux_sim import pytest_determinism as determinism
from routilux_sim import pytest_options as options
from routilux_sim.pytest_fixture import sim
from routilux_sim.pytest_marker import MARKER, check_marker
from routilux_sim.unfrozen import real_time
from routilux_sim.world import ready

__all__ = ["sim"]

SEED = pytest.StashKey[int]()
REFUSED = pytest.StashKey[str]()
SEED_BITS = 32


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup(
        "routilux-sim",
        "simulated threads and virtual time; each option is also an ini option (--sim-max-steps: sim_max_steps); what "
        "is said here goes before the marker's arguments, and these go before the ini file",
    )
    options.add_options(parser, group)
    determinism.add_options(parser, group)
    pytest_races.add_options(parser)
    pytest_points.add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Make ready what conftest files and test modules are about to capture: locks, and functions that tell time."""
    early_config.add_cleanup(ready.prepare())


# Last, for pytest's cache to be there.
@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and settle the run's seed."""
    config.addinivalue_line("markers", MARKER)
    pytest_points.check_options(config)
    options.read(config)
    pytest_replay.read(config)
    # Under pytest-xdist the controller has settled the seed, and every worker takes it from there.
    handed = getattr(config, "workerinput", {}).get("routilux_sim_seed")
    config.stash[SEED] = _seed(config) if handed is None else handed
    if handed is None:
        config.pluginmanager.register(pytest_summary.Summary(config, config.stash[SEED]), "routilux_sim_summary")


def _seed(config: pytest.Config) -> int:
    value = options.setting(config, "seed").value
    if value == options.LAST:
        return pytest_first.drawn_seed(config)
    # SystemRandom: plugins that seed the global generator must not make every run draw the same seed.
    return random.SystemRandom().getrandbits(SEED_BITS) if value is None else int(value)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand a pytest-xdist worker the run's seed, and what is to be run first."""
    node.workerinput["routilux_sim_seed"] = node.config.stash[SEED]
    pytest_first.hand_over(node)


def pytest_report_header(config: pytest.Config) -> str:
    """Show the run's seed."""
    twice = ", every schedule is run twice" if determinism.is_wanted(config) else ""
    return f"routilux-sim: --sim-seed={config.stash[SEED]}{twice}"


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say what is run first, or alone."""
    return [*pytest_replay.said(config), *pytest_first.said(config)]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Name the tests whose determinism could not be checked."""
    determinism.summary(terminalreporter)


# Last, for nobody to change the order afterwards.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None, object, object]:
    """Refuse markers that would be half ignored, before anything runs; settle what runs, and what runs first."""
    result = yield
    for item in items:
        marker = item.get_closest_marker("sim")
        if marker is not None:
            with _refusing(config, [item]):
                check_marker(item, marker)
                given.allow_fixture(item, "sim")
    with _refusing(config, items):
        pytest_replay.narrow(config, items)
    with _refusing(config, items):
        pytest_first.order(config, items)
    return result


@contextmanager
def _refusing(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Refuse simulated tests, if it turns out so: each by itself in a pytest-xdist worker, which cannot end the run."""
    try:
        yield
    except pytest.UsageError as error:
        if not hasattr(config, "workerinput"):
            raise
        for item in items:
            if item.get_closest_marker("sim") is not None:
                item.stash[REFUSED] = str(error)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a test that could not be refused before."""
    refused = item.stash.get(REFUSED, None)
    if refused is not None:
        pytest.fail(refused, pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object:
    """Run a marked test in the simulator; fixtures have been set up outside it."""
    __tracebackhide__ = True
    marker = pyfuncitem.get_closest_marker("sim")
    if given.inner_test(pyfuncitem.obj) is not None and (
        marker is not None or "routilux_sim.simulation" in sys.modules
    ):
        given.warm_up()
    if marker is None:
        return None
    # It keeps the real clock, which may be frozen now.
    with real_time():
        from routilux_sim.pytest_running import SimulatedTest  # noqa: PLC0415 - only for tests that are simulated

    names = pyfuncitem._fixtureinfo.argnames  # noqa: SLF001 - as pytest's own hook does
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    test = pyfuncitem.obj
    # What the program refers to is searched for captured names, and the item refers to the whole test session.
    SimulatedTest(pyfuncitem, marker, arguments, pyfuncitem.config.stash[SEED]).run(lambda: test(**arguments))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put what a simulated test has come to in its report."""
    report = yield
    pytest_summary.attach(item, report)
    return report
