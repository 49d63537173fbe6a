"""The pytest plugin: runs tests marked ``sim`` as simulated programs.

Loaded at every start of every user's pytest, so it imports nothing of the simulator before a marked test runs.
"""

from __future__ import annotations

import argparse
import inspect
import os
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from zlib import crc32

import pytest

from routilux_sim import given, pytest_points, pytest_races
from routilux_sim import pytest_determinism as determinism
from routilux_sim.world import ready

if TYPE_CHECKING:
    from routilux_sim.artifacts import Artifacts
    from routilux_sim.execution import Execution
    from routilux_sim.exploration import Failure
    from routilux_sim.kernel.errors import NondeterminismError

__all__: list[str] = []

MARKER = (
    "sim(schedules=1, strategy='random', seed=None, max_steps=1000000, hang_seconds=30): run the test in simulated "
    "threads and virtual time, under so many schedules; seed= fixes the seed instead of deriving it from --sim-seed; "
    "hang_seconds= is the real time without a step after which a schedule is broken off, None for none; "
    "races='report' or 'fail' looks for data races, but not for those in allow_races=; instrument='auto', or a list of "
    "modules, makes accesses to the memory that tasks share scheduling points, too"
)
SEED = pytest.StashKey[int]()
SEED_BITS = 32


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 up, not {text!r}")
    return int(text)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("routilux-sim", "simulated threads and virtual time")
    group.addoption(
        "--sim-seed",
        type=_seed,
        metavar="N",
        help="seed of the run, mixed with each test's node id; a fresh one is drawn and shown when not given",
    )
    group.addoption(
        "--sim-artifacts",
        metavar="DIR",
        help="write each simulated test's execution log here, and a replay file if it fails; without it, replay files "
        "of explorations that fail go to .routilux_sim/",
    )
    group.addoption(
        "--sim-replay",
        metavar="FILE",
        help="run simulated tests under the schedule in this replay file; name the test that it is of",
    )
    determinism.add_options(parser, group)
    pytest_races.add_options(parser)
    pytest_points.add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Make ready what conftest files and test modules are about to capture: locks, and functions that tell time."""
    early_config.add_cleanup(ready.prepare())


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and settle the run's seed."""
    config.addinivalue_line("markers", MARKER)
    pytest_points.check_options(config)
    given = config.getoption("--sim-seed")
    # Under pytest-xdist the controller has drawn the seed, and every worker takes it from there.
    handed = getattr(config, "workerinput", {}).get("routilux_sim_seed")
    # SystemRandom: plugins that seed the global generator must not make every run draw the same seed.
    drawn = random.SystemRandom().getrandbits(SEED_BITS) if given is None and handed is None else None
    config.stash[SEED] = next(seed for seed in (given, handed, drawn) if seed is not None)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the run's seed to a pytest-xdist worker."""
    node.workerinput["routilux_sim_seed"] = node.config.stash[SEED]


