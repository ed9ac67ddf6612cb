"""Results as text: each in lines of its own, bounded, without control characters."""

from __future__ import annotations

import datetime as dt

import pytest

from mixpanel_async import (
    CompactResult,
    ExportResult,
    Failure,
    FetchResult,
    ParallelFetchResult,
    ParallelProfileFetchResult,
    Project,
    SchemaChange,
    TableInfo,
    terminal,
)
from mixpanel_async.description import SchemaChanges

ENDED = dt.datetime(2024, 2, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1)))


def parallel(*failures, ranges=(), **fields):
    ranges = ranges or tuple((each.from_date, each.to_date) for each in failures)
    return ParallelFetchResult("events", 1_234_567, 30, len(ranges), ranges, 1061.04, ENDED, tuple(failures), **fields)


def test_a_fetch():
    result = FetchResult("events", 1234, "events", 2.5, ("2024-01-01", "2024-01-31"), ENDED, rejected_rows=3)
    assert str(result) == (
        "Table events\n"
        "events          1,234\n"
        "dates           2024-01-01 to 2024-01-31\n"
        "rejected lines  3\n"
        "took            2.5 s\n"
        "ended           2024-02-01 00:00:00 UTC"
    )
    assert repr(result).startswith("FetchResult(table='events', rows=1234, ")


def test_a_fetch_of_profiles():
    warning = "Mixpanel's total is 7, and 5 profiles came."
    assert str(FetchResult("people", 5, "profiles", 0.04, None, ENDED, warnings=(warning,))) == (
        "Table people\n"
        "profiles  5\n"
        "took      0.0 s\n"
        "ended     2024-02-01 00:00:00 UTC\n"
        "Mixpanel's total is 7, and 5 profiles came."
    )


def test_a_parallel_fetch_has_each_failed_range_and_its_cause():
    result = parallel(
        Failure("2024-01-01", "2024-01-07", 5, "Mixpanel failed (503)."),
        Failure("2024-01-15", "2024-01-15", 1, "Mixpanel sent\n\x1b[31mred\x1b[0m."),
        rejected_rows=1000,
    )
    assert str(result) == (
        "Table events\n"
        "events          1,234,567\n"
        "chunks          30 committed, 2 failed\n"
        "rejected lines  1,000\n"
        "took            1,061.0 s\n"
        "ended           2024-02-01 00:00:00 UTC\n"
        "Failed: 2024-01-01 to 2024-01-07: Mixpanel failed (503).\n"
        "Failed: 2024-01-15: Mixpanel sent\\n\\x1b[31mred\\x1b[0m."
    )
    assert repr(result).startswith("ParallelFetchResult(table='events', total_rows=1234567, ")
    assert str(parallel(ranges=(("2024-01-01", "2024-01-02"),))).endswith("UTC\nFailed: 2024-01-01 to 2024-01-02")


def test_of_many_failures_ten_are_listed():
    failures = [Failure(f"2024-01-{day:02}", f"2024-01-{day:02}", 5, "x" * 5000) for day in range(1, 32)]
    *above, last = str(parallel(*failures)).splitlines()
    listed = [line for line in above if line.startswith("Failed: ")]
    assert [line[:18] for line in listed] == [f"Failed: 2024-01-{day:02}" for day in range(1, 11)]
    assert {len(line) for line in listed} == {1000}
    assert last == "and 21 more"
    assert str(parallel(*failures[:10])).splitlines()[-1].startswith("Failed: 2024-01-10: ")
    assert str(parallel(*failures[:11])).splitlines()[-1] == "and 1 more"


