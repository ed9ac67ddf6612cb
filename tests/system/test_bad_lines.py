"""Lines that exports of the field were seen to have: bad ones, and ones by which Mixpanel broke off. In each place of a
body, for tables and for streams.
"""

from __future__ import annotations

import gzip
import json

import duckdb
import pytest

from mixpanel_async import ConnectionLostError, ExportError, MixpanelClient
from mixpanel_async.decode import lines as line_limits
from tests.matrix.conftest import NOON, event, query, text_of
from tests.matrix.raw import RawServer, chunked, until_close, with_length

from .conftest import client_of

__all__ = ["client_of"]

DAY = {"from_date": "2026-01-01", "to_date": "2026-01-01"}
GOOD = [event(number) for number in range(100)]

BROKEN = {
    "half an event": GOOD[0][:50],
    "words": b"this is not an event",
    "a raw tab and a quote": GOOD[0][:-3] + b'\t"x"}}',
    "a bad escape": GOOD[0][:-3] + b'\\x"}}',
    "an open text": GOOD[0][:-3] + b"}}",
}


async def table_of(client: MixpanelClient, path):
    """The events' numbers, and the rejected lines in order."""
    result = await client.fetch_events(**DAY)
    numbers = query(path, "SELECT insert_id FROM events ORDER BY rowid")
    rejected = query(path, "SELECT line FROM _mixpanel_rejected ORDER BY line_number")
    assert (result.rows, result.rejected_rows) == (len(numbers), len(rejected))
    return [number for (number,) in numbers], [line for (line,) in rejected]


async def dicts_of(client: MixpanelClient, _):
    rejected = []
    stream = client.stream_events(**DAY, on_rejected=lambda error: rejected.append(error.line))
    return [each["insert_id"] async for each in stream], rejected


async def batches_of(client: MixpanelClient, _):
    rejected = []
    stream = client.stream_batches(**DAY, on_rejected=lambda error: rejected.append(error.line))
    batches = [batch async for batch in stream]
    return [number for batch in batches for number in batch.column("insert_id").to_pylist()], rejected


ways = pytest.mark.parametrize("read", [table_of, dicts_of, batches_of])
framings = pytest.mark.parametrize(
    "framed",
    [lambda text: with_length(gzip.compress(text)), lambda text: chunked(gzip.compress(text)),
     lambda text: with_length(text, encoding=None)],
    ids=["length", "chunks", "plain"],
)  # fmt: skip
IDS = [f"id {number}" for number in range(100)]


@ways
@framings
@pytest.mark.parametrize("place", [0, 50, 100])
@pytest.mark.parametrize("bad", BROKEN.values(), ids=BROKEN)
async def test_a_bad_line_costs_only_itself_also_at_the_end_of_a_whole_body(client_of, path, read, framed, place, bad):
    body = text_of(*GOOD[:place], bad, *GOOD[place:])
    async with RawServer(framed(body)) as server:
        assert await read(client_of(server), path) == (IDS, [bad])
        assert len(server.requests) == (2 if place == 100 else 1)


@ways
async def test_a_last_line_that_differs_between_attempts_is_cut(client_of, path, read):
    cuts = [text_of(*GOOD[:-1], GOOD[-1][:size]) for size in (30, 60)]
    async with RawServer(*[with_length(gzip.compress(cut)) for cut in cuts], with_length(text_of(*GOOD))) as server:
        assert await read(client_of(server), path) == (IDS, [])
        assert len(server.requests) == 3


@ways
@pytest.mark.parametrize(
    "broken_off",
    [with_length(gzip.compress(text_of(*GOOD)[:-9])), until_close(text_of(*GOOD[:-1], GOOD[-1][:40]), encoding=None)],
    ids=["without a line break", "without a frame"],
)
async def test_what_may_be_cut_is_never_a_bad_line(client_of, path, read, broken_off):
    async with RawServer(broken_off) as server:
        with pytest.raises(ConnectionLostError, match="last line is not whole"):
            await read(client_of(server), path)
        assert len(server.requests) == 3


async def test_a_bad_line_at_the_end_of_a_day_does_not_lose_its_week(client_of, path):
    """The fourth day ends with a bad line; the week breaks off twice, and is requested in halves."""

    def answer(request):
        first, last = (int(request.params[name][-2:]) for name in ("from_date", "to_date"))
        days = [GOOD[10 * day : 10 * day + 10] for day in range(first, last + 1)]
        text = text_of(*[line for day in days for line in day], *([b'{"event":"half'] if last == 4 else []))
        return with_length(gzip.compress(text)[:-4] if last - first == 6 else gzip.compress(text))

    week = {"from_date": "2026-01-01", "to_date": "2026-01-07"}
    async with RawServer(answer) as server:
        result = await client_of(server).fetch_events(**week)
        assert (result.rows, result.rejected_rows) == (70, 1)
        assert len(server.requests) == 2 + 2 + 1


BREAK_OFFS = [
    b'"terminated early"', b"[terminated early]", b'{"status":"error","message":"Internal server error"}',
    b'{"message":"upstream timed out","code":503}', b"null", b"{}", b'"done"', b"[]", b"17",
]  # fmt: skip