def pytest_report_header(config: pytest.Config) -> str:
    """Show the run's seed."""
    twice = ", every schedule is run twice" if determinism.is_wanted(config) else ""
    return f"routilux-sim: --sim-seed={config.stash[SEED]}{twice}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Name the tests whose determinism could not be checked."""
    determinism.summary(terminalreporter)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse markers that would be half ignored, before anything runs."""
    for item in items:
        marker = item.get_closest_marker("sim")
        if marker is not None:
            _check_marker(item, marker)


def _check_marker(item: pytest.Item, marker: pytest.Mark) -> None:
    _check_function(item)
    allowed: dict[str, Callable[[Any], bool]] = {
        "schedules": lambda value: _is_whole(value) and value >= 1,
        "strategy": lambda value: isinstance(value, str) or callable(getattr(value, "pick", None)),
        "seed": lambda value: value is None or _is_whole(value),
        "max_steps": lambda value: _is_whole(value) and value >= 1,
        "hang_seconds": lambda value: value is None or (_is_number(value) and value > 0),
        **pytest_races.ARGUMENTS,
        **pytest_points.ARGUMENTS,
    }
    if marker.args:
        raise pytest.UsageError(f"{item.nodeid}: sim takes keyword arguments only, not {marker.args!r}")
    for name, value in marker.kwargs.items():
        if name not in allowed:
            raise pytest.UsageError(f"{item.nodeid}: sim has no argument {name!r}; there are: {', '.join(allowed)}")
        if not allowed[name](value):
            raise pytest.UsageError(f"{item.nodeid}: sim({name}={value!r}) is out of range; see 'pytest --markers'")
    if isinstance(marker.kwargs.get("strategy"), str):
        _check_strategy(item, marker.kwargs["strategy"])


def _check_function(item: pytest.Item) -> None:
    """Refuse what pytest would not hand over, or what would not run its body."""
    function = getattr(item, "obj", None)
    if given.is_state_machine(getattr(item, "cls", None)):
        raise pytest.UsageError(
            f"{item.nodeid}: sim cannot run a state machine's TestCase; call simulate() in the machine's rules"
        )
    if not isinstance(item, pytest.Function) or type(item).__name__ == "TestCaseFunction":
        raise pytest.UsageError(f"{item.nodeid}: sim works on test functions and plain classes, not on unittest's")
    function = given.inner_test(function) or function
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise pytest.UsageError(f"{item.nodeid}: sim cannot run an 'async def' test; make it a plain function")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_strategy(item: pytest.Item, name: str) -> None:
    try:
        from routilux_sim.strategy import check_name  # noqa: PLC0415 - not before a marked test is there
    except ModuleNotFoundError:
        return  # running the test says what to install
    try:
        check_name(name)
    except ValueError as error:
        raise pytest.UsageError(f"{item.nodeid}: {error}") from error


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
    names = pyfuncitem._fixtureinfo.argnames  # noqa: SLF001 - as pytest's own hook does
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    test = pyfuncitem.obj
    # What the program refers to is searched for captured names, and the item refers to the whole test session.
    _SimulatedTest(pyfuncitem, marker, arguments).run(lambda: test(**arguments))
    return True


def _is_failure(error: BaseException) -> bool:
    return not isinstance(error, pytest.skip.Exception | pytest.xfail.Exception) and not given.is_control(error)


class _SimulatedTest:
    """One marked test."""

    def __init__(self, item: pytest.Function, marker: pytest.Mark, arguments: dict[str, Any]) -> None:
        self._item = item
        # Hypothesis runs failing examples again itself, and would take a second run's draws for further ones.
        self._is_given = given.inner_test(item.obj) is not None
        self._every = determinism.is_wanted(item.config)
        if self._every and self._is_given:
            self._every = False
            determinism.leave_out(item, "Hypothesis makes its examples")
        self._changeable = determinism.changeable(item, arguments)
        run_seed = item.config.stash[SEED]
        fixed = marker.kwargs.get("seed")
        # XOR with the node id's checksum: a test's seed does not depend on which other tests run, nor in what order.
        self._is_fixed = fixed is not None
        self._seed: int = fixed if fixed is not None else run_seed ^ crc32(item.nodeid.encode())
        self._schedules: int = marker.kwargs.get("schedules", 1)
        self._options = {
            "strategy": marker.kwargs.get("strategy", "random" if self._schedules == 1 else "portfolio"),
            "max_steps": marker.kwargs.get("max_steps", 1_000_000),
            "hang_seconds": marker.kwargs.get("hang_seconds", 30.0),
            **pytest_races.options_of(item.config, marker),
            **pytest_points.options_of(item.config, marker),
        }
        profile = given.derandomizing_profile(item.obj) if self._is_given else None
        option = "" if profile is None else f" --hypothesis-profile={profile}"
        self._command = f"pytest --sim-seed={run_seed}{option} '{item.nodeid}'"
        self._shown: Execution | None = None
        self._text: str | None = None
        self._replayed: str | None = item.config.getoption("--sim-replay")
        self._kept: Artifacts | None = None

    def run(self, program: Callable[[], object]) -> None:
        """Run the test: once, or once for each example that Hypothesis makes for it."""
        __tracebackhide__ = True
        try:
            if not self._is_given:
                self._simulate(program, self._seed)
            else:
                with given.simulated_examples(self._item.obj, self._seed, self._is_fixed, self._simulate):
                    program()
        finally:
            self._show()

    def _simulate(self, program: Callable[[], object], seed: int) -> None:
        __tracebackhide__ = True
        try:
            from routilux_sim import explore  # noqa: PLC0415 - what it needs is an extra
            from routilux_sim.simulation import simulate_checked  # noqa: PLC0415 - likewise
        except ModuleNotFoundError as error:
            raise pytest.UsageError(f"simulated tests need {error.name}: pip install 'routilux[sim]'") from error
        try:
            if self._replayed is not None:
                execution, found = self._replay(program, self._replayed), None
            elif self._schedules == 1:
                execution, found = simulate_checked(
                    program, every=self._every, is_failure=self._is_checked, seed=seed, **self._options
                )
            else:
                options: dict[str, Any] = {"schedules": self._schedules, "seed": seed, **self._options}
                options |= {"on_failure": self._keep_early, "shrink": not self._is_given}
                report = explore(program, check_determinism=self._every, **options)
                if report.nondeterminism is not None and report.unconfirmed is None:
                    self._doubt(report.nondeterminism)
                    report = explore(program, **options)
        except pytest.fail.Exception as error:
            # Not the program's: a time limit has struck.
            error.add_note(f"simulated under seeds from {seed} up; reproduce with: {self._command}")
            raise
        is_single = self._schedules == 1 or self._replayed is not None
        pytest_races.show(self._item, execution.races if is_single else report.races)
        if is_single:
            self._judge(execution, found)
            return
        if report.failure is not None:
            self._tell(report.failure)
            self._judge(report.failure.execution, None)
        if report.unconfirmed is not None:
            self._judge(report.unconfirmed, report.nondeterminism)
        if report.verdict == "inconclusive":
            report.raise_if_failed()

    def _replay(self, program: Callable[[], object], path: str) -> Execution:
        from routilux_sim import ReplayFileError, replay  # noqa: PLC0415 - only when asked for

        try:
            return replay(program, path, hang_seconds=self._options["hang_seconds"])
        except (ReplayFileError, OSError) as error:
            raise pytest.UsageError(f"--sim-replay: {error}") from error

    def _keep_early(self, execution: Execution) -> None:
        """Keep a failure's schedule before it is shrunk; that it cannot be kept is no reason to lose the failure."""
        if self._is_given or not _is_failure(cast("BaseException", execution.error)):
            return
        kept = self._artifacts()
        with suppress(OSError):
            kept.keep(execution)
            self._kept = kept

    def _artifacts(self) -> Artifacts:
        from routilux_sim.artifacts import FOLDER, Artifacts  # noqa: PLC0415 - when there is something to keep
        from routilux_sim.replay_files import digest_of  # noqa: PLC0415 - likewise

        folder = self._item.config.getoption("--sim-artifacts") or self._item.config.rootpath / FOLDER
        nodeid = self._item.nodeid
        return Artifacts(Path(folder), nodeid, nodeid, digest_of(self._item.path))

    def _tell(self, failure: Failure) -> None:
        """Have the report say what is known of a failure, and the note its sentence and how to bring it back."""
        self._text = failure.explanation
        kept = self._kept
        if kept is None:
            return
        if failure.findings is not None and failure.findings.shrunk is not None:
            with suppress(OSError):
                kept.keep_shrunk(failure.findings.execution)
        if failure.sentence is not None:
            failure.exception.add_note(failure.sentence)
        path = os.path.relpath(cast("Path", kept.shrunk or kept.original))
        failure.exception.add_note(
            f"its schedule is kept; run it alone with: pytest --sim-replay={path} '{self._item.nodeid}'"
        )

    def _is_checked(self, error: BaseException) -> bool:
        """Whether a failure is run again, to see whether it comes back."""
        return not self._is_given and _is_failure(error)

    def _judge(self, execution: Execution, found: NondeterminismError | None) -> None:
        __tracebackhide__ = True
        self._keep(execution)
        if execution.error is not None:
            self._fail(execution.error, execution, found)
        self._doubt(found)

    def _doubt(self, found: NondeterminismError | None) -> None:
        """The test passed, but a second run did not do the same."""
        __tracebackhide__ = True
        if found is None:
            return
        if not determinism.is_explained(found, self._changeable):
            raise found
        determinism.mark_unchecked(self._item, found, self._changeable)

    def _fail(self, error: BaseException, execution: Execution, found: NondeterminismError | None) -> None:
        __tracebackhide__ = True
        if _is_failure(error):
            # A note, unlike a report section, also reaches JUnit XML.
            error.add_note(f"simulated under seed {execution.seed}; reproduce with: {self._command}")
            self._shown = execution
            if found is not None:
                error.add_note(determinism.note_on(found, self._changeable))
        raise error

    def _show(self) -> None:
        """Explain the last execution that failed: of many examples, it is the one that Hypothesis shows."""
        if self._shown is not None:
            from routilux_sim.explanation import explain  # noqa: PLC0415 - only for failures

            self._item.add_report_section("call", "simulation", self._text or explain(self._shown))

    def _keep(self, execution: Execution) -> None:
        if self._item.config.getoption("--sim-artifacts") is None:
            return
        kept = self._artifacts()
        kept.keep_log(execution)
        if execution.error is not None and self._kept is None:
            kept.keep(execution)
