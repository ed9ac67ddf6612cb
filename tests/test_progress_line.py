"""What a bar says at each width: no number is ever cut."""

from __future__ import annotations

import datetime as dt
import re

import pytest

from mixpanel_async import FetchProgress
from mixpanel_async.progress_line import line

UNTIL = dt.datetime(2026, 1, 1, 14, 32, 7, tzinfo=dt.timezone(dt.timedelta(hours=2)))
WAITING = {"waiting_until": UNTIL, "waiting_for": "the limit of 60 exports an hour"}


def said(now, columns, *, table="events", chunks="chunks", elapsed="01:12", rate=2_345_678.9):
    return line(now, columns, table=table, chunks=chunks, elapsed=elapsed, rate=rate)


RUNS = FetchProgress(30, 12, 123_456, 99_999_999)
RETRIES = FetchProgress(30, 12, 123_456, 99_999_999, retries=3)
FAILS = FetchProgress(30, 12, 1_234_567, 99_999_999, retries=1, failed_chunks=2)
WAITS = FetchProgress(30, 12, 123_456, 99_999_999, **WAITING)
FAILS_AND_WAITS = FetchProgress(30, 12, 1_234_567, 99_999_999, retries=1, failed_chunks=2, **WAITING)
ALL = FetchProgress(1200, 1100, 1_234_567_890, 99_999_999, retries=12, failed_chunks=2, **WAITING)


@pytest.mark.parametrize(
    ("now", "columns", "expected"),
    [
        (RUNS, 120, "events: {bar} 12/30 chunks, 123,456 rows, 2.3 MB/s, 01:12"),
        (RUNS, 77, "events: {bar} 12/30 chunks, 123,456 rows, 2.3 MB/s, 01:12"),
        (RUNS, 57, "events: {bar} 12/30 chunks, 123,456 rows, 2.3 MB/s, 01:12"),
        (RUNS, 56, "{bar} 12/30 chunks, 123,456 rows, 2.3 MB/s, 01:12"),
        (RUNS, 43, "12/30 chunks, 123,456 rows, 2.3 MB/s, 01:12"),
        (RUNS, 42, "{bar} 12/30 chunks, 123,456 rows, 01:12"),
        (RUNS, 37, "12/30 chunks, 123,456 rows, 01:12"),
        (RUNS, 32, "{bar} 12/30 chunks, 123,456 rows"),
        (RUNS, 26, "12/30 chunks, 123,456 rows"),
        (RUNS, 20, "12/30 chunks, 01:12"),
        (RETRIES, 80, "events: {bar} 12/30 chunks, 123,456 rows, 2.3 MB/s, 01:12, 3 retries"),
        (RETRIES, 37, "12/30 chunks, 123,456 rows, 3 retries"),
        (RETRIES, 36, "12/30 chunks, 123,456 rows, 01:12"),
        (FAILS, 120, "events: {bar} 12/30 chunks, 1,234,567 rows, 2.3 MB/s, 01:12, 1 retry, 2 failed"),
        (FAILS, 77, "{bar} 12/30 chunks, 1,234,567 rows, 2.3 MB/s, 01:12, 1 retry, 2 failed"),
        (FAILS, 38, "12/30 chunks, 1,234,567 rows, 2 failed"),
        (FAILS, 37, "{bar} 12/30 chunks, 1 retry, 2 failed"),
        (FAILS, 20, "12/30, 2 failed"),
        (WAITS, 120, "events: {bar} 12/30 chunks, 123,456 rows, 2.3 MB/s, 01:12, waiting until 14:32 for the limit of 60 exports an hour"),
        (WAITS, 77, "12/30 chunks, 01:12, waiting until 14:32 for the limit of 60 exports an hour"),
        (WAITS, 68, "{bar} 12/30, waiting until 14:32 for the limit of 60 exports an hour"),
        (WAITS, 40, "12/30 chunks, 01:12, waiting until 14:32"),
        (WAITS, 37, "12/30 chunks, waiting until 14:32"),
        (WAITS, 30, "12/30, waiting until 14:32"),
        (WAITS, 20, "12/30 chunks, 01:12"),
        (FAILS_AND_WAITS, 79, "12/30 chunks, 2 failed, waiting until 14:32 for the limit of 60 exports an hour"),
        (FAILS_AND_WAITS, 78, "{bar} 12/30, 2 failed, waiting until 14:32 for the limit of 60 exports an hour"),
        (FAILS_AND_WAITS, 71, "12/30 chunks, 1,234,567 rows, 1 retry, 2 failed, waiting until 14:32"),
        (FAILS_AND_WAITS, 38, "12/30, 2 failed, waiting until 14:32"),
        (ALL, 120, "1,100/1,200 chunks, 1,234,567,890 rows, 12 retries, 2 failed, waiting until 14:32 for the limit of 60 exports an hour"),
        (FetchProgress(30), 77, "events: {bar} 0/30 chunks, 01:12"),
        (FetchProgress(1, 1, 0), 77, "events: {bar} 1/1 chunks, 0 rows, 01:12"),
    ],
)  # fmt: skip
def test_what_it_says(now, columns, expected):
    assert said(now, columns, rate=2_345_678.9 if now.bytes else 0) == expected


NUMBER = re.compile(r"\d(?:[\d,.:/]*\d)?")


@pytest.mark.parametrize("now", [FetchProgress(30), RUNS, RETRIES, FAILS, WAITS, ALL])
def test_no_number_is_cut_however_narrow_the_terminal(now):
    numbers, count = set(NUMBER.findall(said(now, None))), f"{now.chunks:,}/{now.total_chunks:,}"
    for columns in range(121):
        shown = said(now, columns)
        assert len(shown.replace("{bar}", "#" * 5)) <= columns
        assert set(NUMBER.findall(shown)) <= numbers
        assert (count in shown) == (columns >= len(count))


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (40, ""),
        (100, ", 0.1 kB/s"),
        (99_900, ", 99.9 kB/s"),
        (100_000, ", 0.1 MB/s"),
        (1.2345e9, ", 1,234.5 MB/s"),
    ],
)
def test_bytes_a_second(rate, text):
    assert said(FetchProgress(2), None, rate=rate) == f"events: {{bar}} 0/2 chunks{text}, 01:12"


def test_a_wide_character_takes_two_columns():
    assert said(FetchProgress(2), 29, table="事件", rate=0) == "事件: {bar} 0/2 chunks, 01:12"
    assert said(FetchProgress(2), 28, table="事件", rate=0) == "{bar} 0/2 chunks, 01:12"