@ways
@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("line", BREAK_OFFS)
async def test_a_last_line_that_is_json_and_no_event_is_a_response_that_broke_off(client_of, path, read, line, end):
    body = text_of(*GOOD[:25]) + line + end
    async with RawServer(with_length(gzip.compress(body))) as server:
        with pytest.raises(Exception, match="Mixpanel broke off its response") as caught:
            await read(client_of(server), path)
        assert len(server.requests) == 3
    words = line.decode().strip('"[]{}')
    assert json.loads(line)["message"] in str(caught.value) if b"message" in line else words in str(caught.value)
    async with RawServer(with_length(gzip.compress(body)), with_length(text_of(*GOOD))) as server:
        assert await read(client_of(server), path) == (IDS, [])


TEXTS = {
    "two breaks": "a\nb\nc",
    "five breaks": "\n1\n2\n3\n4\n",
    "an empty line": "a\n\nb",
    "CR LF": "a\r\nb\r\n",
    "words of a break-off": "x\nterminated early\nnull\n",
}


@pytest.mark.parametrize("place", [0, 50, 99])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_raw_line_breaks_in_a_text_keep_the_event_and_its_text(client_of, path, text, place):
    lines = list(GOOD)
    lines[place] = lines[place].replace(b'{"time"', b'{"x":"%s","time"' % text.encode())
    async with RawServer(with_length(gzip.compress(text_of(*lines)))) as server:
        client = client_of(server)
        assert await table_of(client, path) == (IDS, [])
        assert query(path, "SELECT properties->>'x' FROM events WHERE (properties->>'x') IS NOT NULL") == [(text,)]
        raw = [each async for each in client.stream_events(**DAY, raw=True)]
        assert raw[place]["properties"]["x"] == text
        assert [each["properties"]["$insert_id"] for each in raw] == IDS
        dicts = [each async for each in client.stream_events(**DAY)]
        assert dicts[place]["properties"] == raw[place]["properties"]
        [batch] = [each async for each in client.stream_batches(**DAY)]
        assert json.loads(batch.column("properties")[place].as_py()) == raw[place]["properties"]
        assert len(server.requests) == 4


@ways
@pytest.mark.parametrize("place", [0, 50, 100])
async def test_lines_that_are_no_event_together_are_all_kept_in_order(client_of, path, read, place):
    pieces = [b'{"event":"Opened","properties":{"x":"a', b"", b"b\t", b'"}}']
    body = text_of(*GOOD[:place], *pieces, *GOOD[place:])
    async with RawServer(with_length(gzip.compress(body))) as server:
        assert await read(client_of(server), path) == (IDS, pieces)


@ways
@pytest.mark.parametrize("place", [0, 1, 50, 99])
async def test_a_byte_order_mark_before_any_line_is_no_part_of_it(client_of, path, read, place):
    lines = [b"\xef\xbb\xbf" + line if number == place else line for number, line in enumerate(GOOD)]
    async with RawServer(with_length(gzip.compress(text_of(*lines)))) as server:
        assert await read(client_of(server), path) == (IDS, [])


@ways
@pytest.mark.parametrize("place", [0, 50, 100])
async def test_a_line_that_is_too_long_is_rejected_and_the_day_lands(client_of, path, read, place, monkeypatch):
    monkeypatch.setattr(line_limits, "LINE_MAX", 1 << 20)
    long = b'{"event":"long","properties":{"x":"' + b"x" * (8 << 20) + b'"}}'
    body = text_of(*GOOD[:place], long, *GOOD[place:])
    async with RawServer(with_length(gzip.compress(body))) as server:
        assert await read(client_of(server), path) == (IDS, [long[:500]])
        assert len(server.requests) == 1


@ways
async def test_a_body_whose_end_is_not_marked_confirms_no_bad_line(client_of, path, read):
    """The second attempt has the same last line, but nothing proves that nothing followed it."""
    bad = b"half an event"
    whole = with_length(text_of(*GOOD, bad), encoding=None)
    async with RawServer(whole, until_close(text_of(GOOD[0], bad), encoding=None), whole) as server:
        assert await read(client_of(server), path) == (IDS, [bad])
        assert len(server.requests) == 3


@pytest.mark.parametrize("good", range(330, 346))
async def test_a_stream_yields_nothing_of_a_chunk_that_fails(client_of, path, good):
    """A truncated line at the end of a small block, then an event that was cut apart, then a break-off."""
    lines = [event(number) + b" " * 44 for number in range(good)]
    cut_apart = event(1000).replace(b'{"time"', b'{"x":"a\nterminated early\nb","time"')
    body = text_of(*lines, GOOD[0][:60], cut_apart, *[event(number) for number in range(2000, 2020)])
    async with RawServer(with_length(gzip.compress(body))) as server:
        assert await table_of(client_of(server), path) == await dicts_of(client_of(server), path)
    async with RawServer(with_length(gzip.compress(body + b"terminated early\n"))) as server:
        events = []
        with pytest.raises(ConnectionLostError, match="2026-01-01") as caught:
            async for each in client_of(server).stream_events(**DAY, on_rejected=print):
                events.append(each)  # noqa: PERF401 - what came before the error
        assert (events, caught.value.from_date) == ([], "2026-01-01")


