"""``routilux-sim explore``, ``replay``, ``shrink`` and ``explain``."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from routilux_sim import cli_progress, load_schedule
from routilux_sim.cli import cli

BANK = """
import threading
from threading import Lock

IMPORTED = Lock()
untouchable = 5


class Account:
    def __init__(self):
        self.lock = threading.Lock()
        self.balance = 100

    def withdraw(self, amount):
        with self.lock:
            enough = self.balance >= amount
        if enough:
            with self.lock:
                self.balance -= amount

    @staticmethod
    def overdrawn():
        overdrawn()


def run(*targets):
    threads = [threading.Thread(target=target, name=f"clerk-{n}") for n, target in enumerate(targets, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def overdrawn():
    with IMPORTED:
        account = Account()
    run(lambda: account.withdraw(100), lambda: account.withdraw(50))
    assert account.balance >= 0, f"overdrawn: {account.balance}"


def solvent():
    account = Account()
    run(lambda: account.withdraw(10), lambda: account.withdraw(10))
    assert account.balance == 80


def single():
    return 1


class Tally:
    value = 0

    def count(self):
        self.value += 1


def miscounted():
    tally = Tally()
    run(tally.count, tally.count)
    assert tally.value == 2, "miscounted"


def unordered():
    tally = Tally()
    run(tally.count, tally.count)
"""

BROKEN = "import threading\n\n\ndef helper():\n    raise ZeroDivisionError('while importing')\n\n\nhelper()\n"


class Bench:
    """A folder with modules in it, and the command."""

    def __init__(self, directory):
        self.directory = directory

    def __call__(self, *arguments):
        return CliRunner().invoke(cli, list(map(str, arguments)))

    @property
    def shrunk(self):
        return ".routilux_sim/shop_bank.overdrawn.shrunk.replay.json"

    @property
    def original(self):
        return ".routilux_sim/shop_bank.overdrawn.replay.json"


@pytest.fixture
def bench(tmp_path, monkeypatch):
    (tmp_path / "shop_bank.py").write_text(BANK)
    (tmp_path / "shop_broken.py").write_text(BROKEN)
    (tmp_path / "shop_needs.py").write_text("import no_such_module_at_all\n")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("")
    (tmp_path / "shop" / "till.py").write_text("from shop_bank import overdrawn\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield Bench(tmp_path)
    for name in set(sys.modules) - known:
        if name.startswith("shop"):
            del sys.modules[name]


def test_a_failure_is_found_kept_and_explained(bench):
    """Exit code 1; the sentence, the conflict, the files, and the command that runs it again."""
    result = bench("explore", "shop_bank:overdrawn")
    assert result.exit_code == 1, result.output
    assert result.stdout.startswith("failed: ")
    assert "FIFO everywhere, except: at step" in result.stdout
    assert "atomicity violation: clerk-1 reads Account.balance (shop_bank.py:16)" in result.stdout
    assert "reproduced 10 of 10" in result.stdout
    assert result.stdout.endswith(f"run it again: routilux-sim replay {bench.shrunk}\n")
    assert f"failed, kept in {bench.original}; looking for what is simpler" in result.stderr
    assert load_schedule(bench.shrunk).deviations < load_schedule(bench.original).deviations


def test_files_go_where_they_are_wanted(bench):
    """``--artifacts`` names the folder, which is the user's own and does not ignore itself."""
    bench("explore", "shop_bank:overdrawn", "--artifacts", "regressions/bank")
    names = sorted(path.name for path in (bench.directory / "regressions" / "bank").iterdir())
    assert names == ["shop_bank.overdrawn.replay.json", "shop_bank.overdrawn.shrunk.replay.json"]
    assert not (bench.directory / ".routilux_sim").exists()


def test_the_folder_of_its_own_ignores_itself(bench):
    """So that nobody commits it by accident."""
    bench("explore", "shop_bank:overdrawn")
    assert (bench.directory / ".routilux_sim" / ".gitignore").read_text().endswith("*\n")


@pytest.mark.parametrize(("program", "verdict"), [("solvent", "passed"), ("single", "exhausted")])
def test_what_does_not_fail_exits_with_0(bench, program, verdict):
    """And leaves nothing behind."""
    result = bench("explore", f"shop_bank:{program}", "--schedules", 20)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{verdict}: ")
    assert not (bench.directory / ".routilux_sim").exists()


def test_options_reach_the_exploration(bench):
    """Schedules, seed, strategy and steps: FIFO has one schedule, and ten steps are too few."""
    assert bench("explore", "shop_bank:overdrawn", "--strategy", "fifo").exit_code == 0
    result = bench("explore", "shop_bank:solvent", "--max-steps", 5)
    assert result.exit_code == 1
    assert result.stdout.startswith("inconclusive: ")
    assert "more than 5 steps" in result.stdout
    assert "2 schedules" in bench("explore", "shop_bank:solvent", "--schedules", 2, "--strategy", "random").stdout


def test_memory_can_be_looked_into(bench):
    """What happens between two accesses is found, unless one says otherwise; the file knows that it was on."""
    assert bench("explore", "shop_bank:miscounted", "--schedules", 50, "--instrument", "none").exit_code == 0
    result = bench("explore", "shop_bank:miscounted")
    assert result.exit_code == 1
    assert "lost update: clerk-" in result.stdout
    assert "is preempted before it writes Tally.value-2 (shop_bank.py:" in result.stdout
    file = ".routilux_sim/shop_bank.miscounted.shrunk.replay.json"
    assert "AssertionError: miscounted" in bench("replay", file).stdout
    assert "[write Tally.value-2]" in bench("explain", file).stdout
    result = bench("explore", "shop_bank:miscounted", "--instrument", "shop_bank", "--instrument", "shop")
    assert result.exit_code == 1


def test_races_can_be_failures(bench):
    """``--races fail`` ends at the first; its file brings it back, by itself."""
    arguments = ("explore", "shop_bank:unordered", "--instrument", "auto")
    assert bench(*arguments).exit_code == 0
    result = bench(*arguments, "--races", "fail")
    assert result.exit_code == 1
    assert "data race on Tally.value" in result.stdout
    for command in ("replay", "explain"):
        result = bench(command, ".routilux_sim/shop_bank.unordered.shrunk.replay.json")
        assert "data race on Tally.value" in result.stdout, result.output


def test_races_can_be_allowed(bench):
    """``--allow-races`` takes those that do no harm, by what is accessed, and no others."""
    arguments = ("explore", "shop_bank:unordered", "--races", "fail", "--allow-races")
    assert bench(*arguments, "Tally.value").exit_code == 0
    assert bench(*arguments, "Tally.other", "--allow-races", "shop.py:1").exit_code == 1


def test_workers_can_share_the_schedules(bench):
    """``--workers 2`` finds, keeps and shrinks the same."""
    result = bench("explore", "shop_bank:overdrawn", "--workers", 2)
    assert result.exit_code == 1, result.output
    assert load_schedule(bench.shrunk).deviations == 1


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("shop_bank", "'shop_bank' is not an import path; write 'package.module:name'"),
        ("no_such_module:program", "cannot import 'no_such_module': ModuleNotFoundError"),
        ("shop.no_such_module:program", "cannot import 'shop.no_such_module': ModuleNotFoundError"),
        ("shop_bank:no_such", "there is no 'no_such' in <module 'shop_bank'"),
        ("shop_bank:Account.no_such", "there is no 'no_such' in <class 'shop_bank.Account'>"),
        ("shop_bank:untouchable", "'shop_bank:untouchable' is 5, which cannot be called"),
    ],
)
def test_what_cannot_be_found_is_named(bench, path, words):
    """In one message, without a traceback, with exit code 2."""
    result = bench("explore", path)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("shop_broken:program", ["in helper", "ZeroDivisionError: while importing"]),
        ("shop_needs:program", ["import no_such_module_at_all", "No module named 'no_such_module_at_all'"]),
    ],
)
def test_a_module_that_breaks_is_shown_with_its_traceback(bench, path, lines):
    """It is there, and the mistake is in it: where, says the traceback."""
    result = bench("explore", path)
    assert result.exit_code == 2
    assert "Traceback (most recent call last):" in result.stderr
    for line in lines:
        assert line in result.stderr


