"""What commands are given on the command line, made into objects: flows, parameters, stores, jobs.

Knows what people get wrong in them, and refuses in words that say so; knows nothing of running.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from routilux.cli.root import Refusal, refusing
from routilux.exceptions import RoutiluxError
from routilux.flow import Flow
from routilux.loading import LoadError, load_flow_factory
from routilux.store import JobStore, StoredJob

__all__ = ["check_there", "find_job", "load_flow", "looking", "owning", "parameters", "recording"]

WAIT = 2.0
"""Seconds to wait for another process that has a store open: most programs that end do so within them."""

OURS = Path(__file__).parents[1]

SHOWN = 5
"""How many jobs a message lists that an abbreviation may mean."""


# Flows


def load_flow(path: str) -> Flow:
    """Make the flow that ``module:factory`` names.

    Raises:
        Refusal: There is none, or it cannot be made.
    """
    try:
        flow: Flow = load_flow_factory(path, [Path.cwd()])()
    except LoadError as error:
        raise Refusal(f"{error}{_place(error.__cause__)}") from error
    except RoutiluxError as error:
        raise Refusal(f"{path!r} cannot make its flow: {error}") from error
    except SystemExit as error:
        hint = "put what is only for running it as a script under if __name__ == '__main__'"
        raise Refusal(f"{path!r} ended the program instead of returning a Flow; {hint}") from error
    except Exception as error:  # a factory is anybody's code, and may raise anything
        said = f"{type(error).__name__}: {error}"
        raise Refusal(f"{path!r} cannot make its flow: {said}{_place(error)}") from error
    return flow


def _place(error: BaseException | None) -> str:
    """Where in the user's own code an exception came from."""
    frames = traceback.extract_tb(None if error is None else error.__traceback__)
    theirs = [
        frame for frame in frames if not Path(frame.filename).is_relative_to(OURS) and "importlib" not in frame.filename
    ]
    return f" ({Path(theirs[-1].filename).name}, line {theirs[-1].lineno})" if theirs else ""


# Parameters


def parameters(pairs: tuple[str, ...], file: Any) -> dict[str, Any]:
    """Put together the parameters of an entry: those of a JSON file, and over them those given one by one.

    Raises:
        click.BadParameter: They cannot be read.
    """
    return {**({} if file is None else _read_object(file)), **dict(_parameter(text) for text in pairs)}


def _read_object(file: Any) -> dict[str, Any]:
    try:
        found = json.loads(file.read())
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{file.name!r} is not UTF-8 text", param_hint="--params") from error
    except ValueError as error:
        raise click.BadParameter(f"{file.name!r} is not JSON: {error}", param_hint="--params") from error
    if not isinstance(found, dict):
        kind = "an array" if isinstance(found, list) else json.dumps(found)[:40]
        raise click.BadParameter(
            f"{file.name!r} must hold a JSON object of names to values, not {kind}", param_hint="--params"
        )
    return found


def _parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (equals and name):
        raise click.BadParameter(f"{text!r} must be NAME=VALUE", param_hint="--param")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


# Stores


@contextmanager
def looking(path: str) -> Iterator[JobStore]:
    """A store that is there, to be looked at; also while another process has it open."""
    check_there(path)
    with refusing(), JobStore(path, WAIT, read_only=True) as store:
        yield store


@contextmanager
def owning(path: str) -> Iterator[JobStore]:
    """A store that is there, to be changed."""
    check_there(path)
    with refusing(), JobStore(path, WAIT) as store:
        yield store


@contextmanager
def recording(flow: Flow, path: str | None, *, make: bool = False) -> Iterator[JobStore | None]:
    """Let a flow record its jobs in a store; the one that it has, if that is the same.

    Args:
        flow: The flow.
        path: Where the store is; None: wherever the flow has it.
        make: Make the store if it is not there.
    """
    if path is None:
        yield flow.store
        return
    if not make:
        check_there(path)
    if flow.store is not None:
        if not _same(flow.store.path, path):
            raise Refusal(
                f"flow {flow.flow_id!r} records its jobs in {flow.store.path!r} already, not in {path!r}; name that one"
            )
        yield flow.store
        return
    with refusing(), JobStore(path, WAIT) as store:
        try:
            flow.use_store(store)
        except ValueError as error:
            raise Refusal(str(error)) from error
        yield store


def check_there(path: str) -> None:
    """Refuse a store that is not there, before anything makes one."""
    if not Path(path).is_file():
        raise Refusal(f"there is no job store {path!r}; routilux run --store {path} … makes one")


def _same(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except OSError:
        return False


# Jobs


def find_job(store: JobStore, given: str) -> StoredJob:
    """Find the job whose id is given, or is the only one that begins like that; ``job-`` need not be said.

    Raises:
        Refusal: There is none, or more than one.
    """
    known = store.jobs()
    for wanted in (given, f"job-{given}"):
        exact = [job for job in known if job.job_id == wanted]
        found = exact or [job for job in known if job.job_id.startswith(wanted)]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(job.job_id for job in found[:SHOWN])
            more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            raise Refusal(f"{given!r} may be any of {len(found)} jobs: {names}{more}; give more of its id")
    raise Refusal(f"there is no job {given!r} in {store.path!r}; routilux jobs {store.path} list shows those there are")
