"""Bodies: cut, damaged, strangely framed or packed. What is not proven whole is asked for again and leaves nothing."""

from __future__ import annotations

import datetime as dt
import gzip
import zlib

import pytest

from mixpanel_async import ConnectionLostError, RetryPolicy, ServerError

from .conftest import (
    DAY,
    EMPTY,
    GZ,
    LINES,
    ONE_DAY,
    TEXT,
    WHOLE,
    asked_again,
    holds_the_day,
    journal,
    text_of,
)
from .raw import RawServer, chunked, hang_up, head, until_close, with_length

HALF = len(GZ) // 2
ON_TRUST = "neither its length nor an end mark"


def flipped(body: bytes, place: int) -> bytes:
    return body[: place % len(body)] + bytes([body[place] ^ 0xFF]) + body[place % len(body) + 1 :]


async def fetched(client_of, *answers, **arguments):
    """Fetch the day from these answers; gives the server."""
    async with RawServer(*answers) as server:
        await client_of(server).fetch_events(**ONE_DAY, **arguments)
    return server


async def test_row_01_gzip_cut_and_the_connection_closed_as_if_all_were_said(client_of, path):
    lost = await asked_again(client_of, path, until_close(GZ[:HALF]))
    assert "ends without a trailer" in str(lost)


async def test_row_02_gzip_cut_and_the_chunks_ended_as_if_all_were_said(client_of, path):
    lost = await asked_again(client_of, path, chunked(GZ[:HALF]))
    assert "ends without a trailer" in str(lost)


async def test_row_03_gzip_cut_and_a_length_that_fits_the_cut(client_of, path):
    lost = await asked_again(client_of, path, with_length(GZ[:HALF]))
    assert "ends without a trailer" in str(lost)


@pytest.mark.parametrize("sent", [GZ[:HALF], GZ])
async def test_row_04_fewer_bytes_than_the_length_says(client_of, path, sent):
    lost = await asked_again(client_of, path, (with_length(sent, len(GZ) + 1), hang_up))
    assert "connection broke" in str(lost)


@pytest.mark.parametrize("sent", [GZ[:HALF], GZ])
async def test_row_05_no_last_chunk(client_of, path, sent):
    lost = await asked_again(client_of, path, (chunked(sent, last=b""), hang_up))
    assert "connection broke" in str(lost)


async def test_row_06_cut_at_a_flush_behind_a_whole_line(client_of, path):
    packer = zlib.compressobj(wbits=31)
    whole_lines = packer.compress(text_of(*LINES[:20])) + packer.flush(zlib.Z_FULL_FLUSH)
    assert zlib.decompressobj(31).decompress(whole_lines) == text_of(*LINES[:20])

    lost = await asked_again(client_of, path, until_close(whole_lines))
    assert "ends without a trailer" in str(lost)


@pytest.mark.parametrize("missing", [8, 4, 1])
async def test_row_07_the_trailer_missing_in_whole_or_in_part(client_of, path, missing):
    lost = await asked_again(client_of, path, chunked(GZ[:-missing]))
    assert "ends without a trailer" in str(lost)


async def test_row_08_every_proper_prefix_is_noticed(client_of, path):
    """A chunk a day: the first is whole, and each after it gets one byte less."""
    small = gzip.compress(text_of(*LINES[:3]), mtime=0)
    days = [(dt.date.fromisoformat(DAY) + dt.timedelta(days=n)).isoformat() for n in range(len(small))]

    async with RawServer(
        lambda request: with_length(small[: len(small) - days.index(request.params["from_date"])])
    ) as server:
        client = client_of(server, retry=RetryPolicy(attempts=1))
        result = await client.fetch_events(from_date=DAY, to_date=days[-1], parallel=True, chunk_days=1)

    assert result.failed_date_ranges == tuple((day, day) for day in days[1:])
    holds_the_day(path, LINES[:3])


@pytest.mark.parametrize("place", [-6, -2], ids=["CRC", "length"])
async def test_row_09_a_wrong_check_sum_though_every_line_was_handed_on(client_of, path, place):
    lost = await asked_again(client_of, path, chunked(flipped(GZ, place)))
    assert "gzip is damaged" in str(lost)


@pytest.mark.parametrize(("place", "said"), [(HALF, "gzip is damaged"), (2, "gzip is damaged"), (0, "was cut")])
async def test_row_10_damage_in_the_middle_the_header_and_the_magic(client_of, path, place, said):
    lost = await asked_again(client_of, path, chunked(flipped(GZ, place)))
    assert said in str(lost)


