"""``routilux graph``."""

from __future__ import annotations

import json

import pytest


def graph(routilux, factory, *arguments):
    return routilux("graph", f"flows_of_the_cli:{factory}", *arguments)


@pytest.mark.parametrize(("form", "beginning"), [("mermaid", "flowchart"), ("dot", "digraph")])
def test_a_flow_is_drawn(routilux, form, beginning):
    """In the language that was asked for, naming its routines."""
    result = graph(routilux, "make", "--format", form)
    assert result.exit_code == 0
    assert result.stdout.startswith(beginning)
    assert "desk" in result.stdout
    assert not result.stdout.endswith("\n\n")


def test_the_drawing_can_go_to_a_file(routilux):
    """The same as on standard output, which stays empty."""
    result = graph(routilux, "make", "--output", "flow.mmd")
    assert (result.exit_code, result.stdout) == (0, "")
    assert (routilux.directory / "flow.mmd").read_text() == graph(routilux, "make").stdout
    assert "cannot be written" in graph(routilux, "make", "--output", "absent/flow.mmd").stderr


def test_a_sound_flow_passes_the_check(routilux):
    """It says that it looked, and at what."""
    result = graph(routilux, "make", "--check")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].startswith("orders: 2 routines, 1 connection; ")


def test_errors_fail_the_check(routilux):
    """Findings a line, the errors first."""
    result = graph(routilux, "odd", "--check")
    assert result.exit_code == 1
    assert result.stdout.startswith("error: routine 'island' is out of reach")
    assert "1 error" in result.stdout.splitlines()[-1]


def test_warnings_do_not_fail_the_check(routilux):
    """They are counted."""
    result = graph(routilux, "doubtful", "--check", "--entry", "desk")
    assert result.exit_code == 0
    assert "warning" in result.stdout.splitlines()[-1]


def test_findings_as_json(routilux):
    """``--json`` checks, and exits as ``--check`` does; a drawing may be written besides."""
    result = graph(routilux, "odd", "--json", "--output", "flow.mmd")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert list(found) == ["findings", "flow", "ok"]
    assert (found["flow"], found["ok"]) == ("orders", False)
    assert found["findings"][0]["routine"] == "island"
    assert [list(each) for each in found["findings"]] == [["kind", "level", "message", "routine"]] * len(
        found["findings"]
    )
    assert (routilux.directory / "flow.mmd").exists()
    assert json.loads(graph(routilux, "make", "--json").stdout)["ok"] is True


def test_an_entry_goes_with_a_check(routilux):
    """Unknown ones are refused with those there are."""
    alone = graph(routilux, "make", "--entry", "desk")
    assert (alone.exit_code, "without --check" in alone.stderr) == (2, True)
    unknown = graph(routilux, "make", "--check", "--entry", "nobody")
    assert (unknown.exit_code, "there are: 'desk', 'pack'" in unknown.stderr) == (2, True)
