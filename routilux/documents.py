"""JSON documents in files and strings: read strictly, written whole or not at all. Knows nothing of what is in them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from routilux.exceptions import SerializationError

__all__ = ["parse_document", "read_document", "write_document"]


def write_document(path: str | os.PathLike[str], data: dict[str, Any]) -> None:
    """Write a document: beside its place, flushed to the disk, then moved there in one step.

    Raises:
        OSError: It cannot be written. What was there before is there still.
    """
    import json  # noqa: PLC0415 - few programs store jobs
    import tempfile  # noqa: PLC0415 - likewise

    target = Path(path)
    content = json.dumps(data, allow_nan=False, separators=(",", ":")).encode()
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    try:
        with _opened(handle) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    _flush_directory(target.parent)


def _opened(handle: int) -> IO[bytes]:
    try:
        return os.fdopen(handle, "wb")
    except BaseException:
        os.close(handle)
        raise


def _flush_directory(directory: Path) -> None:
    """Make the renaming itself durable, where directories can be opened."""
    with suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_document(path: str | os.PathLike[str]) -> Any:
    """Read a file of JSON.

    Raises:
        SerializationError: It is not JSON.
        OSError: It cannot be read.
    """
    return parse_document(Path(path).read_bytes(), f"file {str(path)!r}")


def parse_document(content: bytes | str, place: str) -> Any:
    """Parse JSON strictly: no NaN, no key twice in one object.

    Raises:
        SerializationError: It is not JSON; says where.
    """
    import json  # noqa: PLC0415 - few programs read jobs

    try:
        text = content.decode() if isinstance(content, bytes) else content
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_repetition)
    except RecursionError:
        raise SerializationError(place, "is nested too deep") from None
    except ValueError as error:
        raise SerializationError(place, f"is not JSON: {error}") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _no_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(name for name in names if names.count(name) > 1)!r} stands twice in one object")
    return found
