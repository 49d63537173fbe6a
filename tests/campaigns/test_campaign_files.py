"""A campaign that is interrupted goes on, shares add up to the whole, and what does not belong together is refused."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as generators

from routilux_sim import CampaignFileError, cli_programs, explore
from routilux_sim.campaigns.dealing import without
from routilux_sim.campaigns.files import load_campaign, share_of
from routilux_sim.campaigns.merging import added_up, merged
from routilux_sim.campaigns.parts import Part, joined
from routilux_sim.cli import cli
from tests.campaigns import programs
from tests.campaigns.executors import Shuffled
from tests.campaigns.programs import told
from tests.campaigns.test_executors import ROOT, needs_fork

MODULE = "tests.campaigns.programs"


class Interrupting:
    """Tells progress, until so many schedules have run."""

    def __init__(self, after):
        self.after = after

    def __call__(self, count):
        if count >= self.after:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("strategy", "program"),
    [
        ("mix", programs.rare),
        ("random", programs.unlucky),
        *(
            pytest.param(strategy, program, marks=pytest.mark.long)
            for strategy in ("random", "mix", "pct", "surw")
            for program in (programs.passing, programs.rare, programs.unlucky)
        ),
    ],
)
def test_an_interrupted_campaign_goes_on(tmp_path, strategy, program):
    """In the middle of what is learned from, and later, more than once: the report is that of one that was not."""
    file = tmp_path / "campaign.json"
    options = {"strategy": strategy, "schedules": 600, "seed": 40}
    alone = told(explore(program, **options))
    for after in (5, 100, 300, 520):
        before = load_campaign(file).done if file.exists() else []
        try:
            explore(program, executor=Shuffled(after), campaign_file=file, progress=Interrupting(after), **options)
        except KeyboardInterrupt:
            done = load_campaign(file).done
            assert not [numbers for old in before for numbers in without(old, done)], "something was lost"
    assert told(explore(program, campaign_file=file, **options)) == alone
    # Once it has ended, nothing but a failure runs again.
    assert told(explore(program, executor=Shuffled(0), campaign_file=file, **options)) == alone


@pytest.mark.parametrize(
    ("program", "schedules", "shares"),
    [
        ("unlucky", 600, 3),
        ("racy", 300, 2),
        ("racy", 40, 3),
        *(
            pytest.param(program, *numbers, marks=pytest.mark.long)
            for program in ("passing", "unlucky", "racy")
            for numbers in ((600, 3), (100, 7), (900, 2))
        ),
    ],
)
def test_shares_add_up_to_the_whole(tmp_path, program, schedules, shares):
    """Counts, coverage and the first failure, with more and with fewer schedules than are learned from."""
    options = {"schedules": schedules, "strategy": "mix", "races": "report", "seed": 7}
    path = f"{MODULE}:{program}"
    whole = explore(path, executor=Shuffled(1), **options)
    files = []
    for place in range(1, shares + 1):
        file = tmp_path / f"{place}.json"
        explore(path, executor=Shuffled(place), campaign_file=file, shard=(place, shares), shrink=False, **options)
        files.append(load_campaign(file))
    found = added_up(merged(files[::-1]))
    assert found.schedules == whole.schedules
    assert found.strategies == whole.strategies
    assert found.coverage.curve == whole.coverage.curve
    assert found.coverage.pairs == whole.coverage.pairs
    assert found.virtual_seconds == whole.virtual_seconds
    assert {race.key for race in found.races} == {race.key for race in whole.races}
    assert not found.missing
    if whole.failure is not None:
        assert found.stops[0].number == whole.failure.seed - 7


@given(generators.integers(1, 500), generators.integers(1, 50))
def test_each_schedule_is_of_one_share(schedules, shares):
    """Whatever their numbers."""
    parts = [share_of(schedules, (place, shares)) for place in range(1, shares + 1)]
    assert [number for part in parts for number in part] == list(range(schedules))


@given(generators.lists(generators.integers(1, 9), min_size=1, max_size=12), generators.randoms(use_true_random=False))
@settings(max_examples=50)
def test_parts_add_up_in_any_order(sizes, random):
    """Joining them all at once, or some before others, comes to the same."""
    parts, first = [], 0
    for size in sizes:
        part = Part(first, first + size, {"random": size}, size)
        part.kinds.extend(range(first, first + size))
        part.pairs |= {size}
        part.grown = {f"name-{size}": first}
        parts.append(part)
        first += size
    whole = joined(parts)
    shuffled = random.sample(parts, len(parts))
    middle = random.randint(0, len(parts))
    assert joined([*joined(shuffled[:middle]), *joined(shuffled[middle:])]) == whole
    assert len(whole) == 1
    assert list(whole[0].kinds) == list(range(first))


def test_a_file_of_something_else_is_refused(tmp_path):
    """By the name of what differs."""
    file = tmp_path / "campaign.json"
    options = {"schedules": 30, "strategy": "random", "executor": Shuffled(1), "campaign_file": file}
    explore(programs.passing, **options)
    for others, words in (
        ({"seed": 5}, "it is of another campaign: 'seed' is 0, and of this exploration 5"),
        ({"strategy": "pct"}, "'strategy' is 'random', and of this exploration 'pct'"),
        ({"schedules": 31}, "'schedules' is 30, and of this exploration 31"),
        ({"shard": (1, 2)}, r"'shard' is \(1, 1\), and of this exploration \(1, 2\)"),
        ({"instrument": None}, "'instrument' is 'auto', and of this exploration None"),
    ):
        with pytest.raises(CampaignFileError, match=words):
            explore(programs.passing, **{**options, **others})
    with pytest.raises(CampaignFileError, match=r"'program' is 'tests\.campaigns\.programs:passing'"):
        explore(programs.rare, **options)


def test_a_program_that_has_changed_is_refused(tmp_path):
    """What has run says nothing of it."""
    file = tmp_path / "campaign.json"
    options = {"schedules": 30, "executor": Shuffled(1), "campaign_file": file}
    explore(programs.passing, **options)
    document = json.loads(file.read_text())
    document["digest"] = "sha256:0"
    file.write_text(json.dumps(document))
    with pytest.raises(CampaignFileError, match="the program's source has changed since"):
        explore(programs.passing, **options)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "x"}, "not a campaign file: 'format' must be 'routilux-sim/campaign'"),
        ({"version": 2}, "'version' is 2; this routilux-sim reads version 1"),
        ({"first": "0"}, "'first' must be a int, not '0'"),
        ({"end": 10}, "schedules 0 to 30 are not of this share"),
        ({"shard": [2, 1]}, r"'shard' cannot be \[2, 1\]"),
        ({"parts": [5]}, "part 0: must be an object, not 5"),
        ({"told": [1, "fine", ""]}, "'told' cannot be"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, change, words):
    """Saying where."""
    file = tmp_path / "campaign.json"
    explore(programs.passing, schedules=30, executor=Shuffled(1), campaign_file=file)
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(CampaignFileError, match=words):
        load_campaign(file)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kinds", "!"),
        ("kinds", "AAAA"),
        ("pairs", 5),
        ("strategies", {"random": "many"}),
        ("races", [[1, 2]]),
        ("unfair", [1]),
        ("grown", []),
        ("stop", {"kind": "tired"}),
        ("seconds", None),
    ],
)
def test_a_damaged_part_is_refused(tmp_path, name, value):
    """Saying which, and what of it."""
    file = tmp_path / "campaign.json"
    explore(programs.passing, schedules=30, executor=Shuffled(1), campaign_file=file)
    document = json.loads(file.read_text())
    document["parts"][0][name] = value
    file.write_text(json.dumps(document))
    with pytest.raises(CampaignFileError, match=rf"part 0: '{name}'"):
        load_campaign(file)


def command(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture
def explored(tmp_path, monkeypatch):
    """Files of shares, made as the command line makes them, but in this process."""

    def explore_here(program, **options):
        return explore(program, **{**options, "executor": Shuffled(1), "shrink": False})

    monkeypatch.setattr(cli_programs, "explore", explore_here)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT))

    def make(program, shares, count, schedules=400):
        files = []
        for place in shares:
            file = tmp_path / f"{program}-{place}.json"
            result = command(
                "explore", f"{MODULE}:{program}", "--schedules", schedules, "--shard", f"{place}/{count}",
                "--campaign", file, "--seed", 40,
            )  # fmt: skip
            assert result.exit_code in {0, 1}, result.output
            files.append(file)
        return files

    return make


def test_merging_passes_and_failures(explored, tmp_path):
    """One report of all: exit code 0 if nothing failed, 1 with the failing seeds if something did."""
    result = command("merge", *explored("passing", (1, 2, 3), 3), "-o", tmp_path / "all.json")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("passed: 400 of 400 schedules")
    assert load_campaign(tmp_path / "all.json").done == [range(400)]
    result = command("merge", *explored("unlucky", (1, 2), 2, 2000))
    assert result.exit_code == 1
    assert result.stdout.startswith("failed: ")
    assert "AssertionError: bad luck" in result.stdout


def test_gaps_and_overlaps_are_named(explored):
    """What is of none of the files, or of two of them."""
    one, three = explored("passing", (1, 3), 4)
    result = command("merge", one, three)
    assert result.exit_code == 1
    assert "missing: schedules 100 to 199 are of none of these files" in result.stdout
    assert "missing: schedules 300 to 399 are of none of these files" in result.stdout
    result = command("merge", one, one)
    assert result.exit_code == 2
    assert "overlap: schedules 0 to 99 are of both; leave one of them out" in result.stderr
    (other,) = explored("rare", (2,), 4)
    result = command("merge", one, other)
    assert result.exit_code == 2
    assert "it is of another campaign: 'program' is" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--shard", "9/8"), "'9/8' is no share; write 3/8 for the third of eight"),
        (("--dask", "a", "--ray", "b"), "--dask and --ray cannot both run the schedules"),
        (("--strategy", "dfs", "--shard", "1/2"), "strategy 'dfs' makes schedules of what it has learned"),
    ],
)
def test_wrong_options_are_refused(arguments, words):
    """In one line, with exit code 2."""
    result = command("explore", f"{MODULE}:passing", *arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())


@pytest.mark.parametrize(("option", "module"), [("--dask", "distributed"), ("--ray", "ray")])
def test_what_is_not_installed_is_named(monkeypatch, option, module):
    """With what installs it."""
    monkeypatch.setitem(sys.modules, module, None)
    result = command("explore", f"{MODULE}:passing", option, "auto")
    assert result.exit_code == 2
    assert f"not installed: pip install 'routilux[{option[2:]}]'" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.long
@needs_fork
def test_a_killed_campaign_goes_on_as_a_command(tmp_path):
    """SIGKILL and Ctrl-C in the middle; the command that is run again comes to the same as one that was left alone."""
    file = tmp_path / "campaign.json"

    def start(*more):
        return subprocess.Popen(
            [sys.executable, "-m", "routilux_sim", "explore", f"{MODULE}:plodding", "--workers", "2", *map(str, more)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    arguments = ("--schedules", 2000, "--campaign", file)
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        process = start(*arguments)
        ends = time.monotonic() + 60
        before = file.stat().st_mtime_ns if file.exists() else 0
        while not (file.exists() and file.stat().st_mtime_ns > before) and process.poll() is None:
            assert time.monotonic() < ends
            time.sleep(0.01)
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == code, errors
        assert ("interrupted; what has run is in" in errors) == (number == signal.SIGINT)
        assert 0 < sum(map(len, load_campaign(file).done)) < 2000
    out, errors = start(*arguments).communicate(timeout=60)
    assert out.startswith("passed: 2000 schedules"), errors
    again, _ = start("--schedules", 2000, "--strategy", "mix").communicate(timeout=60)
    assert again.splitlines()[1:] == out.splitlines()[1:]
