"""GeneratedEvents has the documented properties."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest

from mixpanel_async.testing import GeneratedEvents

DAY = date(2026, 1, 5)
NOW = datetime(2026, 2, 10, 12, tzinfo=UTC)


def lines(source, day=DAY, now=NOW):
    return b"".join(source.pieces(day, now=now)).split(b"\n")[:-1]


def key(event):
    properties = event["properties"]
    return (event["event"], properties.get("distinct_id"), properties["time"], properties.get("$insert_id"))


@pytest.fixture(scope="module")
def events():
    return [json.loads(line) for line in lines(GeneratedEvents(per_day=20_000, seed=7))]


def test_the_same_seed_and_day_give_the_same_bytes():
    source = GeneratedEvents(per_day=1500, seed=3)
    assert lines(source) == lines(GeneratedEvents(per_day=1500, seed=3))
    assert lines(source) != lines(source, date(2026, 1, 6))
    assert lines(source) != lines(GeneratedEvents(per_day=1500, seed=4))


def test_bytes_are_pinned():
    """Users' tests depend on these bytes: change them only on purpose."""
    digest = hashlib.sha256(b"\n".join(lines(GeneratedEvents(per_day=10)))).hexdigest()
    assert digest.startswith(PINNED)


PINNED = "61a1616affd2c2df"


def test_item_77_number_of_lines():
    assert len(lines(GeneratedEvents(per_day=1537))) == 1537
    weekly = GeneratedEvents(per_day=lambda day: 100 if day.weekday() < 5 else 10)
    assert [len(lines(weekly, date(2026, 1, day))) for day in range(5, 12)] == [100] * 5 + [10] * 2
    some = GeneratedEvents(per_day=5, since=DAY, until=DAY)
    assert [len(lines(some, date(2026, 1, day))) for day in (4, 5, 6)] == [0, 5, 0]


def test_shape(events):
    names = Counter(event["event"] for event in events)
    assert 8 <= len(names) <= 12
    assert names.most_common(1)[0][1] > 0.25 * len(events)
    sizes = [len(event["properties"]) for event in events]
    assert min(sizes) >= 18
    assert max(sizes) <= 42
    average = sum(map(len, lines(GeneratedEvents(per_day=5000)))) / 5000
    assert 800 < average < 1100


def test_item_04_order_of_properties(events):
    for event in events[:2000]:
        names = list(event["properties"])
        assert names[0] == "time"
        fixed = 2 if "distinct_id" in names else 1
        assert "distinct_id" not in names[fixed:]
        assert names[fixed:] == sorted(names[fixed:])
        assert len(set(names)) == len(names)


def test_item_21_values(events):
    text = b"\n".join(lines(GeneratedEvents(per_day=5000))).decode()
    assert all(part in text for part in ("\u2028", "😀", "大阪市", "\\u0000", '\\"name\\"'))
    values = [value for event in events for value in event["properties"].values()]
    assert {type(value) for value in values} == {str, int, float, bool, list, dict, type(None)}
    assert any(isinstance(value, int) and value > 2**53 for value in values)
    names = {name for event in events for name in event["properties"]}
    assert {"plan", "Plan", "account.id", "session id", 'quoted "name"', "utm_source", "UTM_source"} <= names
    assert len({type(event["properties"].get("utm_source")) for event in events} - {type(None)}) > 1


def test_shares(events):
    count = len(events)
    repeated = count - len({key(event) for event in events})
    assert 0.008 < repeated / count < 0.012
    rows = [event["properties"] for event in events]
    assert 0.001 < sum("$insert_id" not in row for row in rows) / count < 0.003
    assert 0.0005 < sum("distinct_id" not in row for row in rows) / count < 0.0015
    assert 0.0005 < sum(row.get("distinct_id") == "" for row in rows) / count < 0.0015
    named = {(event["event"], event["properties"].get("$insert_id")) for event in events}
    shared = len(named) - len({insert_id for _, insert_id in named})
    assert 0.0005 < shared / count < 0.0025


def test_item_18_some_repeats_were_processed_later(events):
    seen: dict[object, set[int]] = {}
    for event in events:
        seen.setdefault(key(event), set()).add(event["properties"]["mp_processing_time_ms"])
    assert sum(len(times) > 1 for times in seen.values()) > 50


def test_no_share_means_none():
    clean = GeneratedEvents(
        per_day=5000, duplicates=0.0, shared_insert_id=0.0, missing_insert_id=0.0, missing_distinct_id=0.0
    )
    events = [json.loads(line) for line in lines(clean)]
    assert len({event["properties"]["$insert_id"] for event in events}) == 5000
    assert [event["properties"]["sequence"] for event in events] == list(range(5000))


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_shares_are_checked(share):
    with pytest.raises(ValueError, match="late is a share"):
        GeneratedEvents(late=share)


def test_all_of_a_day_is_in_that_day(events):
    assert all(event["properties"]["time"] // 86_400_000 * 86_400 == 1767571200 for event in events)
    assert {event["properties"]["time"] % 86_400_000 // 3_600_000 for event in events} == set(range(24))


def test_times_have_milliseconds(events):
    times = [event["properties"]["time"] for event in events]
    assert len({time % 1000 for time in times}) > 990
    seconds = Counter(time // 1000 for time in set(times))
    assert sum(count > 1 for count in seconds.values()) > 1000  # whose order within the second only milliseconds tell


def test_milliseconds_of_arrival_follow_those_of_the_time(events):
    delays = [event["properties"]["mp_processing_time_ms"] - event["properties"]["time"] for event in events]
    assert min(delays) >= 40
    assert sum(delay < 500 for delay in delays) > 0.8 * len(delays)


def test_it_is_fast():
    """The limit is low enough for a busy machine; an idle one is much faster."""
    source = GeneratedEvents(per_day=60_000)
    next(source.pieces(DAY, now=NOW))
    began = time.process_time()
    assert sum(1 for _ in source.pieces(DAY, now=NOW))
    assert 60_000 / (time.process_time() - began) > 60_000


@pytest.mark.parametrize(("missing", "left"), [(0.0, 1), (1.0, 900)])
def test_compaction_takes_away_what_repeats_an_insert_id(missing, left):
    source = GeneratedEvents(per_day=900, duplicates=1.0, missing_insert_id=missing, compacted_after=2)
    over = datetime(2026, 1, 6, tzinfo=UTC)
    assert len(lines(source, now=over + timedelta(days=2, seconds=-1))) == 900
    assert len(lines(source, now=over + timedelta(days=2))) == left
