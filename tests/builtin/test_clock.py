"""TimeProvider."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from routilux.builtin import ConfigurationError, TimeProvider
from routilux_sim import SimScheduler, simulate
from tests.builtin.flows import output, wire
from tests.exploring import explore

EPOCH = 1_700_000_000.0
"""2023-11-14, 22:13:20 UTC."""


def told(**options):
    """What a provider says half a second after `EPOCH`."""
    said = []

    def program():
        time.sleep(0.5)
        said.append(output(TimeProvider().configure(**options))["time"])

    assert simulate(program, epoch=EPOCH).error is None
    return said[0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "2023-11-14T22:13:20.500000+00:00"),
        ({"format": "timestamp"}, EPOCH + 0.5),
        ({"format": "%d.%m.%Y %H:%M"}, "14.11.2023 22:13"),
        ({"precision": "seconds"}, "2023-11-14T22:13:20+00:00"),
        ({"precision": "milliseconds", "timezone": "+02:00"}, "2023-11-15T00:13:20.500+02:00"),
        ({"precision": "seconds", "timezone": "-0530"}, "2023-11-14T16:43:20-05:30"),
        ({"precision": "seconds", "timezone": "utc"}, "2023-11-14T22:13:20+00:00"),
    ],
)
def test_the_time_is_told_in_the_format_and_zone_that_are_configured(options, text):
    """ISO 8601 in UTC by default; seconds since 1970, or a format of one's own."""
    assert told(**options) == text


def test_in_a_simulation_the_time_is_the_virtual_clocks():
    """Three events three virtual hours apart tell times three hours apart."""

    def program():
        flow = wire(TimeProvider().configure(format="timestamp"))
        for _ in range(3):
            flow.execute("source", {"events": [{}]})
            time.sleep(3 * 3600)
        told_times = [event["time"] for event in flow.routines["to output"].seen]
        assert told_times == [EPOCH, EPOCH + 3 * 3600, EPOCH + 6 * 3600]

    explore(program, schedules=10, epoch=EPOCH).raise_if_failed()


def test_a_flow_on_a_simulated_scheduler_tells_its_time():
    """A flow that is simulated in a plain script has the virtual clock as well."""
    flow = wire(TimeProvider().configure(format="timestamp"), scheduler=SimScheduler(seed=1, epoch=EPOCH))
    flow.execute("source", {"events": [{}]})
    assert flow.routines["to output"].seen[0]["time"] == EPOCH


def test_outside_a_simulation_the_time_is_the_real_one():
    """The wall clock's, within the time that the call took."""
    before = time.time()
    seconds = output(TimeProvider().configure(format="timestamp"))["time"]
    assert before <= seconds <= time.time()
    assert datetime.fromisoformat(output(TimeProvider())["time"]).tzinfo == UTC


def test_the_rest_of_the_event_goes_along():
    """The time is added under ``output_key``."""
    assert output(TimeProvider().configure(output_key="at", format="%%"), a=1) == {"a": 1, "at": "%"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "unix"}, "'format' must be 'iso', 'timestamp' or a strftime format with a '%' in it, not 'unix'"),
        ({"format": 3}, "'format' must be"),
        ({"timezone": "Nowhere/At_All"}, "not 'Nowhere/At_All': no such time zone is known"),
        ({"timezone": "../../etc/passwd"}, "'timezone' must be"),
        ({"timezone": "+25:00"}, "'timezone' must be"),
        ({"timezone": ""}, "'timezone' must be"),
        ({"precision": "hours"}, "'precision' must be one of"),
    ],
)
def test_bad_options_are_refused_when_they_are_set(options, message):
    """Formats and zones are tried out."""
    with pytest.raises(ConfigurationError, match=message):
        TimeProvider().configure(**options)
