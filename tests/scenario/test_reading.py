"""Reading scenario files: what is refused, with the file, the line and the key."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

import routilux_sim
from routilux_sim.faults import FaultPlan
from routilux_sim.generators import fault_plans
from routilux_sim.scenario import ScenarioError, load_scenario
from tests.scenario.conftest import DEMO, GOOD, run, write

SCHEMA = json.loads((Path(routilux_sim.__file__).parent / "schema" / "scenario.schema.json").read_text())
SHIPPED = sorted((Path(__file__).parents[2] / "scenarios").glob("*.toml"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("duration", "durations", "unknown key 'expect.durations'; did you mean 'duration'?"),
        ("entry", "entri", "run.entry is missing; found 'entri' instead"),
        ('entry = "trigger"', "entry = 5", "run.entry must be a string, not 5"),
        ("duration = 0.25", "duration = 'long'", "expect.duration must be a number, or a table with min and max"),
        ("duration = 0.25", "duration = { min = 2, max = 1 }", "expect.duration: min 2 is above max 1"),
        ("duration = 0.25", "status = 'done'", "expect.status must be one of 'cancelled', 'completed'"),
        (DEMO, "examples.nothing:here", "flow.factory: 'examples.nothing:here': cannot import"),
        (DEMO, "examples.concurrent_flow_demo:nothing", "there is no 'nothing'"),
        (DEMO, "examples.concurrent_flow_demo", "is not an import path; write 'package.module:name'"),
        (DEMO, "json:dumps", "flow.factory: TypeError"),
        ("[run]", "[run]\ntimeout = inf", "run.timeout must be a finite number above 0, not inf"),
        ("duration = 0.25", "duration = nan", "expect.duration must be a number, not nan"),
        ("duration = 0.25", "duration = {}", "expect.duration must have min, max or both"),
        ('"trigger"', '"triger"', "run.entry: unknown routine 'triger'"),
        ('"trigger"', '"formatter"', "run.entry: unknown slot 'trigger' in routine 'formatter'"),
        ("[run]", "arguments = { workers = 5 }\n[run]", "flow.factory: TypeError"),
        (
            "duration = 0.25",
            "[[expect.delivered]]\nroutine = 'nobody'\nslot = 'here'\ncount = 0",
            "expect.delivered[0]: unknown routine 'nobody'",
        ),
        (
            "duration = 0.25",
            "[[expect.delivered]]\nroutine = 'formatter'\nslot = 'aggregated_input'\ncount = 0\ndata = { a = 1 }",
            "expect.delivered[0].data: nothing is delivered with count = 0",
        ),
        ("[run]", "[run]\nschedules = 0", "run.schedules must be a whole number from 1 up, not 0"),
        ("[run]", "[run]\nseed = true", "run.seed must be a whole number from 0 up, not True"),
        ("[run]", "[run]\nstrategy = 'lucky'", "run.strategy: unknown strategy 'lucky'; there are: 'dfs', 'dpor'"),
        ("[expect]", "expect", "not a TOML document"),
        ("[flow]", "[flows]", "flow is missing; found 'flows' instead"),
        ("[run]", "[run]\nclock = 'slow'", "run.clock must be one of 'real', 'virtual', not 'slow'"),
        ("[run]", "[run]\nclock = 'real'\nseed = 3", "run.seed: run.clock = 'real' takes what comes"),
        ("[run]", "[latency]\ntrigger = 1\n[run]\nclock = 'real'", "latency: run.clock = 'real' takes what comes"),
        ("[run]", "[run]\nepoch = 2026-01-01", "run.epoch: must be a date and time with an offset, or seconds"),
        ("[run]", "[run]\ninstrument = ['routilux_sim.kernel']", "run.instrument: must name modules or packages other"),
        ("[run]", "[run]\nreplay = 'absent.json'", "run.replay: [Errno 2]"),
        ("[run]", "[run]\nreplay = 'scenario.toml'", "run.replay: "),
        ("[run]", "[run]\nswarm = 1", "run.swarm must be true or false, not 1"),
        ("[run]", "[run]\nactions = [{ at = 0, do = 'pause' }]", "run.actions[0].at: must be later than the job's own"),
        ("[run]", "[run]\nactions = [{ at = 1, do = 'stop' }]", "run.actions[0].do must be one of 'cancel', 'pause'"),
        ("[run]", "[run]\nactions = [{ at = 1 }]", "run.actions[0].do is missing"),
        ("[run]", "[[job]]\nentry = 'trigger'\n[run]", "run.entry: there are [[job]] tables, which say that for each"),
        ("[run]", "[program]\ncallable = 'json:dumps'\n[run]", "flow: a plain program has none"),
        ("[run]", "[latency.trigger]\nkind = 'guess'\n[run]", "latency.trigger.kind must be one of 'constant'"),
        ("[run]", "[[faults.raise]]\nnth = 0\n[run]", "faults.raise[0].nth must be a whole number from 1 up, not 0"),
        (
            "[run]",
            "[[faults.raise]]\nerror = 'no.such:Error'\n[run]",
            "faults.raise[0].error: 'no.such:Error': cannot import",
        ),
        (
            "[run]",
            "[[faults.raise]]\nerror = 'json:dumps'\n[run]",
            "faults.raise[0].error: must name an exception, not <function dumps",
        ),
        (
            "[run]",
            "[[faults.raise]]\nerror = 'UnicodeDecodeError'\n[run]",
            "faults.raise[0].error: 'UnicodeDecodeError' cannot be made of a message alone",
        ),
        (
            "[run]",
            "[[faults.raise]]\n[[faults.raise]]\nroutine = 'source_*'\n[run]",
            "faults.raise[1].routine: there is no routine 'source_*'; there are: 'trigger', 'aggregator'",
        ),
        (
            "[run]",
            "[[faults.slow]]\nby = 1\nroutine = 'fetcher_1'\nslot = 'triger'\n[run]",
            "faults.slow[0].slot: there is no slot 'triger'; there are: 'fetcher_1.trigger'",
        ),
        (
            "[run]",
            "[latency]\nfetcher = 1\n[run]",
            "latency.fetcher: there is no routine 'fetcher'; there are: 'trigger'",
        ),
        (
            "[run]",
            "[faults.latencies]\n'fetcher_1.triger' = 1\n[run]",
            "faults.latencies.fetcher_1.triger: there is no slot 'triger'; there are: 'fetcher_1.trigger'",
        ),
        (
            "[run]",
            "[latency.fetcher_1]\nlow = 1\nhigh = 2\n[run]",
            "latency.fetcher_1.kind is missing: it must be one of 'constant', 'uniform'",
        ),
        ("[run]", "[run]\ninstrument = ['exampels']", "run.instrument[0]: there is no module 'exampels'"),
        ("[run]", "[run]\ninstrument = ['json.decodr']", "run.instrument[0]: there is no module 'json.decodr'"),
        (
            "duration = 0.25",
            "speedup = { over = { workers = 1 }, min = 2 }",
            "expect.speedup.over: TypeError: create_concurrent_flow() got an unexpected keyword argument 'workers'",
        ),
        ("duration = 0.25", "log = [{ event = 'fault' }]", "expect.log[0].event must be one of 'activation.drop'"),
        ("duration = 0.25", "log = [{ rutine = 'a' }]", "unknown key 'expect.log[0].rutine'; did you mean 'routine'?"),
        (
            "duration = 0.25",
            "delivered = { routine = 'formatter' }",
            "expect.delivered must be an array of tables ([[expect.delivered]]), not {'routine'",
        ),
        ("[run]", "[faults.latencies]\na = 1\n[latency]\na = 1\n[run]", "latency: there are [faults.latencies], too"),
        ("[run]", "[observed]\nactivations = [1]\n[run]", "observed.activations[0] must be a table, not 1"),
        (
            "[run]",
            "[observed]\nactivations = [{ job = 'x', routine = 'a', slot = 'b', start = 0 }]\n[run]",
            "observed.activations[0].job must be one of 'job', not 'x'",
        ),
        ("duration = 0.25", "jobs = { other = {} }", "expect.jobs.other: there is no such job; there are: 'job'"),
        ("duration = 0.25", "errors = { nobody = 1 }", "expect.errors.nobody: there is no routine 'nobody'; there are"),
        (
            "duration = 0.25",
            "retries = { trigger = 1 }",
            "expect.retries.trigger must be an array of numbers of seconds",
        ),
        ("duration = 0.25", "log = [{ count = 1 }]", "expect.log[0] asks for nothing; give an event"),
        ("duration = 0.25", "log = [{ event = 'job.begin' }]", "expect.log[0].event must be one of 'activation.drop'"),
        ("duration = 0.25", "log = [{ error = '(' }]", "expect.log[0].error: '(' is no regular expression"),
        ("duration = 0.25", "invariants = ['json:nothing']", "expect.invariants[0]: 'json:nothing': there is no"),
        ("duration = 0.25", "returns = 1", "expect.returns: only a plain program returns something"),
        ("duration = 0.25", "fails = 'badly'", "expect.fails must be one of 'deadlock', 'exception', 'expectation'"),
        (
            "duration = 0.25",
            "fails = { kind = 'race', mesage = '' }",
            "unknown key 'expect.fails.mesage'; did you mean",
        ),
    ],
)
def test_a_scenario_that_cannot_be_used_is_refused(tmp_path, old, new, message):
    """What is misspelt, missing, out of range or of the wrong type is named, with what is allowed."""
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    assert str(caught.value).startswith(f"{path}:")
    assert message in str(caught.value)


def test_what_cannot_be_used_exits_with_2(tmp_path):
    """The command prints the message as a usage error."""
    result = run(write(tmp_path, GOOD.replace("entry", "entri")))
    assert result.exit_code == 2
    assert "run.entry is missing; found 'entri' instead" in result.output


LONG = f"""# A comment, and "quotes".
name = '''
three
lines'''

