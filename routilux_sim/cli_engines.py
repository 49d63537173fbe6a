"""Options of the command line that say who runs an exploration's schedules, and which of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import click

__all__ = ["ENGINES", "engine"]

PATIENCE = 10.0
"""Seconds in which a cluster has to answer."""


def _shard(context: click.Context, option: click.Parameter, text: str | None) -> tuple[int, int] | None:  # noqa: ARG001 - a callback's
    """Which share of how many: ``3/8``."""
    if text is None:
        return None
    place, slash, count = text.partition("/")
    if not (slash and place.isdecimal() and count.isdecimal() and 1 <= int(place) <= int(count)):
        raise click.BadParameter(f"{text!r} is no share; write 3/8 for the third of eight")
    return int(place), int(count)


_OPTIONS = (
    click.option("--workers", type=click.IntRange(min=1), help="Processes that share the schedules."),
    click.option("--dask", metavar="ADDRESS", help="Run the schedules on this Dask cluster, e.g. tcp://host:8786."),
    click.option("--ray", metavar="ADDRESS", help="Run the schedules on this Ray cluster; 'auto', the one here."),
    click.option(
        "--campaign",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Keep here what has run; the same command goes on with it.",
    ),
    click.option("--shard", callback=_shard, metavar="K/N", help="Run the K-th of N shares of the schedules only."),
)


def ENGINES(command: Callable[..., Any]) -> Callable[..., Any]:  # noqa: N802 - a constant, as other options are
    """The options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@contextmanager
def engine(dask: str | None, ray: str | None) -> Iterator[Any]:
    """The executor that is meant; None if none is."""
    if dask is not None and ray is not None:
        raise click.UsageError("--dask and --ray cannot both run the schedules; leave one of them out")
    if dask is not None:
        with _dask(dask) as executor:
            yield executor
    elif ray is not None:
        executor = _ray(ray)
        try:
            yield executor
        finally:
            executor.shutdown()
    else:
        yield None


@contextmanager
def _dask(address: str) -> Iterator[Any]:
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise click.UsageError("--dask needs Dask, which is not installed: pip install 'routilux[dask]'") from error
    try:
        client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise click.UsageError(f"--dask: there is no Dask cluster at {address!r}: {_line(error)}") from error
    try:
        if not client.ncores():
            raise click.UsageError(f"--dask: the cluster at {address!r} has no workers")
        yield client.get_executor(pure=False)
    finally:
        client.close()


def _ray(address: str) -> Any:
    from routilux.schedulers.ray import RayExecutor  # noqa: PLC0415 - few want it

    try:
        return RayExecutor(address, logging_level="error", log_to_driver=False)
    except ImportError as error:
        raise click.UsageError("--ray needs Ray, which is not installed: pip install 'routilux[ray]'") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise click.UsageError(f"--ray: there is no Ray cluster at {address!r}: {_line(error)}") from error


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
