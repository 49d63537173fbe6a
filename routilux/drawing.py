"""Pictures of a flow's graph, as text: for Mermaid, which Markdown pages show, and for Graphviz.

Knows a flow's routines, connections and error handlers, and what the two languages make of a text. Nodes are numbered,
so that an id can hold whatever it likes: names stand in labels only, escaped. The same flow gives the same text.

Shapes and lines say what a routine is: entries are rounded, optional routines (the job goes on without them) dashed,
critical ones thick.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from routilux.error_handler import ErrorStrategy

if TYPE_CHECKING:
    from routilux.flow import Flow

__all__ = ["to_dot", "to_mermaid"]

ENTRY_SLOT = "trigger"


class _Node(NamedTuple):
    """A routine, as it is drawn."""

    name: str
    text: str
    entry: bool
    optional: bool
    critical: bool


class _Edge(NamedTuple):
    """A connection, as it is drawn: between which nodes, and the lines of its label as a text, a sign and a text."""

    source: str
    target: str
    lines: tuple[tuple[str, str, str], ...]


def to_mermaid(flow: Flow) -> str:
    """Draw a flow as a Mermaid flowchart, to be put into a ``mermaid`` block of a Markdown page.

    Mermaid as it is set up by default refuses more than 500 edges.

    Args:
        flow: The flow. Each routine is a node; each connection is an edge that says ``event -> slot`` and, below, what
            it renames.
    """
    nodes = _nodes(flow)
    lines = ["flowchart LR"]
    for node in nodes.values():
        left, right = ("([", "])") if node.entry else ("[", "]")
        lines.append(f'    {node.name}{left}"{_mermaid_text(node.text)}"{right}')
    for edge in _edges(flow, nodes):
        label = "<br/>".join(f"{_mermaid_text(a)} {sign} {_mermaid_text(b)}" for a, sign, b in edge.lines)
        lines.append(f'    {edge.source} -->|"{label}"| {edge.target}')
    classes = (
        ("optional", "stroke-dasharray:5 5", [node.name for node in nodes.values() if node.optional]),
        ("critical", "stroke-width:3px", [node.name for node in nodes.values() if node.critical]),
    )
    for name, style, members in classes:
        if members:
            lines += [f"    classDef {name} {style}", f"    class {','.join(members)} {name}"]
    return "\n".join(lines) + "\n"


def to_dot(flow: Flow) -> str:
    """Draw a flow as a directed graph for Graphviz: ``dot -Tsvg``.

    Args:
        flow: The flow; see `to_mermaid`.
    """
    nodes = _nodes(flow)
    lines = ["digraph flow {", "    rankdir=LR", "    node [shape=box]"]
    for node in nodes.values():
        styles = [name for name, given in (("rounded", node.entry), ("dashed", node.optional)) if given]
        style = f', style="{",".join(styles)}"' if styles else ""
        width = ", penwidth=3" if node.critical else ""
        lines.append(f'    {node.name} [label="{_dot_text(node.text)}"{style}{width}]')
    for edge in _edges(flow, nodes):
        label = r"\n".join(f"{_dot_text(a)} {sign} {_dot_text(b)}" for a, sign, b in edge.lines)
        lines.append(f'    {edge.source} -> {edge.target} [label="{label}"]')
    return "\n".join([*lines, "}"]) + "\n"


def _nodes(flow: Flow) -> dict[str, _Node]:
    """The nodes by routine id."""
    nodes = {}
    for number, (routine_id, routine) in enumerate(flow.routines.items(), 1):
        handler = routine.get_error_handler() or flow.error_handler
        nodes[routine_id] = _Node(
            f"r{number}",
            routine_id,
            routine.get_slot(ENTRY_SLOT) is not None,
            handler is not None and handler.strategy in {ErrorStrategy.CONTINUE, ErrorStrategy.SKIP},
            handler is not None and handler.is_critical,
        )
    return nodes


def _edges(flow: Flow, nodes: dict[str, _Node]) -> Iterator[_Edge]:
    for connection in flow.connections:
        renamed = ((name, "as", new) for name, new in connection.param_mapping.items())
        lines = ((connection.event, "->", connection.slot), *renamed)
        yield _Edge(nodes[connection.source_id].name, nodes[connection.target_id].name, lines)


def _visible(text: str) -> str:
    r"""Show line breaks and whatever else is not printable as ``\n``, ``\u202e`` …, and a backslash as two."""
    shown = (char if char.isprintable() and char != "\\" else _escape(char) for char in text)
    return "".join(shown)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _mermaid_text(text: str) -> str:
    """Write ``text`` for a quoted label.

    Quotes would end the label; other signs may be read as Markdown, HTML or directives. So all but letters, digits and
    single spaces are given by number, which Mermaid writes ``#34;``; a line between two letters, as in ``fetch_1``,
    means nothing to it and stays legible.
    """
    shown = _visible(text)
    around = f" {shown} "
    return "".join(
        char if _is_plain(before, char, after) else f"#{ord(char)};"
        for before, char, after in zip(around, shown, around[2:], strict=False)
    )


def _is_plain(before: str, char: str, after: str) -> bool:
    if char == " ":
        return before != " " != after
    return char.isalnum() or (char in "_-" and before.isalnum() and after.isalnum())


def _dot_text(text: str) -> str:
    r"""Write ``text`` for a quoted label, where backslashes begin escapes such as ``\N``, and entities are read."""
    return _visible(text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
