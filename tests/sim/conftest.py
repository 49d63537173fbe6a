"""Fixtures of the simulator's tests."""

import threading
import time

import pytest

REAL_SECONDS = 20.0
"""What a simulated program may take in reality: far more than it needs, far less than it sleeps."""


@pytest.fixture
def no_real_waiting(monkeypatch):
    """Fail the test if anything really sleeps, starts a real thread, or takes long."""

    def forbid(what):
        def forbidden(*args, **kwargs):
            pytest.fail(f"really called {what}{args}")

        return forbidden

    monkeypatch.setattr(time, "sleep", forbid("time.sleep"))
    for name in ("_start_new_thread", "_start_joinable_thread"):
        if hasattr(threading, name):
            monkeypatch.setattr(threading, name, forbid(name))
    began = time.perf_counter()
    yield
    assert time.perf_counter() - began < REAL_SECONDS
