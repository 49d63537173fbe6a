"""Campaign files: which schedules of an exploration have run, and what came of them; written whole or not at all.

A file holds one job's share of the schedules. It can be gone on with, and joined with those of the other jobs.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import sys
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args

from routilux._version import __version__
from routilux.documents import write_document
from routilux_sim.campaigns.parts import STOP_KINDS, Part, Stop, joined
from routilux_sim.excerpts import excerpt
from routilux_sim.judge.races import Access, Call, Race
from routilux_sim.judge.verdict import Verdict
from routilux_sim.kernel.errors import SimulationError

__all__ = ["FORMAT", "VERSION", "CampaignFile", "CampaignFileError", "load_campaign", "save_campaign", "share_of"]

FORMAT = "routilux-sim/campaign"
VERSION = 1

T = TypeVar("T")


class CampaignFileError(SimulationError, ValueError):
    """A campaign file cannot be read, or is of another campaign; the message names the file and the place in it."""


@dataclass
class CampaignFile:
    """What is known of a campaign.

    Attributes:
        program: Where the program is found, or what it is called.
        digest: Of its source; None if that was not at hand.
        settings: How it is explored, as plain data: what any two files of a campaign have in common.
        shard: Which share this is, from 1, and of how many.
        first, end: The numbers of the share's schedules.
        seconds: Real time that was spent.
        parts: What came of those that have run, in order.
        told: What was found out about a schedule that stopped it: number, verdict and words; None if nothing was.
        path: Of the file, for messages.
    """

    program: str
    digest: str | None
    settings: dict[str, Any]
    shard: tuple[int, int]
    first: int
    end: int
    seconds: float = 0.0
    parts: list[Part] = field(default_factory=list)
    told: tuple[int, Verdict, str] | None = None
    path: str = ""

    @property
    def done(self) -> list[range]:
        """The numbers of those that have run."""
        return [range(part.first, part.end) for part in self.parts]

    def check_same(self, other: CampaignFile, *, share: bool = True) -> None:
        """See that another one is of the same campaign, and of the same share of it.

        Raises:
            CampaignFileError: It is not; the message names what differs.
        """
        rows: list[tuple[str, Any, Any]] = [("program", self.program, other.program)]
        rows += [
            (name, self.settings.get(name), other.settings.get(name)) for name in {**self.settings, **other.settings}
        ]
        if share:
            rows.append(("shard", self.shard, other.shard))
        for name, ours, theirs in rows:
            if ours != theirs:
                where = other.path or "this exploration"
                raise CampaignFileError(
                    f"{self.path}: it is of another campaign: {name!r} is {excerpt(ours)}, and of {where} "
                    f"{excerpt(theirs)}; name another file, or set it back"
                )
        if None not in {self.digest, other.digest} and self.digest != other.digest:
            raise CampaignFileError(
                f"{self.path}: the program's source {'differs from that of ' + other.path if other.path else 'has'}"
                f"{'' if other.path else ' changed since'}, so what has run says nothing of it; name another file"
            )


def share_of(schedules: int, shard: tuple[int, int]) -> range:
    """The numbers of the schedules of one share of so many, from 1: all of them are of one, and none of two."""
    place, count = shard
    return range(schedules * (place - 1) // count, schedules * place // count)


def save_campaign(kept: CampaignFile, path: str | os.PathLike[str]) -> None:
    """Write a campaign file, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    document = {
        "format": FORMAT,
        "version": VERSION,
        "tool": f"routilux {__version__}",
        "python": platform.python_version(),
        "program": kept.program,
        "digest": kept.digest,
        "settings": kept.settings,
        "shard": kept.shard,
        "first": kept.first,
        "end": kept.end,
        "seconds": kept.seconds,
        "told": kept.told,
        "parts": [_written(part) for part in joined(kept.parts)],
    }
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_document(path, document)


def _written(part: Part) -> dict[str, Any]:
    return {
        "first": part.first,
        "end": part.end,
        "strategies": part.strategies,
        "virtual_ns": part.virtual_ns,
        "kinds": _packed(part.kinds),
        "pairs": _packed(sorted(part.pairs)),
        "races": part.races,
        "unfair": part.unfair,
        "grown": part.grown,
        "stop": None if part.stop is None else part.stop._asdict(),
        "seconds": part.seconds,
    }


def _packed(numbers: Iterable[int]) -> str:
    """Whole numbers of 64 bits as text, the lowest byte first."""
    values = array("q", numbers)
    if sys.byteorder == "big":
        values.byteswap()
    return base64.b64encode(values.tobytes()).decode("ascii")


