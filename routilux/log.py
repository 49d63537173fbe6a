"""The execution log: what happened, as JSON lines with event names from a closed set.

Production and simulation share the names and the fields, so that a log from one can be read beside a log from the
other. structlog (extra ``log``) is imported when a log is asked for, not before.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from routilux import runtime as runtimes
from routilux.abc import Instrument

if TYPE_CHECKING:
    from routilux.engine.activation import Activation
    from routilux.job_state import JobState

__all__ = ["EVENTS", "ExecutionLog", "json_lines", "render"]

EVENTS = frozenset(
    {
        # the engine, anywhere
        "job.start",
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
        "execution.end",
    }
)
"""Every name that an execution log may use for ``event``.

Beside it each line has ``seq`` (counts from 0), ``t_ns`` (nanoseconds since the log began) and ``task`` (the thread);
then, where they apply, ``job``, ``flow``, ``routine``, ``slot``, ``activation`` (its number in the job), ``attempt``,
``name`` (of an event that was emitted), ``status``, ``error``, ``delay_ns``, ``reason``, ``point``.
"""

Write = Callable[[str, dict[str, Any]], None]


class ExecutionLog(Instrument):
    """The instrument that writes the execution log. Give it to a flow: ``Flow(instruments=[log])``.

    Args:
        write: Called as ``write(event, fields)`` for each line.
        close: Called by `close`, once nothing more will be written.
    """

    def __init__(self, write: Write, close: Callable[[], object] | None = None) -> None:
        self._write = write
        self._close = close

    def close(self) -> None:
        """Close the file, if this log opened it."""
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


def json_lines(target: str | Path | BinaryIO) -> ExecutionLog:
    """Make an execution log that appends JSON lines to a file. Close it, or use it in a ``with`` statement.

    Args:
        target: A path, or a binary file open for writing, which stays open.

    Raises:
        ImportError: structlog is not installed (``pip install routilux[log]``).
        OSError: The file cannot be opened.
    """
    import structlog  # noqa: PLC0415 - the extra is imported when asked for

    ours = isinstance(target, str | Path)
    stream = Path(target).open("ab") if isinstance(target, str | Path) else target  # noqa: SIM115 - close() closes it
    logger = structlog.wrap_logger(
        structlog.BytesLogger(stream), processors=[lambda _logger, _method, line: render(line)[:-1]]
    )
    runtime = runtimes.current()
    numbers = itertools.count()
    began = runtime.monotonic_ns()
    lock = runtime.lock()

    def write(event: str, fields: dict[str, Any]) -> None:
        with lock:  # sequence numbers and times in the order of the lines
            logger.info(
                event,
                seq=next(numbers),
                t_ns=runtime.monotonic_ns() - began,
                task=runtime.thread_name(),
                **fields,
            )

    return ExecutionLog(write, stream.close if ours else None)
