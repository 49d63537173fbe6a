"""Drawings of a flow: one node a routine, one edge a connection, and nothing that a name could break."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from routilux import ErrorHandler, Flow, Routine
from routilux.drawing import to_dot, to_mermaid

MERMAID_TEXT = r"""(?:[^\W_]|(?<=[^\W_])[_-](?=[^\W_])|(?<=[^ ">]) (?=[^ "])|#\d+;)+"""
MERMAID = {
    "head": r"flowchart LR",
    "node": rf'    (r\d+)(?:\["({MERMAID_TEXT})"\]|\(\["({MERMAID_TEXT})"\]\))',
    "edge": rf'    (r\d+) -->\|"({MERMAID_TEXT} -> {MERMAID_TEXT}(?:<br/>{MERMAID_TEXT} as {MERMAID_TEXT})*)"\| (r\d+)',
    "style": r"    classDef (?:optional stroke-dasharray:5 5|critical stroke-width:3px)",
    "class": r"    class (r\d+(?:,r\d+)*) (optional|critical)",
}

DOT_TEXT = r'(?:[^"\\&]|\\\\|\\"|&amp;)+'
DOT = {
    "head": r"digraph flow \{|    rankdir=LR|    node \[shape=box\]",
    "node": rf'    (r\d+) \[label="({DOT_TEXT})"(?:, style="(rounded|dashed|rounded,dashed)")?(, penwidth=3)?\]',
    "edge": rf'    (r\d+) -> (r\d+) \[label="({DOT_TEXT} -> {DOT_TEXT}(?:\\n{DOT_TEXT} as {DOT_TEXT})*)"\]',
    "tail": r"\}",
}

HOSTILE = [
    "end", "graph", "subgraph x", "class", "default", "r1", "o", " ", "  ", '"', "'", "`", "\\", "\\n", "\\N",
    "\n", "\r\n", "\t", "\x00", "\x7f", "\u2028", "\u202e", "\ud800", "<b>", "</script>", "<br/>", "&amp;", "&", "#35;",
    "#quot;", ";", "[x]", "{x}", "(x)", "|", "-->", "->", " as ", "%%", "%%{init: {}}%%", "$$x$$", "*a*", "_a_", "# a",
    "1. a", "- a", "> a", "www.example.com", "style x:#f00;", "fa:fa-car", "@{ shape: x }", "名前", "é", "😀",
]  # fmt: skip

names = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=3), min_size=1, max_size=4).map("".join).filter(bool)


class Drawn:
    """A drawing, read line by line; each must be of just one kind that the grammar knows."""

    def __init__(self, text, grammar):
        assert text.endswith("\n")
        self.of_kind = {kind: [] for kind in grammar}
        for line in text[:-1].split("\n"):
            assert line.isprintable()
            fits = [(kind, match) for kind, rule in grammar.items() if (match := re.fullmatch(rule, line))]
            assert len(fits) == 1, line
            kind, match = fits[0]
            self.of_kind[kind].append(match)


def original(shown):
    """Undo the showing of unprintable characters."""
    escape = r"\\(?:\\|[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})"
    return re.sub(escape, lambda match: match[0].encode().decode("unicode_escape"), shown)


def from_mermaid(label):
    """The lines of a label as they are seen."""
    return [re.sub(r"#(\d+);", lambda match: chr(int(match[1])), line) for line in label.split("<br/>")]


def from_dot(label):
    """The same for Graphviz."""
    lines = re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], label).split("\n")
    return [line.replace("&amp;", "&") for line in lines]


@st.composite
def flows(draw):
    """A flow whose ids, slots, events and mappings are called whatever there is."""
    flow = Flow()
    ids = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    for routine_id in ids:
        routine = Routine()
        for name in draw(st.lists(names | st.just("trigger"), min_size=1, max_size=3, unique=True)):
            routine.define_slot(name)
        for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
            routine.define_event(name)
        flow.add_routine(routine, routine_id)
    routines = flow.routines
    ends = [(s, e, t, n) for s in ids for e in routines[s].events for t in ids for n in routines[t].slots]
    for end in draw(st.lists(st.sampled_from(ends), max_size=6, unique=True)):
        renamed = draw(st.dictionaries(names, names, max_size=2).filter(lambda m: len({*m.values()}) == len(m)))
        flow.connect(*end, renamed)
    return flow


def lines_of(connection):
    first = f"{connection.event} -> {connection.slot}"
    return [first, *(f"{old} as {new}" for old, new in connection.param_mapping.items())]


