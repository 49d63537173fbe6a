"""Whatever is in a scenario, replay or log file: it is read, or refused with one error that names file and place."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routilux_sim import explore, save_schedule
from routilux_sim.replay_files import ReplayFileError, load_replay
from routilux_sim.scenario import ScenarioError, load_scenario
from routilux_sim.scenario.incident import incident
from routilux_sim.scenario.log_reader import LogFileError, read_log
from routilux_sim.schedule import NamedInvariant
from scenarios import flows

FOLDER = Path(__file__).parents[2] / "scenarios"
TEXTS = sorted(path.read_text() for path in FOLDER.glob("*.toml"))
LOG = (FOLDER / "production.jsonl").read_text()

SHORT = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))

ODD = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1.5,
        float("inf"),
        float("nan"),
        10**400,
        "",
        "x",
        "(",
        "\ud800",
        "a\x00b",
        [],
        [1],
        {},
        {"a": 1},
    ]
)
ANY = st.recursive(
    ODD | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)
ODD_TEXTS = st.sampled_from(["", "1", "-0", "inf", "nan", "''", '"', "[", "[[", "]", "{", "}", "[1]", "{ a = 1 }", "="])
ODD_TEXTS |= st.sampled_from(
    ["\n", "#", "true", "1979-05-27", "99:99", "\\", "\x00", "'json:dumps'", "'a\\u0000:b'", "é"]
)
ODD_TEXTS |= st.sampled_from(["9" * 5000, "[" * 3000, "\ud7ff"])


@st.composite
def changed_texts(draw, texts):
    """A text with a few pieces of it cut out, doubled or replaced."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 3))):
        tokens = [match.span() for match in re.finditer(r"\w+|[^\w\s]|\s", text)]
        if not tokens:
            break
        begin, end = draw(st.sampled_from(tokens))
        new = draw(ODD_TEXTS | st.text(max_size=5) | st.just(text[begin:end] * 2))
        text = text[:begin] + new + text[end:]
    return text


@st.composite
def changed_documents(draw, document):
    """JSON data with one value somewhere in it replaced, left out or added."""
    changed = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 2))):
        place = changed
        while True:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            if not keys:
                break
            key = draw(st.sampled_from(list(keys)))
            if isinstance(place[key], dict | list) and draw(st.booleans()):
                place = place[key]
                continue
            if draw(st.integers(0, 4)) == 0:
                del place[key]
            else:
                place[key] = copy.deepcopy(draw(ODD | ANY))
            break
    return changed


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
    return path


def one_error(error: BaseException, path: Path) -> None:
    """The message begins with the file, and says something."""
    text = str(error)
    assert text.startswith(f"{path}:")
    assert len(text) > len(str(path)) + 10
    assert len(text) < 2_000 + len(str(path))


def scenario_is_read_or_refused(tmp_path: Path, text: str | bytes) -> None:
    path = written(tmp_path / "scenario.toml", text)
    try:
        load_scenario(path)
    except ScenarioError as error:
        one_error(error, path)


def replay_is_read_or_refused(tmp_path: Path, text: str | bytes) -> None:
    path = written(tmp_path / "a.replay.json", text)
    try:
        kept = load_replay(path)
    except ReplayFileError as error:
        one_error(error, path)
    else:
        save_schedule(kept.schedule, path)
        assert load_replay(path).schedule == kept.schedule


def log_is_read_or_refused(tmp_path: Path, text: str | bytes) -> None:
    path = written(tmp_path / "production.jsonl", text)
    try:
        jobs = [job for job in read_log(path) if job.activations]
    except LogFileError as error:
        one_error(error, path)
    else:
        if jobs:
            tomllib.loads(incident(jobs, name="again", factory="a:b", params={}, schedules=1))


def replay_document(tmp_path_factory) -> dict:
    report = explore(flows.opposite_locks, schedules=200, strategy="dfs:2", shrink=False)
    path = tmp_path_factory.mktemp("kept") / "a.replay.json"
    schedule = report.failure.schedule
    stall = {"stall": [{"nth": 1, "by": 0.5}]}
    schedule.faults = {"plan": stall, "swarm": False, "joined": [stall]}
    schedule.invariants = (NamedInvariant("holds", "a:holds"), NamedInvariant("local", None))
    save_schedule(schedule, path, "failed", kind="deadlock", program="a:b")
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def replay(tmp_path_factory):
    """A replay file's document."""
    return replay_document(tmp_path_factory)


def scenarios_in_every_form():
    return changed_texts(TEXTS) | st.binary(max_size=40) | st.text(max_size=60)


def replays_in_every_form(document):
    text = json.dumps(document)
    return changed_documents(document).map(json.dumps) | changed_texts([text]) | st.binary(max_size=40)


def logs_in_every_form():
    lines = [json.loads(line) for line in LOG.splitlines()]
    as_text = changed_documents(lines).map(lambda rows: "\n".join(map(json.dumps, rows)))
    return as_text | changed_texts([LOG]) | st.binary(max_size=40)


@SHORT
@given(scenarios_in_every_form())
def test_scenarios(tmp_path_factory, text):
    """Cut, doubled, replaced; or no TOML, or no text at all."""
    scenario_is_read_or_refused(tmp_path_factory.getbasetemp(), text)


@SHORT
@given(st.data())
def test_replays(tmp_path_factory, replay, data):
    """Any value anywhere; what is read can be written and read again."""
    replay_is_read_or_refused(tmp_path_factory.getbasetemp(), data.draw(replays_in_every_form(replay)))


@SHORT
@given(logs_in_every_form())
def test_logs(tmp_path_factory, text):
    """Any value anywhere; what is read becomes a document that TOML can hold."""
    log_is_read_or_refused(tmp_path_factory.getbasetemp(), text)


@pytest.mark.long
@LONG
@given(scenarios_in_every_form())
def test_scenarios_at_length(tmp_path_factory, text):
    """10,000 of them."""
    scenario_is_read_or_refused(tmp_path_factory.getbasetemp(), text)


@pytest.mark.long
@LONG
@given(st.data())
def test_replays_at_length(tmp_path_factory, replay, data):
    """10,000 of them."""
    replay_is_read_or_refused(tmp_path_factory.getbasetemp(), data.draw(replays_in_every_form(replay)))


@pytest.mark.long
@LONG
@given(logs_in_every_form())
def test_logs_at_length(tmp_path_factory, text):
    """10,000 of them."""
    log_is_read_or_refused(tmp_path_factory.getbasetemp(), text)
