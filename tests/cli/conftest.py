"""Flows in a module of their own, and a command line that finds them there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from routilux.cli import cli

FLOWS = '''
import time

from routilux import Flow, Routine

calls = []


class Seen:
    def __init__(self):
        self.jobs = []

    def job_start(self, job):
        self.jobs.append(job)


class Desk(Routine):
    """Takes in orders; the job can be made to pause when it has."""

    def __init__(self, flow, seen, nap):
        super().__init__()
        self.flow, self.seen, self.nap = flow, seen, nap
        self.define_slot("trigger", handler=self.take)
        self.define_event("order", ["number"])

    def take(self, orders, pause=False, **rest):
        calls.append(rest)
        for number in range(orders):
            self.emit("order", number=number)
        if pause:
            self.flow.pause(self.seen.jobs[-1], "to be approved")


class Pack(Routine):
    def __init__(self, nap):
        super().__init__()
        self.nap = nap
        self.define_slot("order", handler=self.pack)

    def pack(self, number):
        time.sleep(self.nap)
        if number == 7:
            raise LookupError("number 7 is\\nnot on the shelf")
        self.send_output("packed", number=number)


def make(flow_id="orders", nap=0.0, **options):
    flow, seen = Flow(flow_id, **options), Seen()
    flow.add_instrument(seen)
    flow.add_routine(Desk(flow, seen, nap), "desk")
    flow.add_routine(Pack(nap), "pack")
    flow.connect("desk", "order", "pack", "order")
    return flow


def slow():
    return make(nap=0.2)


def stuck():
    return make(nap=60.0)


def nameless():
    return make(None)


def stored():
    return make(store="orders.db")


def other():
    return make("others")


def odd():
    flow = make()
    flow.add_routine(Pack(0.0), "island")
    return flow


def doubtful():
    flow = make()
    flow.connect("desk", "order", "desk", "trigger")
    return flow


def failing():
    return {}["key"]


def quitting():
    raise SystemExit(0)


def nothing():
    return None
'''


class CommandLine:
    """``routilux`` in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, *arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(cli, arguments, input=stdin, prog_name="routilux")

    def run(self, *arguments: str, factory: str = "make", stdin: str | None = None) -> Result:
        return self("run", f"flows_of_the_cli:{factory}", "--entry", "desk", *arguments, stdin=stdin)

    def jobs(self, *arguments: str) -> Result:
        return self("jobs", "orders.db", *arguments)

    def record(self, *arguments: str, factory: str = "make") -> str:
        """Run a job in the store, and return its id."""
        result = self.run(*arguments, "--store", "orders.db", "--json", factory=factory)
        return json.loads(result.stdout)["job"]


@pytest.fixture
def routilux(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "flows_of_the_cli", raising=False)
    (tmp_path / "flows_of_the_cli.py").write_text(FLOWS)
    return CommandLine(tmp_path)
