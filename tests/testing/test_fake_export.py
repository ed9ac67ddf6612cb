"""Exports without faults."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, date, datetime
from typing import Any

import pytest

from mixpanel_async.testing import FakeClock, FakeMixpanel, GeneratedEvents, GivenEvents, GivenProfiles

DAY = "2026-02-01"


def at(moment: str, name: str = "Signed up", **properties: Any) -> dict[str, Any]:
    time = int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp())
    usual = {"distinct_id": "u1", "$insert_id": f"{name}-{time}", "mp_processing_time_ms": time * 1000 + 50}
    return {"event": name, "properties": {"time": time} | usual | properties}


EDGES = [at(f"{day}T{hour}") for day in ("2026-01-31", DAY, "2026-02-02") for hour in ("00:00:00", "23:59:59")]


async def test_item_01_json_lines_in_chunks(ask):
    async with FakeMixpanel(GeneratedEvents(per_day=100)) as fake:
        reply = await ask(fake)
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain")
    assert reply.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in reply.headers
    assert reply.body.endswith(b"}\n")
    assert len(reply.events) == 100
    assert all(set(event) == {"event", "properties"} for event in reply.events)


async def test_item_02_empty_day_is_a_200_without_a_byte(ask):
    async with FakeMixpanel() as fake:
        reply = await ask(fake)
    assert (reply.status, reply.body) == (200, b"")


async def test_item_03_both_ends_inclusive(ask):
    async with FakeMixpanel(EDGES) as fake:
        one = await ask(fake, DAY, DAY)
        two = await ask(fake, DAY, "2026-02-02")
    assert one.events == EDGES[2:4]
    assert two.events == EDGES[2:6]


async def test_item_04_time_is_in_seconds(ask):
    async with FakeMixpanel(GeneratedEvents(per_day=500, missing_insert_id=0, missing_distinct_id=0)) as fake:
        rows = [event["properties"] for event in (await ask(fake)).events]
    for row in rows:
        assert len(str(row["time"])) == 10
        assert len(str(row["mp_processing_time_ms"])) == 13
        assert isinstance(row["distinct_id"], str)
        assert isinstance(row["$insert_id"], str)


async def test_item_05_time_in_milliseconds(ask):
    events = [at(f"{DAY}T10:00:00"), {"event": "late", "properties": {"n": 1.50, "time": 1769940000}}]
    async with FakeMixpanel(events) as fake:
        plain, in_ms = await ask(fake), await ask(fake, time_in_ms="true")
    assert isinstance(plain.events[0]["properties"]["mp_processing_time_ms"], int)
    for seconds, milliseconds in zip(plain.events, in_ms.events, strict=True):
        assert len(str(milliseconds["properties"]["time"])) == 13
        assert milliseconds["properties"].pop("time") // 1000 == seconds["properties"].pop("time")
        assert milliseconds == seconds


async def test_item_06_time_not_in_milliseconds(ask):
    async with FakeMixpanel(EDGES) as fake:
        assert (await ask(fake, time_in_ms="false")).body == (await ask(fake)).body


async def test_item_05_generated_times_in_ms(ask):
    async with FakeMixpanel(GeneratedEvents(per_day=1000)) as fake:
        plain, in_ms = await ask(fake), await ask(fake, time_in_ms="true")
    rests = set()
    for seconds, milliseconds in zip(plain.events, in_ms.events, strict=True):
        second, rest = divmod(milliseconds["properties"].pop("time"), 1000)
        assert seconds["properties"].pop("time") == second
        assert milliseconds == seconds
        rests.add(rest)
    assert len(rests) > 500


async def test_the_truth_is_in_the_unit_that_is_asked_for(ask):
    async with FakeMixpanel(GeneratedEvents(per_day=1000), limits=None) as fake:
        for shown, truth in ((None, False), ("true", True)):
            reply = await ask(fake, time_in_ms=shown)
            assert reply.lines == list(fake.truth_lines(DAY, DAY, time_in_ms=truth))
            assert reply.events == list(fake.truth(DAY, DAY, time_in_ms=truth))


async def test_milliseconds_may_be_ignored(ask):
    async with FakeMixpanel(GeneratedEvents(per_day=100), limits=None, cache=True) as fake:
        in_ms = await ask(fake, time_in_ms="true")
        fake.ignores_time_in_ms = True
        assert (await ask(fake, time_in_ms="true")).lines == list(fake.truth_lines(DAY, DAY)) != in_ms.lines


async def test_raw_lines_and_bodies_are_sent_unchanged(ask):
    raw = [b'{"event":"E","properties":{"time":%d}}' % time for time in (1769904000, 1769904000123)]
    source = GivenEvents([at(f"{DAY}T10:00:00")], lines={DAY: raw}, bodies={DAY: raw[1] + b"\n" + raw[0]})
    for shuffle in (False, True):
        async with FakeMixpanel(source, limits=None, shuffle=shuffle) as fake:
            for params in (
                {},
                {"time_in_ms": "true"},
                {"event": '["E"]'},
                {"where": 'properties["$time"] > datetime(0)'},
            ):
                lines = (await ask(fake, **params)).lines
                assert sorted(set(lines) & set(raw)) == sorted(raw)
                assert lines[-2:] == raw[::-1]


async def test_where_compares_times_to_the_millisecond(ask):
    given = [{"event": "E", "properties": {"time": 1769904000000 + n, "n": n}} for n in (0, 400, 1000)]
    raw = [b'{"event":"E","properties":{"time":%d,"n":7}}' % time for time in (1769904000, 1769904001)]
    async with FakeMixpanel(GivenEvents(given, lines={DAY: raw}), limits=None) as fake:
        for params in ({}, {"time_in_ms": "true"}):
            reply = await ask(fake, where=f'properties["$time"] > datetime("{DAY}T00:00:00")', **params)
            assert [event["properties"]["n"] for event in reply.events] == [400, 1000, 7]


async def test_item_07_event_filter(ask):
    names = ["A", "a", 'B "quoted"', "支払い", "$mp_web_page_view"]
    async with FakeMixpanel([at(f"{DAY}T10:00:00", name) for name in names], limits=None) as fake:
        for chosen in (["A"], ['B "quoted"', "支払い"], ["$mp_web_page_view"], ["a", "no such"]):
            reply = await ask(fake, event=json.dumps(chosen))
            assert reply.status == 200
            assert [event["event"] for event in reply.events] == [name for name in chosen if name in names]


@pytest.mark.parametrize("event", ['["no such"]', "[]"])
async def test_item_08_events_that_nobody_sent(ask, event):
    async with FakeMixpanel(EDGES) as fake:
        reply = await ask(fake, event=event)
    assert (reply.status, reply.body) == (200, b"")


async def test_item_09_limit(ask):
    async with FakeMixpanel(GeneratedEvents(per_day=700)) as fake:
        assert len((await ask(fake, limit=10)).events) == 10
        assert len((await ask(fake, limit=600)).events) == 600
        assert len((await ask(fake, limit=100_000)).events) == 700


async def test_item_15_large_bodies_are_gzipped_where_accepted(ask):
    async with FakeMixpanel(GeneratedEvents(per_day=2000)) as fake:
        plain, packed = await ask(fake), await ask(fake, encoding="gzip, deflate")
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.text == plain.body
    piecewise = zlib.decompressobj(31)
    assert b"".join(piecewise.decompress(packed.body[i : i + 99]) for i in range(0, len(packed.body), 99)) == plain.body


@pytest.mark.parametrize(("size", "encoding"), [(1400, None), (1401, "gzip")])
async def test_item_16_small_bodies_are_not_gzipped(ask, size, encoding):
    async with FakeMixpanel(GivenEvents(bodies={DAY: b"x" * size})) as fake:
        reply = await ask(fake, encoding="gzip")
    assert reply.headers.get("content-encoding") == encoding
    assert reply.text == b"x" * size


@pytest.mark.parametrize("encoding", ["identity", "br, zstd", "gzip;q=0, deflate", ""])
async def test_item_17_plain_where_gzip_is_not_accepted(ask, encoding):
    async with FakeMixpanel(GeneratedEvents(per_day=50)) as fake:
        reply = await ask(fake, encoding=encoding)
    assert "content-encoding" not in reply.headers
    assert len(reply.events) == 50


EVENT = at(f"{DAY}T10:00:00")


async def test_item_18_repeated_rows_stay(ask):
    async with FakeMixpanel([EVENT, EVENT]) as fake:
        assert (await ask(fake)).events == [EVENT, EVENT]


async def test_item_19_an_insert_id_of_two_events(ask):
    given = [EVENT, EVENT | {"event": "Other"}]
    async with FakeMixpanel(given) as fake:
        assert (await ask(fake)).events == given


async def test_item_20_what_lacks_is_not_made_up(ask):
    bare = {"time": EVENT["properties"]["time"]}
    given = [{"event": "E", "properties": bare | more} for more in ({}, {"distinct_id": ""}, {"distinct_id": "u"})]
    async with FakeMixpanel(given) as fake:
        assert (await ask(fake)).events == given


async def test_item_21_any_value_travels_on_one_line(ask):
    values = {
        "nested": {"a": [{"b": None}, [1, "2", 3.5]]},
        "float": 0.1 + 0.2,
        "big": 2**63 + 1,
        "emoji": "👩‍👩‍👧",
        "separator": "a\u2028b\u0085c\x00d\r\ne",
        "long": "ü" * 255_000,
        'odd "name". $': True,
        "Plan": 1,
        "plan": "1",
        "alone": "\ud83d",
    }
    async with FakeMixpanel([at(f"{DAY}T10:00:00", **values), at(f"{DAY}T10:00:01", Plan="x")]) as fake:
        reply = await ask(fake)
    assert len(reply.lines) == 2
    assert {name: reply.events[0]["properties"][name] for name in values} == values


async def test_item_21_raw_lines_and_bodies_travel_untouched(ask):
    lines = [b'{"bad utf-8":"\xff"}', b"", b'{"crlf":1}\r\n', b"NaN", b'{"\\ud83d":1}', b"x" * 10_000_000]
    source = GivenEvents(lines={DAY: lines}, bodies={DAY: b"\xef\xbb\xbf{}", "2026-02-02": b"{}\n\n"})
    async with FakeMixpanel(source) as fake:
        reply = await ask(fake, DAY, "2026-02-02", encoding="gzip")
    sent = b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines)
    assert reply.text == sent + b"\xef\xbb\xbf{}{}\n\n"


async def test_item_22_by_day_but_not_by_time(ask):
    async with FakeMixpanel(GeneratedEvents(per_day=1200)) as fake:
        once, again = await ask(fake, DAY, "2026-02-02"), await ask(fake, DAY, "2026-02-02")
    times = [event["properties"]["time"] for event in once.events]
    days = [time // 86_400 for time in times]
    assert days == sorted(days)
    assert times[:1200] != sorted(times[:1200])
    assert once.body == again.body


@pytest.mark.parametrize("given", [True, False])
async def test_item_22_every_call_may_be_ordered_differently(ask, given):
    source = GivenEvents([at(f"{DAY}T10:00:{s:02}") for s in range(60)]) if given else GeneratedEvents(per_day=1200)
    async with FakeMixpanel(source, shuffle=True) as fake:
        once, again = await ask(fake), await ask(fake)
        assert once.lines != again.lines
        assert sorted(once.lines) == sorted(again.lines) == sorted(fake.truth_lines(DAY, DAY))


async def test_item_23_late_events_are_there_once_the_clock_is(ask):
    clock = FakeClock("2026-02-03")
    given = [at(f"{DAY}T10:00:00"), at(f"{DAY}T11:00:00", mp_processing_time_ms=1770206400000)]  # 02-04T12:00
    async with FakeMixpanel(given, clock=clock) as fake:
        before = await ask(fake)
        clock.now = "2026-02-04"
        after = await ask(fake)
    assert before.events == given[:1]
    assert after.events == given


async def test_item_23_generated_late_events_add_up(ask):
    clock = FakeClock("2026-02-03")
    async with FakeMixpanel(GeneratedEvents(per_day=800, late=0.2), clock=clock, limits=None) as fake:
        counts = []
        for day in range(3, 9):
            clock.now = f"2026-02-0{day}"
            reply = await ask(fake)
            counts.append(len(reply.lines))
            assert reply.lines == list(fake.truth_lines(DAY, DAY))
    assert counts == sorted(counts)
    assert counts[0] < counts[2] < counts[-1] == 800


async def test_item_24_rekeyed_rows(ask):
    clock = FakeClock("2026-02-03")
    source = GeneratedEvents(per_day=800, rekeyed=0.5, rekeyed_on=datetime(2026, 2, 5, tzinfo=UTC).date())
    async with FakeMixpanel(source, clock=clock) as fake:
        before = (await ask(fake)).events
        clock.now = "2026-02-05"
        after = (await ask(fake)).events
    changed = 0
    for old, new in zip(before, after, strict=True):
        was, now = old["properties"], new["properties"]
        assert was.get("$insert_id") == now.get("$insert_id")
        if was != now:
            changed += 1
            assert now["$is_reshuffled"] is True
            assert now["$distinct_id_before_identity"] == was["distinct_id"] != now["distinct_id"]
    assert 60 < changed < 240


async def test_item_25_anonymous_rows(ask):
    async with FakeMixpanel(GeneratedEvents(per_day=400, missing_distinct_id=0)) as fake:
        rows = [event["properties"] for event in (await ask(fake)).events]
    anonymous = [row for row in rows if "$user_id" not in row]
    assert 0.2 < len(anonymous) / len(rows) < 0.4
    assert all(row["distinct_id"] == f"$device:{row['$device_id']}" for row in anonymous)
    assert all(row["distinct_id"] == row["$user_id"] for row in rows if "$user_id" in row)


async def test_item_29_today_is_partial(ask):
    async with FakeMixpanel(GeneratedEvents(per_day=400), today="2026-02-10") as fake:
        reply = await ask(fake, "2026-02-10")
    assert reply.status == 200
    assert 100 < len(reply.lines) < 300
    assert max(event["properties"]["time"] for event in reply.events) <= fake.clock.now.timestamp()


async def test_item_30_no_longest_range(ask):
    async with FakeMixpanel(EDGES) as fake:
        assert (await ask(fake, "2011-07-10", "2026-02-10")).events == EDGES


async def test_item_31_unknown_parameters(ask):
    async with FakeMixpanel(EDGES) as fake:
        plain, other = await ask(fake), await ask(fake, query_origin="x", bucket="", format="json")
    assert (other.status, other.body) == (200, plain.body)


async def test_item_32_trailing_slash(ask):
    async with FakeMixpanel(EDGES) as fake:
        plain, other = await ask(fake), await ask(fake, path="/api/2.0/export/")
    assert (other.status, other.body) == (200, plain.body)


@pytest.fixture
async def chosen(ask):
    """Return the ``i`` of the events that match a ``where``."""
    rows = [
        {"plan": "pro", "n": 1, "id": 1, "s": "foo bar"},
        {"plan": "free", "n": "1", "id": 3, "s": "bar"},
        {"plan": 3, "id": "1", "x": None},
    ]
    events = [at(f"{DAY}T0{hour}:00:00", i=hour, **row) for hour, row in enumerate(rows)]
    events += [at(f"{DAY}T06:00:00", i=3, x=0), at(f"{DAY}T23:59:59", i=4, plan="pro")]
    async with FakeMixpanel(events, limits=None) as fake:

        async def chosen(where, **params):
            reply = await ask(fake, where=where, **params)
            assert reply.status == 200
            return [event["properties"]["i"] for event in reply.events]

        yield chosen


async def test_item_10_where_is_strict_about_types(chosen):
    assert await chosen('properties["plan"] == "pro"') == [0, 4]
    assert await chosen('properties["n"] == "1"') == [1]
    assert await chosen('properties["n"] == 1') == [0]


async def test_item_11_where_follows_the_grammar(chosen):
    assert await chosen('not defined(properties["x"])') == [0, 1, 2, 4]
    assert await chosen('properties["id"] in [1,2]') == [0]
    assert await chosen('"foo" in properties["s"]') == [0]
    assert await chosen('defined(properties["s"]) and properties["n"] == 1 or (properties["plan"] == 3)') == [0, 2]
    assert await chosen('properties["plan"] == "pro"', event='["Signed up"]', limit=1) == [0]


async def test_item_12_where_by_time_is_half_open(chosen):
    def between(start, end):
        return f'properties["$time"]>=datetime({start}) and properties["$time"]<datetime({end})'

    midnight = 1_769_904_000
    assert await chosen(between(midnight, midnight + 3600)) == [0]
    assert await chosen(between(midnight + 3600, midnight + 6 * 3600)) == [1, 2]
    assert await chosen(between(midnight + 3601, midnight + 6 * 3600 + 1)) == [2, 3]
    assert await chosen(f'properties["time"] >= {midnight}') == []


async def test_item_13_where_by_the_events_time(chosen):
    assert await chosen(f'event["$time"] >= datetime("{DAY}T06:00:00")') == [3, 4]
    assert await chosen(f'event["$time"] > datetime("{DAY}T06:00:00")', time_in_ms="true") == [4]


async def test_item_14_where_finds_late_arrivals(ask):
    late = 1_770_206_400_000  # 2026-02-04T12:00Z
    given = [at(f"{DAY}T10:00:00"), at(f"{DAY}T11:00:00", mp_processing_time_ms=late)]
    async with FakeMixpanel(given) as fake:
        reply = await ask(fake, where=f'properties["mp_processing_time_ms"] > {late - 1}')
        assert reply.events == given[1:]
        assert not (await ask(fake, where=f'(number(properties["mp_processing_time_ms"]) > {late})')).events


async def test_where_may_ask_for_the_profile(ask):
    profiles = GivenProfiles([{"$distinct_id": "u1", "$properties": {"plan": "pro"}}])
    given = [at(f"{DAY}T10:00:00"), at(f"{DAY}T11:00:00", distinct_id="u2"), at(f"{DAY}T12:00:00", distinct_id=7)]
    async with FakeMixpanel(given, profiles=profiles, cache=True, limits=None) as fake:
        assert (await ask(fake, where='user["plan"] == "pro"')).events == given[:1]
        profiles.set("u2", {"plan": "pro"})
        assert (await ask(fake, where='user["plan"] == "pro"')).events == given[:2]


async def test_where_leaves_alone_what_is_no_event(ask):
    lines = [b"no json", b"[1]", b'{"error":"x"}']
    async with FakeMixpanel(GivenEvents(lines={DAY: lines})) as fake:
        assert (await ask(fake, where="true")).lines == lines[:2]


@pytest.fixture
def export_twice(ask):
    """Send the same request at two times; return both lists of events, after comparing them with the truth."""

    async def export_twice(source, before, after):
        clock = FakeClock(before)
        async with FakeMixpanel(source, clock=clock, cache=True) as fake:
            answers = []
            for moment in (before, after):
                clock.now = moment
                reply = await ask(fake)
                assert reply.lines == list(fake.truth_lines(DAY, DAY))
                answers.append(reply.events)
        return answers

    return export_twice


def identified(event):
    properties = event["properties"]
    return (event["event"], properties.get("distinct_id"), properties["time"], properties.get("$insert_id"))


async def test_item_78_compaction_leaves_fewer_rows(export_twice):
    source = GeneratedEvents(per_day=1500, duplicates=0.1, compacted_after=3)
    before, same = await export_twice(source, "2026-02-03", "2026-02-04T23:59:59")
    assert before == same
    before, after = await export_twice(source, "2026-02-03", "2026-02-05T00:00:00")
    assert 50 < len(before) - len(after) < 250
    assert {identified(event) for event in before} == {identified(event) for event in after}
    with_id = [identified(event) for event in after if "$insert_id" in event["properties"]]
    assert len(with_id) == len(set(with_id))


async def test_item_78_late_rows_are_more_rows(export_twice):
    before, after = await export_twice(GeneratedEvents(per_day=500, late=0.2), "2026-02-02T12:00:00", "2026-02-08")
    assert len(before) + 50 < len(after) == 500
    assert [event for event in after if event in before] == before


async def test_item_78_the_same_rows_with_other_distinct_ids(export_twice):
    source = GeneratedEvents(per_day=500, rekeyed=0.5, rekeyed_on=date(2026, 2, 5))
    before, after = await export_twice(source, "2026-02-04", "2026-02-05")
    assert before != after
    pairs = list(zip(before, after, strict=True))
    for name in ("time", "$insert_id", "sequence"):
        assert all(old["properties"].get(name) == new["properties"].get(name) for old, new in pairs)


async def test_cache_changes_nothing_but_the_time_it_takes(ask):
    async with FakeMixpanel(GeneratedEvents(per_day=900, late=0.1), cache=True, limits=None) as fake:
        first = await ask(fake, encoding="gzip")
        second = await ask(fake, encoding="gzip")
        plain = await ask(fake)
        filtered = await ask(fake, event='["Page View"]')
        fake.clock.now = "2026-02-01"
        earlier = await ask(fake)
    assert first.body == second.body
    assert first.text == plain.body
    assert 0 < len(filtered.lines) < 900
    assert len(earlier.lines) < 900
