"""A store for each test."""

from __future__ import annotations

import pytest

from routilux.store import JobStore


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.db"


@pytest.fixture
def store(path):
    with JobStore(path) as store:
        yield store
