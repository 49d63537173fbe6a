"""The public surface: what the packages export, by which names, and that it says what it does."""

from __future__ import annotations

import importlib
import inspect

import pytest

import routilux
import routilux_sim

MODULES = ["flow", "routine", "slot", "event", "connection", "job_state", "error_handler", "execution_tracker"]


def test_all_names_of_the_library_are_there():
    """Everything in ``routilux.__all__`` can be had, and the names that the page uses are among it."""
    for name in routilux.__all__:
        assert getattr(routilux, name) is not None
    page = {"Flow", "Routine", "ErrorHandler", "ErrorStrategy", "JobState", "ExecutionTracker", "ExecutionContext"}
    assert page <= set(routilux.__all__)


@pytest.mark.parametrize("module", MODULES)
def test_the_documented_modules_export_the_same_objects(module):
    """``from routilux.job_state import JobState`` and the like give what the package exports."""
    found = importlib.import_module(f"routilux.{module}")
    for name in found.__all__:
        if name in routilux.__all__:
            assert getattr(routilux, name) is getattr(found, name)


def test_all_names_of_the_simulator_load_when_asked_for():
    """Everything in ``routilux_sim.__all__`` can be had, also after the modules behind them were imported."""
    for name in routilux_sim.__all__:
        assert not inspect.ismodule(getattr(routilux_sim, name))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = routilux_sim.nonsense


@pytest.mark.parametrize("package", [routilux, routilux_sim], ids=lambda package: package.__name__)
def test_everything_public_has_a_docstring(package):
    """Every exported class and function, and each of its public methods, says what it does."""
    bare = []
    for name in package.__all__:
        value = getattr(package, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if not inspect.getdoc(value):
            bare.append(name)
        if inspect.isclass(value):
            bare += [
                f"{name}.{attribute}"
                for attribute, member in vars(value).items()
                if inspect.isfunction(member) and not attribute.startswith("_") and not inspect.getdoc(member)
            ]
    assert bare == []