@pytest.mark.parametrize("path", ["shop.till:overdrawn", "shop_bank:Account.overdrawn"])
def test_dotted_paths_lead_somewhere(bench, path):
    """Packages and attributes of classes."""
    assert bench("explore", path).exit_code == 1


def test_an_unknown_strategy_is_named(bench):
    """As `explore` words it."""
    result = bench("explore", "shop_bank:solvent", "--strategy", "luck")
    assert result.exit_code == 2
    assert "luck" in result.stderr


def test_a_file_knows_its_program(bench):
    """``replay FILE`` alone runs it: exit code 1, as the failure is there still."""
    bench("explore", "shop_bank:overdrawn")
    for file in (bench.original, bench.shrunk):
        result = bench("replay", file)
        assert result.exit_code == 1
        assert result.stdout.startswith("failed: shop_bank:overdrawn, ")
        assert "AssertionError: overdrawn: -50" in result.stdout


def test_a_replay_can_be_logged(bench):
    """``--log`` writes the execution log."""
    bench("explore", "shop_bank:overdrawn")
    bench("replay", bench.shrunk, "--log", "out.jsonl")
    lines = (bench.directory / "out.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["event"] == "execution.end"
    assert bench("replay", bench.shrunk, "--log", "no/such/folder").exit_code == 2


def test_a_failure_that_is_gone_is_told(bench):
    """A program mended without another step follows the schedule and passes: exit code 0."""
    bench("explore", "shop_bank:overdrawn")
    (bench.directory / "shop_mended.py").write_text(BANK.replace("assert account.balance >= 0", "assert True or True"))
    result = bench("replay", bench.shrunk, "shop_mended:overdrawn")
    assert result.exit_code == 0, result.output
    assert "what was kept does not come back: AssertionError: overdrawn: -50" in result.stdout


def test_a_program_that_does_not_follow_is_told(bench):
    """At which step, what was expected, what came, what wrote the file, and whether the source has changed."""
    bench("explore", "shop_bank:overdrawn")
    (bench.directory / "shop_changed.py").write_text(
        BANK.replace("        if enough:\n            with self.lock:\n    ", "        if enough:\n        ")
    )
    result = bench("replay", bench.shrunk, "shop_changed:overdrawn")
    assert result.exit_code == 1
    assert result.stdout.startswith("inconclusive: ")
    for words in ("does not fit the program at step", "expected", "found", "has changed since", "under Python 3."):
        assert words in result.stdout, result.stdout


def test_a_file_can_be_shrunk(bench):
    """The simplest schedule goes beside it, or where it is wanted, and is told in a sentence."""
    bench("explore", "shop_bank:overdrawn")
    os.remove(bench.shrunk)
    result = bench("shrink", bench.original)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("FIFO everywhere, except: at step ")
    assert result.stdout.endswith(f"it is in {bench.shrunk}\n")
    assert load_schedule(bench.shrunk).deviations == 1
    bench("shrink", bench.original, "-o", "kept/small.replay.json")
    assert load_schedule("kept/small.replay.json") == load_schedule(bench.shrunk)
    assert bench("replay", "kept/small.replay.json").exit_code == 1


def test_a_file_can_be_explained(bench):
    """Step by step, as it is: not shrunk."""
    bench("explore", "shop_bank:overdrawn")
    result = bench("explain", bench.shrunk)
    assert result.exit_code == 0, result.output
    assert "what the tasks do, step by step:" in result.stdout
    assert "[acquire Account.lock]" in result.stdout
    assert "shop_bank.py:" in result.stdout
    assert "it passes if at step " in result.stdout
    assert "shrunk from" not in result.stdout
    assert result.stdout.endswith(f"run again with: routilux-sim replay {bench.shrunk}\n")


@pytest.mark.parametrize("command", ["shrink", "explain"])
def test_what_passes_has_nothing_to_shrink_or_explain(bench, command):
    """Exit code 1, and the reason."""
    bench("explore", "shop_bank:overdrawn")
    (bench.directory / "shop_mended.py").write_text(BANK.replace("assert account.balance >= 0", "assert True or True"))
    result = bench(command, bench.shrunk, "shop_mended:overdrawn")
    assert result.exit_code == 1
    assert "the program passes under this schedule" in result.stderr


@pytest.mark.parametrize("command", ["replay", "shrink", "explain"])
def test_files_that_cannot_be_used(bench, command):
    """Exit code 2: no such file, no replay file, an unknown version, no program in it."""
    assert bench(command, "no-such-file").exit_code == 2
    (bench.directory / "other.json").write_text("{}")
    result = bench(command, "other.json")
    assert result.exit_code == 2
    assert "other.json: not a replay file" in result.stderr
    bench("explore", "shop_bank:overdrawn")
    document = json.loads((bench.directory / bench.shrunk).read_text())
    (bench.directory / "new.json").write_text(json.dumps({**document, "version": 99}))
    result = bench(command, "new.json")
    assert result.exit_code == 2
    assert "'version' is 99" in result.stderr
    (bench.directory / "nameless.json").write_text(json.dumps({**document, "program": None}))
    result = bench(command, "nameless.json")
    assert result.exit_code == 2
    assert "does not say which program it is of; add MODULE:CALLABLE" in result.stderr


def test_a_folder_that_cannot_be_written_does_not_hide_itself(bench):
    """The message names it."""
    (bench.directory / "blocked").write_text("a file")
    result = bench("explore", "shop_bank:overdrawn", "--artifacts", "blocked/inside")
    assert result.exit_code == 1
    assert "blocked" in result.stderr


def test_progress_is_shown_of_what_takes_long(bench, monkeypatch):
    """On standard error, and only after a while; the verdict alone goes to standard output."""
    assert bench("explore", "shop_bank:solvent", "--schedules", 50).stderr == ""
    monkeypatch.setattr(cli_progress, "QUIET", 0.0)
    result = bench("explore", "shop_bank:solvent", "--schedules", 50)
    assert "50 of at most 50 schedules" in result.stderr
    assert "at most" not in result.stdout


def test_it_works_as_a_command(bench):
    """In a process of its own, from the folder that the module is in."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "routilux_sim", "explore", "shop_bank:overdrawn"],
        cwd=bench.directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "atomicity violation" in done.stdout
