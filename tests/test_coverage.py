"""Coverage as a value: days of chunks, gaps, and how it prints."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from mixpanel_async.coverage import Coverage, CoveredChunk, RejectedChunk
from mixpanel_async.dates import dates_between

FETCHED_AT = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)


def chunk(first, last=None, rows=0, rejected=0, duplicates=0, *, complete=True):
    return CoveredChunk(first, last or first, rows, rejected, duplicates, FETCHED_AT, complete)


def coverage_of(*chunks, rejected=(), rows=0):
    days = (date for each in chunks for date in dates_between(each.from_date, each.to_date))
    return Coverage.of("events", chunks, dict.fromkeys(days, rows), rejected)


MIXED = coverage_of(
    chunk("2026-01-30", "2026-02-02", rejected=2),
    chunk("2026-02-05", duplicates=3),
    chunk("2026-02-06", "2026-02-07", duplicates=1),
    chunk("2026-02-09", rejected=1, complete=False),
    chunk("2026-02-10", complete=False),
    rejected=[RejectedChunk("2026-02-08", "2026-02-08", 5)],
    rows=1200,
)


def test_each_date_of_a_chunk_is_a_day():
    assert [day.date for day in MIXED.days] == [
        "2026-01-30", "2026-01-31", "2026-02-01", "2026-02-02", "2026-02-05", "2026-02-06", "2026-02-07",
        "2026-02-09", "2026-02-10",
    ]  # fmt: skip
    assert {day.fetched_at for day in MIXED.days} == {FETCHED_AT}
    assert [day.date for day in MIXED.days if not day.is_complete] == ["2026-02-09", "2026-02-10"]


def test_a_number_of_a_chunk_is_given_to_a_day_only_if_it_is_the_days():
    assert [day.rejected_rows for day in MIXED.days] == [None] * 4 + [0, 0, 0, 1, 0]
    assert [day.duplicates for day in MIXED.days] == [0] * 4 + [3, None, None, 0, 0]
    assert (MIXED.rows, MIXED.rejected_rows, MIXED.duplicates) == (9 * 1200, 3, 4)


def test_gaps_are_between_the_first_and_the_last_day():
    assert MIXED.gaps == (("2026-02-03", "2026-02-04"), ("2026-02-08", "2026-02-08"))
    assert coverage_of(chunk("2026-01-01", "2026-01-31"), chunk("2026-02-01")).gaps == ()
    assert coverage_of().gaps == ()


def test_it_is_plain_as_a_dict():
    told = MIXED.to_dict()
    assert list(told) == ["table", "days", "gaps", "chunks", "rejected_chunks"]
    assert told["days"][4] == {
        "date": "2026-02-05", "rows": 1200, "rejected_rows": 0, "duplicates": 3,
        "fetched_at": "2026-06-01T12:00:00+00:00", "is_complete": True,
    }  # fmt: skip
    assert told["gaps"] == [["2026-02-03", "2026-02-04"], ["2026-02-08", "2026-02-08"]]
    assert told["rejected_chunks"] == [{"from_date": "2026-02-08", "to_date": "2026-02-08", "rejected_rows": 5}]
    assert json.loads(json.dumps(told)) == told


def test_it_prints_as_a_calendar():
    assert str(MIXED).splitlines() == [
        "Table events: 2026-01-30 to 2026-02-10",
        "         1    5    10   15   20   25   30             rows",
        "2026-01                               !!             2,400",
        "2026-02  !!··███·!▒                                  8,400",
        "         █ held   ▒ not over when fetched   ! with rejected lines   · not held",
        "9 days, 10,800 rows, 4 duplicates left out, 3 rejected lines",
        "Gaps: 2026-02-03 to 2026-02-04, 2026-02-08",
        "Failed, because no line was an event: 2026-02-08",
    ]


def test_the_last_24_months_are_printed():
    text = str(coverage_of(chunk("2023-12-31", "2026-02-01"))).splitlines()
    assert text[1] == "(3 earlier months are left out: from 2023-12 on)"
    assert [line[:7] for line in text[3:-2]] == [f"{2024 + n // 12}-{n % 12 + 1:02}" for n in range(2, 26)]
    assert "2024-02" in str(coverage_of(chunk("2024-02-29", "2026-01-01")))
    assert "left out: from" not in str(coverage_of(chunk("2024-02-29", "2026-01-01")))


@pytest.mark.parametrize(
    "coverage",
    [
        MIXED,
        coverage_of(),
        coverage_of(chunk("0001-01-01"), chunk("9999-12-31"), rows=10**15),
        coverage_of(*(chunk(f"2026-{month:02}-{day:02}") for month in range(1, 13) for day in range(1, 29, 2))),
    ],
)
def test_it_fits_a_terminal_of_80_columns(coverage):
    assert max(map(len, str(coverage).splitlines())) <= 80


def test_a_table_without_a_day_says_so():
    assert str(coverage_of()).splitlines() == ["Table events holds no day yet.", "0 days, 0 rows"]