def test_a_parallel_fetch_of_profiles():
    causes = "Profiles, page 7: Mixpanel failed (503).", "Profiles, page 9: The connection broke."
    result = ParallelProfileFetchResult("people", 5000, 198, 2, (7, 9), 3.0, ENDED, ("A page was not full.",), causes)
    assert str(result) == (
        "Table people\n"
        "profiles  5,000\n"
        "pages     198 fetched, 2 failed\n"
        "took      3.0 s\n"
        "ended     2024-02-01 00:00:00 UTC\n"
        "A page was not full.\n"
        "Failed: Profiles, page 7: Mixpanel failed (503).\n"
        "Failed: Profiles, page 9: The connection broke."
    )
    assert repr(result).startswith("ParallelProfileFetchResult(table='people', total_rows=5000, ")
    many = ParallelProfileFetchResult("people", 0, 1, 200, tuple(range(200)), 3.0, ENDED)
    assert str(many).endswith("\nFailed: page 9\nand 190 more")
    assert "Failed" not in str(ParallelProfileFetchResult("people", 5000, 5, 0, (), 3.0, ENDED))


def test_a_table():
    events = TableInfo(
        "events", "events", {"events": ["a", "b"]}, 1234, "2024-01-01", "2024-01-31", ENDED, 262_144
    )  # fmt: skip
    assert str(events) == (
        "Table events\n"
        "type              events\n"
        "rows              1,234\n"
        "first date        2024-01-01\n"
        "last date         2024-01-31\n"
        "fetched at (UTC)  2024-02-01 00:00\n"
        "size              262 kB\n"
        "selection         events: a, b"
    )
    assert str(TableInfo("v", "view", {}, None, None, None, None, None)) == "View v\ntype  view"


def test_a_project():
    assert str(Project(12345, "Shop\x1b[2J", "US/Pacific", "eu")) == (
        "Project Shop\\x1b[2J\nid         12345\ntime zone  US/Pacific\nregion     eu"
    )


def test_changes_of_properties():
    changes = SchemaChanges([
        SchemaChange("Buy", "price", "type", ("integer",), ("integer", "string"), 1200),
        SchemaChange("Buy", "\n", "new", (), ("string",), 3),
        SchemaChange("Sign up", None, "gone", (), (), 7),
    ])  # fmt: skip
    assert str(changes) == (
        "kind  event    property          before   after               rows\n"
        "type  Buy      price             integer  integer or string  1,200\n"
        "new   Buy      \\n                         string                 3\n"
        "gone  Sign up  the event itself                                  7"
    )
    assert str(SchemaChanges()) == "No property came, went or changed."
    many = SchemaChanges([changes[0]] * 70)
    assert len(str(many).splitlines()) == 62
    assert str(many).endswith("\nand 10 more")
    assert isinstance(changes, tuple)


RESULTS = {
    "fetch": FetchResult("events", 1234, "events", 2.5, ("2024-01-01", "2024-01-31"), ENDED),
    "parallel": parallel(Failure("2024-01-01", "2024-01-07", 5, "why")),
    "pages": ParallelProfileFetchResult("people", 5000, 198, 2, (7, 9), 3.0, ENDED, ("why",)),
    "export": ExportResult("events", "/tmp/events.csv", 1, 1234, 5_000_000),
    "compact": CompactResult(5_000_000_000, 1_234_567),
    "table": TableInfo("events", "events", {}, 1234, "2024-01-01", "2024-01-31", ENDED, 262_144),
    "project": Project(12345, "Shop", "US/Pacific", "eu"),
    "change": SchemaChanges([SchemaChange("Buy", "price", "type", ("integer",), ("string",), 1200)]),
}


@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
def test_a_notebook_has_the_same_words(result):
    shown = result._repr_html_()
    words = [word for word in str(result).split() if word.strip("0123456789.,-:")]
    assert words
    for word in words:
        assert word in shown, word


def test_counts_and_sizes():
    assert [terminal.count(number, "row") for number in (0, 1, 2, 1000)] == ["0 rows", "1 row", "2 rows", "1,000 rows"]
    assert terminal.count(2, "property", "properties") == "2 properties"
    assert list(map(terminal.as_size, (0, 999, 1000, 262_144, 5_000_000, 29 << 20, 12_345_000_000))) == [
        "0 bytes", "999 bytes", "1 kB", "262 kB", "5.0 MB", "30.4 MB", "12.3 GB",
    ]  # fmt: skip