@ways
async def test_two_events_on_one_line_are_a_bad_line(client_of, path, read):
    lines = [GOOD[0], GOOD[1] + GOOD[2], b"", GOOD[3]]
    async with RawServer(with_length(gzip.compress(text_of(*lines)))) as server:
        assert await read(client_of(server), path) == (["id 0", "id 3"], [lines[1]])


# A chunk of which no line is an event

WEEK = {"from_date": "2026-01-01", "to_date": "2026-01-03", "parallel": True, "chunk_days": 1}
SECOND = event(1, time=NOON + 86_400_000)
BAD = [b'{"event":"a","properties":{"time":"%d ms"}}' % number for number in range(1000)]


def days(bad_day, bad=BAD):
    def answer(request):
        day = request.params["from_date"]
        good = [event(number, time=NOON + 86_400_000 * (int(day[-2:]) - 1)) for number in range(100)]
        return with_length(gzip.compress(text_of(*(bad if day == bad_day else good))))

    return answer


KEPT = "SELECT from_date::VARCHAR, count(*), any_value(chunk_failed) FROM _mixpanel_rejected GROUP BY ALL ORDER BY 1"


async def test_a_chunk_of_which_no_line_is_an_event_fails_and_its_lines_are_kept(client_of, path, caplog):
    heard, told = [], []
    async with RawServer(days("2026-01-02")) as server:
        result = await client_of(server).fetch_events(**WEEK, on_batch_complete=heard.append, progress=told.append)
        assert len(server.requests) == 3
    assert (result.total_rows, result.rejected_rows) == (200, 1000)
    assert (told[-1].chunks, told[-1].rows, told[-1].rejected_rows) == (3, 200, 1000)
    assert result.failed_date_ranges == (("2026-01-02", "2026-01-02"),)
    [failure] = result.failures
    assert failure.error == (
        'none of 1000 lines is an event; they are kept in _mixpanel_rejected. The first: no usable time: "0 ms".'
    )
    assert [each.error for each in heard if not each.success] == [failure.error]
    assert f"{failure.error} The other chunks go on" in caplog.text
    assert query(path, "SELECT line FROM _mixpanel_rejected ORDER BY line_number") == [(line,) for line in BAD]
    assert query(path, KEPT) == [("2026-01-02", 1000, True)]

    async with RawServer(days("2026-01-02", BAD[:7])) as server:  # again, with fewer lines
        with pytest.raises(ExportError, match="none of 7 lines is an event"):
            await client_of(server).fetch_events(**WEEK, resume=True)
    assert query(path, KEPT) == [("2026-01-02", 7, True)]

    async with RawServer(days("none")) as server:
        assert not (await client_of(server).fetch_events(**WEEK, resume=True)).has_failures
    assert query(path, KEPT) == []
    assert query(path, "SELECT count(*) FROM events") == [(300,)]


async def test_old_rows_stay_where_no_line_is_an_event(client_of, path):
    async with RawServer(days("2026-01-02", [BAD[0], SECOND])) as server:
        assert (await client_of(server).fetch_events(**WEEK)).rejected_rows == 1
    before = query(path, "FROM events"), query(path, "FROM _mixpanel_chunks")
    async with RawServer(days("2026-01-02", BAD[:5])) as server:
        again = {**WEEK, "from_date": "2026-01-02", "to_date": "2026-01-02"}
        with pytest.raises(ExportError, match="none of 5 lines is an event"):
            await client_of(server).fetch_events(**again, append=True)
    assert (query(path, "FROM events"), query(path, "FROM _mixpanel_chunks")) == before
    kept = query(path, "SELECT chunk_failed, count(*) FROM _mixpanel_rejected GROUP BY ALL ORDER BY 1")
    assert kept == [(False, 1), (True, 5)]
    async with RawServer(days("2026-01-02", [*BAD[:2], SECOND])) as server:
        assert (await client_of(server).fetch_events(**again, append=True)).rejected_rows == 2
    assert query(path, KEPT) == [("2026-01-02", 2, False)]


@pytest.mark.parametrize("parallel", [False, True])
async def test_the_lines_are_kept_also_if_nothing_else_came(client_of, path, parallel):
    async with RawServer(days("2026-01-01")) as server:
        with pytest.raises(ExportError, match="none of 1000 lines is an event"):
            await client_of(server).fetch_events(**DAY, parallel=parallel)
    assert query(path, KEPT) == [("2026-01-01", 1000, True)]
    async with RawServer(days("none")) as server:
        await client_of(server).fetch_events(from_date="2026-01-02", to_date="2026-01-02")
    assert query(path, KEPT) == [("2026-01-01", 1000, True)]
    with duckdb.connect(str(path)) as connection:
        connection.execute("DROP TABLE events")
    async with RawServer(days("none")) as server:
        assert (await client_of(server).fetch_events(**DAY)).rows == 100  # the table can be created
    assert query(path, KEPT) == []