@given(flows())
def test_a_mermaid_drawing_has_each_routine_and_each_connection_once(flow):
    """Whatever they are called, every line is of the grammar, and the names can be read off the labels."""
    drawn = Drawn(to_mermaid(flow), MERMAID)
    nodes = {match[1]: original(from_mermaid(match[2] or match[3])[0]) for match in drawn.of_kind["node"]}
    assert list(nodes.values()) == list(flow.routines)
    assert len(nodes) == len(drawn.of_kind["node"])
    edges = [
        (nodes[match[1]], nodes[match[3]], [original(line) for line in from_mermaid(match[2])])
        for match in drawn.of_kind["edge"]
    ]
    assert edges == [(c.source_id, c.target_id, lines_of(c)) for c in flow.connections]


@given(flows())
def test_a_dot_drawing_has_each_routine_and_each_connection_once(flow):
    """The same for Graphviz."""
    drawn = Drawn(to_dot(flow), DOT)
    nodes = {match[1]: original(from_dot(match[2])[0]) for match in drawn.of_kind["node"]}
    assert list(nodes.values()) == list(flow.routines)
    assert len(nodes) == len(drawn.of_kind["node"])
    edges = [
        (nodes[match[1]], nodes[match[2]], [original(line) for line in from_dot(match[3])])
        for match in drawn.of_kind["edge"]
    ]
    assert edges == [(c.source_id, c.target_id, lines_of(c)) for c in flow.connections]


@given(names, names)
@example("a\n", "a\\n")
@example("\\", "\\\\")
def test_different_ids_look_different(one, other):
    """Also where they differ in what cannot be seen."""
    drawings = set()
    for routine_id in (one, other):
        flow = Flow()
        flow.add_routine(Routine(), routine_id)
        drawings |= {to_mermaid(flow), to_dot(flow)}
    assert len(drawings) == (2 if one == other else 4)


def kinds():
    """A flow with an entry, an optional routine, a critical one, and one that is all of it."""
    flow = Flow(flow_id="kinds")
    for routine_id, slot, handler in (
        ("plain", "in", None),
        ("entry", "trigger", None),
        ("optional", "in", ErrorHandler("continue")),
        ("skipped", "in", ErrorHandler("skip")),
        ("critical", "in", ErrorHandler("retry", is_critical=True)),
        ("all", "trigger", ErrorHandler("skip", is_critical=True)),
    ):
        routine = Routine()
        routine.define_slot(slot)
        routine.define_event("out")
        routine.set_error_handler(handler)
        flow.add_routine(routine, routine_id)
    flow.connect("entry", "out", "plain", "in", {"a": "b"})
    return flow


def test_shapes_and_classes_of_mermaid():
    """Entries are rounded, optional routines dashed, critical ones thick; classes that nobody has are left out."""
    assert to_mermaid(kinds()).splitlines() == [
        "flowchart LR",
        '    r1["plain"]',
        '    r2(["entry"])',
        '    r3["optional"]',
        '    r4["skipped"]',
        '    r5["critical"]',
        '    r6(["all"])',
        '    r2 -->|"out -> in<br/>a as b"| r1',
        "    classDef optional stroke-dasharray:5 5",
        "    class r3,r4,r6 optional",
        "    classDef critical stroke-width:3px",
        "    class r5,r6 critical",
    ]
    assert "class" not in to_mermaid(Flow())


def test_styles_of_dot():
    """The same in Graphviz's words."""
    assert to_dot(kinds()).splitlines() == [
        "digraph flow {",
        "    rankdir=LR",
        "    node [shape=box]",
        '    r1 [label="plain"]',
        '    r2 [label="entry", style="rounded"]',
        '    r3 [label="optional", style="dashed"]',
        '    r4 [label="skipped", style="dashed"]',
        '    r5 [label="critical", penwidth=3]',
        '    r6 [label="all", style="rounded,dashed", penwidth=3]',
        r'    r2 -> r1 [label="out -> in\na as b"]',
        "}",
    ]


@pytest.mark.parametrize("draw", [to_mermaid, to_dot])
def test_the_flows_own_error_handler_counts_for_those_without(draw):
    """A routine is optional if the job goes on without it, whoever said so."""
    flow, other = kinds(), kinds()
    flow.set_error_handler(ErrorHandler("continue"))
    for routine_id in ("plain", "entry"):
        other.routines[routine_id].set_as_optional()
    assert draw(flow) == draw(other) != draw(kinds())


@pytest.mark.parametrize("draw", [to_mermaid, to_dot])
def test_the_same_flow_gives_the_same_text(draw):
    """Whatever the flow is called: two builds of one flow can be compared."""
    assert draw(kinds()) == draw(kinds())
    renamed = kinds()
    renamed.flow_id = "another"
    assert draw(renamed) == draw(kinds())


def test_common_names_stay_legible():
    """What is letters, digits and lines between them is not escaped."""
    flow = Flow()
    flow.add_routine(Routine(), "fetch_1-b 名前")
    assert '"fetch_1-b 名前"' in to_mermaid(flow)
    assert '"fetch_1-b 名前"' in to_dot(flow)
