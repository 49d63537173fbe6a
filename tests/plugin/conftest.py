"""Settings for the tests of the plugin."""

from __future__ import annotations

import pytest

# A pytest that runs inside this one forgets the modules that it has loaded; these must not exist twice.
import structlog.dev

import routilux_sim.cli
import routilux_sim.points.instrumentation
import routilux_sim.pytest_running
import routilux_sim.simulation

__all__ = ["routilux_sim", "structlog"]

OTHERS = ("freezer", "randomly")
"""Plugins of the development environment that a test has to ask for: they reorder, reseed, and load freezegun."""


CI_VARIABLES = (
    "BUILDKITE",
    "BUILD_NUMBER",
    "CI",
    "CIRCLECI",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "TEAMCITY_VERSION",
    "TF_BUILD",
)
"""By which pytest and Hypothesis know a CI server: there the one says things twice, the other leaves out chance."""


@pytest.fixture(autouse=True)
def _no_other_plugins(request, monkeypatch):
    """Run each test's own pytest without `OTHERS`."""
    if "pytester" in request.fixturenames:
        request.getfixturevalue("pytester")  # It clears the variable when it is set up.
    monkeypatch.setenv("PYTEST_ADDOPTS", " ".join(f"-p no:{name}" for name in OTHERS))
    for name in CI_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def with_plugin(_no_other_plugins, monkeypatch):
    """Let the test's own pytest load one of `OTHERS`; skip the test if it is not installed."""

    def load(name: str, module: str) -> None:
        pytest.importorskip(module, reason=f"{module} is not installed")
        monkeypatch.setenv("PYTEST_ADDOPTS", " ".join(f"-p no:{other}" for other in OTHERS if other != name))

    return load
