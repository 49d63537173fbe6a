"""A picture of an execution as one HTML file that needs nothing else: no network, no other file.

The page's policy lets nothing run or load but its own script and style, by their hashes. What comes from the program
gets there as JSON in which no character means anything to HTML, and onto the page as text.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib.resources import files
from typing import Any

from routilux_sim.picturing import Picture
from routilux_sim.timeline import Timeline, parting

__all__ = ["render"]


def render(picture: Picture) -> str:
    """The page for a picture, to be written as UTF-8."""
    style, script = _part("page.css"), _part("page.js")
    timeline = picture.timeline
    parts = {
        "TITLE": html.escape(_printable(f"{timeline.verdict}: {timeline.program}")),
        "STYLE_HASH": _hash(style),
        "STYLE": style,
        "SCRIPT_HASH": _hash(script),
        "SCRIPT": script,
        "DATA": _json(_data(picture)),
    }
    # In one pass: what is put in is not looked into again.
    head, *rest = _part("page.html").split("@")
    pieces = [head]
    for index, piece in enumerate(rest):
        pieces.append(parts[piece] if index % 2 == 0 else piece)
    return "".join(pieces)


def _part(name: str) -> str:
    return (files("routilux_sim") / "report_page" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _printable(text: str) -> str:
    """Without lone surrogates, which no file takes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _json(data: Any) -> str:
    """JSON of ASCII only, without what could end a script or begin a tag or an entity."""
    text = json.dumps(data, separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _data(picture: Picture) -> dict[str, Any]:
    shown = [one for one in picture if one is not None]
    parts_at = parting(*shown) if len(shown) == 2 else None
    return {"views": [_view(one, parts_at) for one in shown], "parting": parts_at}


def _parting_step(timeline: Timeline, parts_at: int | None) -> int | None:
    """Where a timeline parts from the other; None if it does not, or not in what is there."""
    if parts_at is None or parts_at >= len(timeline.choices):
        return None
    step, ends = timeline.choices[parts_at].step, len(timeline.steps)
    if timeline.left == 0 and step == ends:
        step -= 1
    return step if 0 <= step < ends else None


def _view(timeline: Timeline, parts_at: int | None) -> dict[str, Any]:
    texts, names = _Texts(), timeline.names()
    ends = len(timeline.steps)
    return {
        "program": timeline.program,
        "seed": timeline.seed,
        "strategy": timeline.strategy,
        "verdict": timeline.verdict,
        "headline": timeline.headline,
        "report": timeline.report,
        "elapsed": timeline.elapsed_ns,
        "failing": timeline.failing,
        "skipped": timeline.skipped,
        "left": timeline.left,
        "decisions": len(timeline.choices),
        "deviations": sum(choice.value != 0 for choice in timeline.choices),
        "parting": _parting_step(timeline, parts_at),
        "lanes": [[lane.task, names[lane.task], lane.first, lane.last] for lane in timeline.lanes],
        "steps": [
            [
                step.t_ns,
                step.task,
                texts(step.op),
                step.obj,
                texts(step.text),
                texts(step.where),
                texts(step.filename),
                texts(step.function),
                texts(step.source),
                int(step.is_own),
                step.decisions,
                texts(step.called),
            ]
            for step in timeline.steps
        ],
        "runs": timeline.runs,
        "waits": [(*wait[:1], texts(wait.op), wait.obj, texts(wait.called), *wait[4:]) for wait in timeline.waits],
        "holds": [(hold.task, hold.obj, texts(hold.called), *hold[3:]) for hold in timeline.holds],
        "activities": timeline.activities,
        "arrows": [(texts(arrow.edge), arrow.source, arrow.target, texts(arrow.called)) for arrow in timeline.arrows],
        "choices": [
            (
                index,
                choice.step,
                texts(choice.label),
                choice.value,
                choice.bound,
                [texts(name) for name in choice.names],
            )
            for index, choice in enumerate(timeline.choices)
            if 0 <= choice.step < ends
        ],
        "graphs": timeline.graphs,
        "texts": texts.all,
    }


class _Texts:
    """Each text once."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self.all)
            self.all.append(text)
        return number
