"""Settings for the whole suite."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

# Shared machines stall now and then; a slow example is not a failure.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")


@pytest.fixture(autouse=True)
def _simulation_is_over():
    """No test leaves a simulation under way."""
    yield
    from routilux_sim.kernel.core import Kernel  # noqa: PLC0415 - tests of the plain library must not need it earlier

    assert Kernel.active is None