[flow]
factory = "{DEMO}"
arguments.max_workers = 5

[run]
entry = "trigger"
params = {{ a = [
  1, # one
  {{ b = "]" }},
] }}

[[expect.delivered]]
routine = "aggregator"
slot = "processed_data"

[[expect.delivered]]
routine = "formatter"
slot = "aggregated_input"
"""


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('"trigger"', "5", 11),
        ("params", "parms", 12),
        ('slot = "aggregated_input"', "slot = 1", 23),
        ('slot = "aggregated_input"', "", 21),
        ('slot = "processed_data"', "slot = 'other'", 17),
        ("arguments.max_workers", "arguments.max_worker", 7),
        ("[flow]", "nam = 1\n[flow]", 6),
        ("[run]", "[runs]", 10),
        ("[run]", "[flow]", 10),
        ("[run]", "x = 1\nx = 2\n[run]", 11),
        ("[run]", "[latency]\ntriger = 1\n[run]", 11),
        ("[run]", "[[faults.raise]]\n\nerror = 'examples:Nothing'\n[run]", 12),
        ("[run]", "[[faults.slow]]\nby = 1\n\nroutine = 'nobody'\n[run]", 13),
    ],
)
def test_errors_tell_the_line(tmp_path, old, new, line):
    """Of the key, or of the table that lacks it; past comments, strings of many lines and nested values."""
    load_scenario(write(tmp_path, LONG))
    path = write(tmp_path, LONG.replace(old, new))
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    assert str(caught.value).startswith(f"{path}:{line}: "), str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    """With the line of the first byte that is none."""
    path = tmp_path / "bytes.toml"
    path.write_bytes(b"name = 1\n\xff")
    with pytest.raises(ScenarioError, match=r"bytes\.toml:2: not a TOML document"):
        load_scenario(path)


# The JSON Schema

FULL = f"""
[flow]
factory = "{DEMO}"
[run]
[[job]]
name = "one"
entry = "trigger"
actions = [{{ at = 1, do = "cancel" }}]
[observed]
activations = [{{ job = "one", routine = "trigger", slot = "trigger", start = 0 }}]
[expect]
log = [{{ event = "emit" }}]
[expect.speedup]
min = 1
[expect.jobs.one]
[[expect.delivered]]
routine = "trigger"
slot = "trigger"
[expect.fails]
kind = "race"
"""

PROGRAM = "[program]\ncallable = 'json:dumps'\n[run]\n[expect]\n"


def _sections(schema, path=()):
    """Each table of the schema that takes no other keys, with where it is and the keys that it takes."""
    for choice in schema.get("oneOf", []):
        yield from _sections(choice, path)
    if schema.get("additionalProperties") is False:
        yield path, set(schema["properties"])
    for key, inner in schema.get("properties", {}).items():
        yield from _sections(inner, (*path, key))
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _sections(schema["additionalProperties"], (*path, "one"))
    if isinstance(schema.get("items"), dict):
        yield from _sections(schema["items"], (*path, 0))


def _keys_read(tmp_path, path) -> set[str]:
    """The keys that the reader takes in a table: it lists them when it finds one that it does not know."""
    document = tomllib.loads(PROGRAM if path[:1] == ("program",) else FULL)
    if path[:2] == ("run", "actions"):
        document = tomllib.loads(f"[flow]\nfactory='{DEMO}'\n[run]\nentry='trigger'\nactions=[{{at=1,do='pause'}}]")
    table = document
    for part in path:
        table = table[part]
    table["zzzzzz"] = 1
    with pytest.raises(ScenarioError, match=r"unknown key .*zzzzzz'; there are: ") as caught:
        load_scenario(write(tmp_path, _toml(document)))
    return set(str(caught.value).rpartition("there are: ")[2].split(", "))


def _toml(document) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in document.items())


def _value(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


@pytest.mark.parametrize(
    ("path", "keys"),
    list(_sections(SCHEMA)),
    ids=lambda item: ".".join(sorted(map(str, item)) if isinstance(item, set | frozenset) else map(str, item))[:40],
)
def test_the_schema_knows_the_keys_that_are_read(tmp_path, path, keys):
    """In each table the JSON Schema lists exactly the keys that the reader takes."""
    assert _keys_read(tmp_path, path) == keys


def test_the_schema_lists_the_words_that_are_allowed():
    """Enumerations in the schema are those of the reader."""
    from routilux_sim.scenario import expected, reader  # noqa: PLC0415 - to look at what they know

    properties = SCHEMA["properties"]
    assert set(SCHEMA["$defs"]["failure"]["enum"]) == set(expected.FAILURES)
    assert set(properties["expect"]["properties"]["status"]["enum"]) == set(expected._STATUSES)
    assert set(properties["run"]["properties"]["clock"]["enum"]) == set(reader._CLOCKS)
    actions = properties["run"]["properties"]["actions"]["items"]["properties"]["do"]["enum"]
    assert set(actions) == set(reader._ACTIONS)
    line = properties["expect"]["properties"]["log"]["items"]["properties"]
    assert set(line["event"]["enum"]) == set(expected._LOGGED)
    assert set(line) == {"event", "job", "at", "count", *expected._FIELDS}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_ships_names_the_schema(path):
    """Editors find it by the first line."""
    first = path.read_text().splitlines()[0]
    assert (path.parent / first.removeprefix("#:schema ")).resolve() == (
        Path(routilux_sim.__file__).parent / "schema" / "scenario.schema.json"
    )


# Whether what it says of a document is what the reader says


VALID = Draft202012Validator(SCHEMA)


def test_the_schema_is_one():
    """By its own schema."""
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_ships_is_as_the_schema_says(path):
    """Every scenario beside the library."""
    assert [error.message for error in VALID.iter_errors(tomllib.loads(path.read_text()))] == []


@given(fault_plans(["order", "ship"]))
@settings(max_examples=200, deadline=None, database=None)
def test_the_schema_takes_every_fault_plan(plan):
    """Any that the reader takes."""
    document = {"flow": {"factory": "a:b"}, "faults": json.loads(json.dumps(plan.to_dict()))}
    assert [error.message for error in VALID.iter_errors(document)] == []


@pytest.mark.parametrize(
    "faults",
    [
        {"explode": []},
        {"raise": {}},
        {"raise": [{"rutine": "ship"}]},
        {"raise": [{"nth": 0}]},
        {"raise": [{"probability": 2}]},
        {"raise": [{"error": "a:b:c"}]},
        {"slow": [{}]},
        {"slow": [{"by": -1}]},
        {"slow": [{"by": {"kind": "gamma"}}]},
        {"slow": [{"by": {"low": 1, "high": 2}}]},
        {"slow": [{"by": {"kind": "normal", "mean": 1}}]},
        {"slow": [{"by": {"kind": "empirical", "values": []}}]},
        {"slow": [{"by": {"seconds": 1, "low": 1}}]},
        {"stall": [{"by": 1}]},
        {"spurious": [{}]},
        {"clock": [{"at": 1, "by": 0}]},
        {"clock": [{"at": 1, "by": 1, "nth": 1}]},
        {"store": [{"operation": "delete"}]},
        {"point": [{}]},
        {"point": [{"name": "x", "by": 1}]},
        {"point": [{"name": "x", "action": "delay"}]},
        {"latencies": {"order": "1 s"}},
    ],
    ids=str,
)
def test_the_schema_refuses_the_fault_plans_that_the_reader_refuses(faults):
    """An editor marks them before anybody runs them."""
    with pytest.raises(ValueError, match=r"^faults"):
        FaultPlan.from_dict(faults)
    assert not VALID.is_valid({"flow": {"factory": "a:b"}, "faults": faults})