def _unpacked(text: str) -> array[int]:
    values = array("q")
    values.frombytes(base64.b64decode(text, validate=True))
    if sys.byteorder == "big":
        values.byteswap()
    return values


def load_campaign(path: str | os.PathLike[str]) -> CampaignFile:
    """Read a campaign file.

    Raises:
        CampaignFileError: It is none, of an unknown version, or damaged.
        OSError: It cannot be read.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CampaignFileError(f"{path}: not a JSON document: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CampaignFileError(f"{path}: not a campaign file: 'format' must be {FORMAT!r}")
    if document.get("version") != VERSION:
        raise CampaignFileError(
            f"{path}: 'version' is {excerpt(document.get('version'))}; this routilux-sim reads version {VERSION}"
        )
    place = f"{path}"
    first, end = _field(place, document, "first", int), _field(place, document, "end", int)
    rows = _field(place, document, "parts", list)
    try:
        parts = joined(_part(f"{path}: part {index}", row) for index, row in enumerate(rows))
    except CampaignFileError:
        raise
    except ValueError as error:
        raise CampaignFileError(f"{path}: {error}") from error
    for part in parts:
        if not first <= part.first <= part.end <= end:
            raise CampaignFileError(f"{path}: schedules {part.first} to {part.end} are not of this share")
    return CampaignFile(
        program=_field(place, document, "program", str),
        digest=None if document.get("digest") is None else _field(place, document, "digest", str),
        settings=_field(place, document, "settings", dict),
        shard=_made(place, "shard", document, _shard),
        first=first,
        end=end,
        seconds=float(_field(place, document, "seconds", int | float)),
        parts=parts,
        told=_made(place, "told", document, _told),
        path=os.fspath(path),
    )


def _field(place: str, row: dict[str, Any], name: str, kind: Any) -> Any:
    value = row.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        wanted = getattr(kind, "__name__", "number")
        raise CampaignFileError(f"{place}: {name!r} must be a {wanted}, not {excerpt(value)}")
    return value


def _made(place: str, name: str, row: dict[str, Any], make: Callable[[Any], T]) -> T:
    """A field that is of several values."""
    value = row.get(name)
    try:
        return make(value)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise CampaignFileError(f"{place}: {name!r} cannot be {excerpt(value)}: {error}") from error


def _part(place: str, row: Any) -> Part:
    if not isinstance(row, dict):
        raise CampaignFileError(f"{place}: must be an object, not {excerpt(row)}")
    return Part(
        first=_field(place, row, "first", int),
        end=_field(place, row, "end", int),
        strategies=_made(place, "strategies", row, _counts),
        virtual_ns=_field(place, row, "virtual_ns", int),
        kinds=_made(place, "kinds", row, _unpacked),
        pairs=set(_made(place, "pairs", row, _unpacked)),
        races=_made(place, "races", row, lambda value: [_race(each) for each in value]),
        unfair=_made(place, "unfair", row, _unfair),
        grown=_made(place, "grown", row, _counts),
        stop=_made(place, "stop", row, _stop),
        seconds=float(_field(place, row, "seconds", int | float)),
    )


def _counts(value: Any) -> dict[str, int]:
    return {str(name): _whole(number) for name, number in value.items()}


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"a whole number is wanted, not {excerpt(value)}")
    return value


def _words(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"words are wanted, not {excerpt(value)}")
    return value


def _shard(value: Any) -> tuple[int, int]:
    place, count = value
    if not 1 <= _whole(place) <= _whole(count):
        raise ValueError("the first of two numbers must be from 1 to the second")
    return place, count


def _unfair(value: Any) -> tuple[int, str] | None:
    if value is None:
        return None
    number, error = value
    return _whole(number), _words(error)


def _told(value: Any) -> tuple[int, Verdict, str] | None:
    if value is None:
        return None
    number, verdict, words = value
    if verdict not in get_args(Verdict):
        raise ValueError(f"a verdict is one of {', '.join(get_args(Verdict))}")
    return _whole(number), verdict, _words(words)


def _stop(value: Any) -> Stop | None:
    if value is None:
        return None
    if value["kind"] not in STOP_KINDS:
        raise ValueError("its kind is unknown")
    return Stop(_whole(value["number"]), value["kind"], _words(value["strategy"]), _words(value["error"]))


def _race(value: Any) -> Race:
    name, first, second, missing = value
    return Race(_words(name), _access(first), _access(second), _words(missing))


def _access(value: Any) -> Access:
    task, op, stack, locks = value
    calls = tuple(
        Call(_words(file), _whole(line), _words(function), _words(source)) for file, line, function, source in stack
    )
    return Access(_words(task), _words(op), calls, tuple(_words(lock) for lock in locks))
