"""The execution log: what happened, as JSON lines with event names from a closed set.

Production and simulation share the names and the fields, so that a log from one can be read beside a log from the
other. `configure` turns a log on for every flow, ``Flow(log=...)`` for one; neither is on unless asked for, and
structlog (extra ``log``) is imported then, not before. Knows the hooks of an instrument, lines and files; nothing of
how the engine runs jobs, nor of simulators.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeAlias

from routilux import runtime as runtimes
from routilux.abc import Instrument, Runtime

if TYPE_CHECKING:
    from routilux.engine.activation import Activation
    from routilux.job_state import JobState

__all__ = ["EVENTS", "ExecutionLog", "Target", "configure", "configured", "json_lines", "of", "render"]

Target: TypeAlias = str | os.PathLike[str] | BinaryIO
"""Where lines go: a path, or a file open for writing bytes."""

EVENTS = frozenset(
    {
        # the engine, anywhere
        "job.start",
        "job.pause",
        "job.resume",
        "job.end",
        "emit",
        "activation.start",
        "activation.end",
        "activation.retry",
        "activation.drop",
        # simulated threads
        "task.start",
        "task.switch",
        "task.end",
        "task.left",
        "fault",
        "execution.end",
    }
)
"""Every name that an execution log may use for ``event``.

