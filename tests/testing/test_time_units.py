"""Given times, in both units, in the unit that a request asks for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mixpanel_async.testing import GivenEvents
from mixpanel_async.testing.export.event_reader import EventReader
from mixpanel_async.testing.export.export_query import ExportQuery

LINES = (
    b'{"event":"E","properties":{"time":%d,"n":1.50}}\n',
    b'{"event":"a \\"b\\"","properties":{"time":%d}}\n',
    b'{"event": "E", "properties": {"page": {"time": 5, "time ": 6}, "n": 1.50, "time": %d, "big": 1e400}}\n',
    b'{"properties":{"s":"\\"time\\":7","time":%d},\r"event":"E"}\n',
)


@pytest.mark.parametrize("lines", [LINES[:1], LINES], ids=["ordinary", "unusual"])
@pytest.mark.parametrize(
    ("given", "seconds", "milliseconds"),
    [
        (1769904000, 1769904000, 1769904000000),
        (1769904000999, 1769904000, 1769904000999),
        (5, 5, 5000),
        (-1, -1, -1000),
        (-1_000_000_000_001, -1_000_000_001, -1_000_000_000_001),  # rounded down
        (253402214399, 253402214399, 253402214399000),  # of 9999-12-30
        (253402300800, 253402300, 253402300800),
        (253402214399999, 253402214399, 253402214399999),
    ],
)
def test_given_times_are_sent_in_the_unit_that_is_asked_for(lines, given, seconds, milliseconds):
    day = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)).date()
    reader = EventReader(GivenEvents([line % given for line in lines]), datetime(9999, 12, 31, tzinfo=UTC))
    for time_in_ms, time in ((False, seconds), (True, milliseconds)):
        text = b"".join(reader.pieces(ExportQuery(day, day, time_in_ms=time_in_ms)))
        assert text == b"".join(line % time for line in lines)