async def test_row_11_all_members_of_a_gzip_are_read_wherever_packets_end(client_of, path):
    members = [gzip.compress(text_of(*LINES[at : at + 10])) for at in range(0, 40, 10)]
    body = b"".join(members)
    seam = len(members[0])
    await fetched(client_of, chunked(body[: seam - 3], body[seam - 3 : seam + 1], body[seam + 1 :]))
    holds_the_day(path)


async def test_row_12_a_cut_between_two_members_is_told_where_no_framing_can_tell_it(client_of, path, caplog):
    """Undetectable: the bytes are those of a whole answer. So what is taken on trust is logged, once a chunk."""
    cut = gzip.compress(text_of(*LINES[:20]))
    await fetched(client_of, until_close(cut))
    holds_the_day(path, LINES[:20])
    told = [record.getMessage() for record in caplog.records if record.name.startswith("mixpanel_async.")]
    assert len(told) == 1
    assert told[0].startswith(f"{DAY}: ")
    assert ON_TRUST in told[0]


async def test_row_12_with_a_length_or_chunks_the_same_cut_is_noticed_and_nothing_is_logged(client_of, path, caplog):
    cut, rest = gzip.compress(text_of(*LINES[:20])), gzip.compress(text_of(*LINES[20:]))
    await asked_again(client_of, path, (with_length(cut, len(cut + rest)), hang_up))
    assert ON_TRUST not in caplog.text


async def test_row_13_zeros_behind_the_trailer_are_padding(client_of, path):
    await fetched(client_of, chunked(GZ + bytes(64)))
    holds_the_day(path)


@pytest.mark.parametrize("garbage", [b"garbage!", b"garbage beyond a header's length"])
async def test_row_13_garbage_behind_the_trailer_is_damage(client_of, path, garbage):
    lost = await asked_again(client_of, path, chunked(GZ + garbage))
    assert "gzip" in str(lost)


@pytest.mark.parametrize("encoding", [None, "identity"])
async def test_row_14_gzip_that_no_header_names(client_of, path, encoding):
    await fetched(client_of, chunked(GZ, encoding=encoding))
    holds_the_day(path)


@pytest.mark.parametrize("encoding", ["gzip", None])
async def test_row_15_plain_lines_are_taken_whatever_the_header_says(client_of, path, encoding):
    await fetched(client_of, with_length(TEXT, encoding=encoding))
    holds_the_day(path)


async def test_row_15_a_plain_body_cut_in_a_line_is_noticed_by_the_line(client_of, path):
    lost = await asked_again(client_of, path, until_close(TEXT[:-20]))
    assert "last line is not whole" in str(lost)


async def test_row_15_a_plain_body_without_an_end_mark_is_taken_and_told(client_of, path, caplog):
    await fetched(client_of, until_close(TEXT))
    holds_the_day(path)
    assert caplog.text.count(ON_TRUST) == 1


@pytest.mark.parametrize("encoding", ["deflate", "br", "zstd", "gzip, gzip"])
async def test_row_16_an_encoding_that_was_not_asked_for(client_of, path, encoding):
    error = await asked_again(client_of, path, chunked(zlib.compress(TEXT), encoding=encoding))
    assert type(error) is ServerError
    assert repr(encoding) in str(error)


async def test_row_16_only_gzip_is_asked_for(client_of):
    server = await fetched(client_of, WHOLE)
    assert server.requests[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    "answer",
    [
        EMPTY,
        with_length(b""),
        chunked(encoding=None),
        chunked(),
        chunked(gzip.compress(b"")),
        until_close(gzip.compress(b"")),
    ],
    ids=["length 0", "length 0, gzip", "no chunk", "no chunk, gzip", "gzip of nothing", "gzip of nothing, closed"],
)
async def test_row_17_an_empty_day_is_a_success_that_a_resume_does_not_ask_for_again(client_of, path, answer):
    async with RawServer(answer) as server:
        client = client_of(server)
        result = await client.fetch_events(**ONE_DAY)
        assert result.rows == 0
        assert journal(path) == [(DAY, DAY, 0, 0)]

        await client.fetch_events(**ONE_DAY, resume=True)
        assert len(server.requests) == 1


async def test_row_17_a_gzip_answer_that_was_closed_before_its_first_byte_is_no_empty_day(client_of, path):
    lost = await asked_again(client_of, path, (head("Connection: close"), hang_up))
    assert isinstance(lost, ConnectionLostError)


async def test_row_18_a_last_line_without_a_line_break_is_an_event(client_of, path):
    await fetched(client_of, chunked(gzip.compress(TEXT[:-1])))
    holds_the_day(path)
