"""Settings for the whole suite."""

from __future__ import annotations

import signal
import threading
import time

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

# A shell that runs the suite in the background has it ignore Ctrl-C, and so would the processes that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Shared machines stall now and then; a slow example is not a failure.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")


EXPLORATIONS = ("semantics", "quality", "test_store_simulated.py")
"""Thousands of schedules each: minutes in all."""


def pytest_collection_modifyitems(items):
    """Mark explorations as ``long``."""
    for item in items:
        if any(part in EXPLORATIONS for part in item.path.parts):
            item.add_marker(pytest.mark.long)


@pytest.fixture(autouse=True)
def _simulation_is_over():
    """No test leaves a simulation under way."""
    yield
    from routilux_sim.kernel.core import active  # noqa: PLC0415 - tests of the plain library must not need it earlier

    assert active() is None


LONGEST_NAP = 0.02
"""Real seconds that a test on real threads may sleep at a time."""


@pytest.fixture(autouse=True)
def _nothing_really_sleeps(request, monkeypatch):
    """Time is virtual: a test fails that really sleeps for longer than a nap, unless it is marked ``real_time``."""
    if request.node.get_closest_marker("real_time") is not None:
        return
    real_sleep = time.sleep

    def sleep(seconds):
        assert seconds <= LONGEST_NAP, f"really slept for {seconds} s"
        real_sleep(seconds)

    monkeypatch.setattr(time, "sleep", sleep)
