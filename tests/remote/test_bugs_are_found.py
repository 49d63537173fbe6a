"""Bugs put into the driver's side on purpose: each is found by what is settled, within a few hundred schedules."""

from __future__ import annotations

import pytest

from routilux.remote import driver, lane
from routilux.schedulers.futures import FuturesScheduler
from routilux_sim.executor import SimulatedExecutor
from tests.exploring import explore
from tests.remote import programs
from tests.remote.programs import NAP


class Sticky(dict):
    """A table of what is under way that forgets nothing."""

    def pop(self, key, default=None):
        return self.get(key, default)


def entered_twice(monkeypatch):
    """An outcome that arrives twice is entered twice."""
    make = driver.Remote.__init__

    def made(remote, *args):
        make(remote, *args)
        remote._flights = Sticky()

    monkeypatch.setattr(driver.Remote, "__init__", made)


def not_its_turn(monkeypatch):
    """Activations of a routine with state run at the same time."""
    monkeypatch.setattr(driver, "_key", lambda item: None)


def no_second_look(monkeypatch):
    """Whoever finds the queue empty does not look again after saying so."""

    def pull(self):
        while self._queue:
            item = self._queue.popleft()
            if self._admit(item) and self._in_line(item):
                return item
        with self._mutex:
            self._inside -= 1
            self._look_locked()
        return None

    monkeypatch.setattr(lane.Lane, "_pull", pull)
    monkeypatch.setattr(lane.Lane, "pump", pump_without_a_look)


def pump_without_a_look(self, load):
    while self._take_room():
        self._fill(None, load)
    with self._mutex:
        self._coming -= 1
        self._look_locked()


def room_is_lost(monkeypatch):
    """What ends does not make room."""
    monkeypatch.setattr(lane.Lane, "leave", lambda self, item, load: None)


def lost_is_over(monkeypatch):
    """A lost worker's activation is taken for one that has ended."""

    def entered(self, item, cause, sent_ns):
        self._engine.settle(item, "completed", None, sent_ns)

    monkeypatch.setattr(driver.Remote, "_enter_loss", entered)


def state_stays_away(monkeypatch):
    """The state that a handler leaves is not taken home."""
    monkeypatch.setattr(driver, "restore_state", lambda routine, state: None)


@pytest.mark.parametrize(
    ("bug", "program"),
    [
        (entered_twice, programs.jobs_run_to_their_end_by_themselves),
        (not_its_turn, programs.state_is_handed_on),
        (no_second_look, programs.retries_may_come_at_once),
        (room_is_lost, programs.jobs_run_to_their_end_by_themselves),
        (lost_is_over, programs.jobs_run_to_their_end_by_themselves),
        (state_stays_away, programs.state_is_handed_on),
    ],
)
def test_a_bug_is_found(bug, program, monkeypatch):
    """A program that holds fails, in some schedule of a few hundred."""

    def on_a_cluster():
        latency = {"kind": "uniform", "low": 0.0, "high": NAP}
        with FuturesScheduler(lambda: SimulatedExecutor(2, latency=latency, trouble=0.2)) as scheduler:
            program(scheduler)

    bug(monkeypatch)
    report = explore(on_a_cluster, schedules=600)
    assert report.verdict not in {"passed", "exhausted"}
