"""Writes the documentation's page of figures from what the benchmarks have left.

python -m benchmarks.page
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RUNS = Path("build/benchmarks")
PAGE = Path("docs/benchmarks.md")

HEAD = """# Benchmarks

What an activation costs beside a call that is submitted to a `ThreadPoolExecutor`, how fast the simulator explores, and
what it costs and brings to go beyond one process. `make bench-page` measures it and makes this page anew. Other
machines have other figures; ratios and goals carry further than times. *Short* runs do a tenth of the work.
"""

TITLES = {"engine": "The engine", "simulator": "The simulator", "scale": "Beyond one process"}


def number(value: float | None) -> str:
    """Three figures, and thousands set apart."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def goal_of(figure: dict[str, Any]) -> str:
    """A figure's goal, in words."""
    goal = figure["goal"]
    if goal is None:
        return ""
    return f"at {'least' if figure['at_least'] else 'most'} {goal:,g}"


def section(title: str, run: dict[str, Any]) -> Iterator[str]:
    """The lines about one benchmark."""
    processors = run["machine"]["processors"]
    yield f"\n## {title}\n"
    yield (
        f"{run['python']} on {run['machine']['system'].partition('-')[0]}, {run['machine']['processor']}, {processors} "
        f"shared processors; {run['date'][:10]}{', short' if run['short'] else ''}.\n"
    )
    if run["cases"]:
        yield "| case | µs an activation | executor's | ratio | goal |\n|---|---:|---:|---:|---:|"
        for case in run["cases"]:
            spent, ratio = case["microseconds"], case["ratios"].get("routilux")
            yield (
                f"| {case['title']} | {number(spent.get('routilux'))} | {number(spent.get('executor'))} | "
                f"{number(ratio)} | at most {case['goal']:g} |"
            )
        yield ""
    yield "| figure | | | goal |\n|---|---:|---|---|"
    for figure in run["figures"]:
        unit = f"{figure['unit']} {figure['note']}".strip()
        yield f"| {figure['name'].strip()} | {number(figure['value'])} | {unit} | {goal_of(figure)} |"
    if run["missed"]:
        yield "\nMissed in this run:\n"
        yield from (f"- {miss}" for miss in run["missed"])


def main() -> None:
    """Write the page; what was not run is left out."""
    lines = [HEAD.rstrip()]
    for name, title in TITLES.items():
        path = RUNS / f"{name}.json"
        if path.exists():
            lines += section(title, json.loads(path.read_text(encoding="utf-8")))
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