Beside it each line has ``seq`` (counts from 0), ``t_ns`` (nanoseconds since the log began) and ``task`` (the thread);
then, where they apply, ``job``, ``flow``, ``routine``, ``slot``, ``activation`` (its number in the job), ``attempt``,
``name`` (of an event that was emitted), ``status``, ``error``, ``delay_ns``, ``reason``, ``point``, ``left`` (a
thread that the end of the program cut short), ``fault`` (the kind of what went wrong because a plan said so).
"""

Write = Callable[[str, dict[str, Any]], None]


class ExecutionLog(Instrument):
    """The instrument that writes the execution log. Give it to a flow: ``Flow(log=log)``.

    No line holds a value that a job works on: parameters are named, not shown.

    Args:
        write: Called as ``write(event, fields)`` for each line.
        close: Called by `close`, once nothing more will be written.
    """

    def __init__(self, write: Write, close: Callable[[], object] | None = None) -> None:
        self._write = write
        self._close = close

    def close(self) -> None:
        """Write nothing more, and close the file if this log opened it. A configured log is turned off by that."""
        runtime = runtimes.current()
        if runtime.execution_log is self:
            runtime.execution_log = None
        if self._close is not None:
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def job_start(self, job: JobState) -> None:
        """Log ``job.start``."""
        self._write("job.start", {"job": job.job_id, "flow": job.flow_id})

    def job_pause(self, job: JobState) -> None:
        """Log ``job.pause``."""
        self._write("job.pause", {"job": job.job_id, "reason": str(getattr(job, "pause_reason", ""))})

    def job_resume(self, job: JobState) -> None:
        """Log ``job.resume``."""
        self._write("job.resume", {"job": job.job_id})

    def job_end(self, job: JobState) -> None:
        """Log ``job.end``."""
        self._write("job.end", {"job": job.job_id, "status": job.status, **_error(job.error)})

    def emit(self, job: JobState, routine_id: str, event: str, data: dict[str, Any], targets: int) -> None:
        """Log ``emit``: the names of what was sent, not the values, which may be large or private."""
        fields = {
            "job": job.job_id,
            "routine": routine_id,
            "name": event,
            "params": sorted(data),
            "targets": targets,
        }
        self._write("emit", fields)

    def activation_start(self, activation: Activation) -> None:
        """Log ``activation.start``."""
        self._write("activation.start", _fields(activation))

    def activation_end(self, activation: Activation, status: str, error: BaseException | None) -> None:
        """Log ``activation.end``."""
        self._write("activation.end", {**_fields(activation), "status": status, **_error(error)})

    def activation_retry(self, activation: Activation, error: BaseException, delay: float) -> None:
        """Log ``activation.retry``."""
        fields = {**_fields(activation), "delay_ns": round(delay * 1e9), **_error(error)}
        self._write("activation.retry", fields)

    def activation_drop(self, activation: Activation, reason: str) -> None:
        """Log ``activation.drop``."""
        self._write("activation.drop", {**_fields(activation), "reason": reason})


def _fields(activation: Activation) -> dict[str, Any]:
    return {
        "job": activation.job.job_id,
        "routine": activation.routine_id,
        "slot": activation.slot,
        "activation": activation.number,
        "attempt": activation.attempt,
    }


def _error(error: BaseException | None) -> dict[str, str]:
    # Without addresses: two runs of one seed must log the same bytes, and nobody can use them afterwards.
    return {} if error is None else {"error": _ADDRESS.sub("0x…", f"{type(error).__name__}: {error}")}


_ADDRESS = re.compile("0x[0-9a-fA-F]{6,}")


def render(line: Mapping[str, Any]) -> bytes:
    """Render one line as JSON with sorted keys, through structlog.

    Raises:
        ImportError: structlog is not installed.
    """
    from structlog.processors import JSONRenderer  # noqa: PLC0415 - the extra is imported when asked for

    text = JSONRenderer(sort_keys=True, default=_stand_in)(None, "info", dict(line))
    return (text if isinstance(text, bytes) else text.encode()) + b"\n"


def _stand_in(value: object) -> str:
    # Never repr(): it may hold an address, and two runs of one seed must log the same bytes.
    return f"<{type(value).__qualname__}>"


def json_lines(target: Target) -> ExecutionLog:
    """Make an execution log that appends JSON lines to a file. Close it, or use it in a ``with`` statement.

    Each line is whole, whatever threads log at the same time, and is with the operating system before the engine goes
    on: a crash of the process loses no line that was logged, and tears none. Nothing is synced to the disk, so a power
    cut may. Once the log is closed, flows that still have it log into nothing.

    A forked child that goes on writing appends whole lines too, beside its parent's and numbered on from there, if
    ``target`` is a path; a file object's buffer is copied by a fork, and belongs to one process only.

    Args:
        target: A path, or a binary file open for writing, which stays open. Any object with ``write(bytes)`` will do,
            such as one that rotates files; its ``flush()``, if it has one, is called after each line.

    Raises:
        ImportError: structlog is not installed (``pip install routilux[log]``).
        OSError: The file cannot be opened.
        TypeError: ``target`` is neither a path nor a binary file.
    """
    try:
        import structlog  # noqa: F401, PLC0415 - the extra is imported when asked for
    except ImportError as error:
        raise ImportError("an execution log needs structlog; install the extra: pip install 'routilux[log]'") from error
    if isinstance(target, str | os.PathLike):
        # Unbuffered: one line is one append, and there is nothing that a fork or a crash could write twice or lose.
        stream = Path(target).open("ab", buffering=0)  # noqa: SIM115 - close() closes it
        return _log_to(_Lines(stream.write), stream.close)
    write = getattr(target, "write", None)
    if not callable(write):
        raise TypeError(f"an execution log goes to a path or a binary file, not to {target!r}")
    if hasattr(target, "encoding"):
        raise TypeError(
            f"an execution log is bytes, and {target!r} is a text file; open it in binary mode, as with 'ab'"
        )
    return _log_to(_Lines(write, getattr(target, "flush", None)))


def _log_to(lines: _Lines, close_file: Callable[[], object] | None = None) -> ExecutionLog:
    def close() -> None:
        lines.end()
        if close_file is not None:
            close_file()

    return ExecutionLog(lines.write, close)


class _Lines:
    """Numbers lines, and writes each in one piece.

    Clock and thread names are those of the world that a line comes from, and so is the lock: after a fork nobody may
    ever release the parent's, and a simulated thread must not wait in a real one. When another world begins to write,
    ``t_ns`` begins again.
    """

    def __init__(self, write: Callable[[bytes], object], flush: Callable[[], object] | None = None) -> None:
        self._put = write
        self._flush = flush
        self._numbers = itertools.count()
        self._ended = False
        self._move_to(runtimes.current())

    def _move_to(self, runtime: Runtime) -> None:
        self._began = runtime.monotonic_ns()
        self._lock = runtime.lock()
        self._runtime = runtime

    def write(self, event: str, fields: dict[str, Any]) -> None:
        """Write one line, unless it is too late."""
        runtime = runtimes.current()
        if runtime is not self._runtime:
            self._move_to(runtime)
        with self._lock:  # sequence numbers and times in the order of the lines
            if self._ended:
                return
            line = {
                "seq": next(self._numbers),
                "t_ns": runtime.monotonic_ns() - self._began,
                "event": event,
                "task": runtime.thread_name(),
                **fields,
            }
            self._put(render(line))
            if self._flush is not None:
                self._flush()

    def end(self) -> None:
        """Let the line that is being written be the last."""
        with self._lock:
            self._ended = True


def configure(target: Target | None = None) -> ExecutionLog | None:
    """Log every job that any flow of this process begins from now on, beside what flows log by themselves.

    Jobs under way go on as they are. What was configured before is turned off, and closed if `configure` opened it; a
    target that cannot be used changes nothing. A simulated program configures its own world, which ends with the
    simulation, and is not logged by what was configured outside; a forked child begins with nothing configured.

    Args:
        target: Where to, see `json_lines`; None: nowhere any more.

    Returns:
        The log, or None. As a context manager it turns itself off at the end.

    Raises:
        ImportError, OSError, TypeError: As `json_lines`.
    """
    log = None if target is None else json_lines(target)
    runtime = runtimes.current()
    with _configuring:
        previous, runtime.execution_log = runtime.execution_log, log
    if previous is not None:
        previous.close()
    return log


_configuring = runtimes.OsRuntime.lock()  # a real one in every world: nothing is waited for while it is held


def configured() -> ExecutionLog | None:
    """Return the log that `configure` has turned on, or None; the engine asks once a job."""
    return runtimes.current().execution_log


def of(log: bool | Target | ExecutionLog | None) -> ExecutionLog | None:
    """Return the log that the parameter of ``Flow(log=...)`` means.

    Args:
        log: None: the one that is configured now, if any; False: none, whatever is configured; a path or a binary
            file: a new log that writes there, to be closed by the caller; a log: itself.

    Raises:
        ImportError, OSError: As `json_lines`.
        TypeError: Something else.
    """
    if log is None:
        return configured()
    if log is False:
        return None
    if isinstance(log, ExecutionLog):
        return log
    if log is True:
        raise TypeError(
            "log=True does not say where to; give a path or a binary file, or leave it out and call "
            "routilux.log.configure()"
        )
    return json_lines(log)
