"""The ``routilux`` command: run flows, draw them, and look after the jobs in a store.

`root` says how commands refuse, `given` makes objects of what they are given, `attending` runs jobs so that Ctrl-C is
heard, `facts` and `printing` say what became of them; a command is a file.
"""

from __future__ import annotations

from routilux.cli import graph, jobs, run
from routilux.cli.root import cli

__all__ = ["cli"]

cli.add_command(run.run)
cli.add_command(graph.graph)
cli.add_command(jobs.jobs)
