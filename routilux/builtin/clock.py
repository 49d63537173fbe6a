"""`TimeProvider`: puts the time into an event, from the clock of the world that the flow runs in."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, ClassVar

from routilux import runtime
from routilux.builtin.base import BuiltinRoutine, Emits
from routilux.builtin.options import Option, Options, choice, label, require

__all__ = ["TimeProvider"]

SOME_DAY = datetime(2000, 1, 1, tzinfo=UTC)


def _format(value: Any) -> str:
    require(isinstance(value, str) and (value in ("iso", "timestamp") or "%" in value))
    SOME_DAY.strftime(value)
    return str(value)


def _timezone(value: Any) -> tzinfo:
    require(isinstance(value, str) and value != "")
    if value.upper() in ("UTC", "Z"):
        return UTC
    offset = re.fullmatch(r"([+-])(\d\d):?([0-5]\d)", value)
    if offset is not None:
        sign, hours, minutes = offset.groups()
        return timezone(timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1))
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - few need more than UTC

    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError("no such time zone is known to this system") from error


class TimeProvider(BuiltinRoutine):
    """Emits ``output`` with the event's data and the time of handling it.

    The time is the wall clock's; in a simulation that is the virtual clock.

    Options:
        format: ``iso`` (ISO 8601), ``timestamp`` (seconds since 1970, a float), or a format for ``strftime``, which has
            a ``%`` in it.
        timezone: ``UTC``, an offset such as ``+02:00``, or a name such as ``Europe/Berlin``.
        precision: The smallest unit that ``iso`` shows: ``auto``, ``seconds``, ``milliseconds`` or ``microseconds``.
        output_key: Where the time goes; ``time``.
    """

    options: ClassVar[Options] = {
        "output_key": label("time"),
        "format": Option("iso", "'iso', 'timestamp' or a strftime format with a '%' in it", _format),
        "timezone": Option(UTC, "'UTC', an offset such as '+02:00' or the name of a time zone", _timezone),
        "precision": choice("auto", "auto", "seconds", "milliseconds", "microseconds"),
    }
    emits: ClassVar[Emits] = {"output": ("time",)}

    def process(self, data: dict[str, Any]) -> None:
        """Add the time to one event."""
        self.send("output", {**data, self.setting("output_key"): self.time()})

    def time(self) -> str | float:
        """The time, in the format that is configured."""
        seconds = runtime.current().wall_time()
        form = self.setting("format")
        if form == "timestamp":
            return seconds
        moment = datetime.fromtimestamp(seconds, self.setting("timezone"))
        return moment.isoformat(timespec=self.setting("precision")) if form == "iso" else moment.strftime(form)
