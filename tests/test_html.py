"""Results in a notebook: bounded, escaped, and with words for what colours tell."""

from __future__ import annotations

import datetime as dt
import re
from html.parser import HTMLParser

import pytest

from mixpanel_async import (
    Coverage,
    DayCount,
    Failure,
    FetchPlan,
    FetchResult,
    ParallelFetchResult,
    ParallelProfileFetchResult,
    RejectedChunk,
    Verification,
    html,
)
from mixpanel_async.coverage import CoveredChunk
from mixpanel_async.dates import dates_between
from mixpanel_async.description import Description, Property
from mixpanel_async.views import ViewColumn, ViewInfo

ENDED = dt.datetime(2024, 2, 1, 12, tzinfo=dt.UTC)
EVIL = '<script>alert("$a and $b")</script>'


class Parsed(HTMLParser):
    """Tags that are all closed, texts, and titles."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.titles = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag != "br":
            self.open.append(tag)
        self.titles += [value for name, value in attributes if name == "title"]
        assert not [name for name, _ in attributes if name.startswith("on") or name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return "|".join(self.texts)


def chunk(first, last, rows=10, rejected=0, *, is_complete=True):
    return CoveredChunk(first, last, rows, rejected, 0, ENDED, is_complete)


def coverage(*chunks, **more):
    rows = {date: 10 for each in chunks for date in dates_between(each.from_date, each.to_date)}
    return Coverage.of("events", chunks, rows, **more)


def single(**fields):
    return FetchResult("events", 1234, "events", 2.5, ("2024-01-01", "2024-01-31"), ENDED, **fields)


def parallel(failures):
    ranges = tuple((each.from_date, each.to_date) for each in failures)
    return ParallelFetchResult("events", 1234, 30, len(ranges), ranges, 61.0, ENDED, tuple(failures), 3)


RESULTS = {
    "fetch": single(),
    "profiles": FetchResult("people", 5, "profiles", 2.5, None, ENDED, warnings=(EVIL,)),
    "parallel": parallel([Failure("2024-01-01", "2024-01-02", 3, EVIL)] * 50),
    "pages": ParallelProfileFetchResult("people", 5, 1, 200, tuple(range(200)), 1.0, ENDED, (EVIL,)),
    "plan": FetchPlan((("2024-01-01", "2024-01-07"),), 1, 59, 0.0, 7, 3, None),
    "verification": Verification(EVIL, (DayCount("2024-01-01", 1000, 1001), DayCount("2024-01-02", 5, 5))),
    "coverage": coverage(chunk("2024-01-01", "2024-01-31")),
    "no coverage": Coverage(EVIL, (), (), ()),
    "no verification": Verification("events", ()),
}


@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
def test_each_result_is_well_formed_and_harmless(result):
    shown = result._repr_html_()
    parsed = Parsed(shown)
    assert set(parsed.tags) <= {"div", "table", "thead", "tbody", "tr", "th", "td", "span", "small", "b", "i", "br"}
    assert shown.startswith('<div class="mixpanel-async tex2jax_ignore mathjax_ignore"')
    assert len(shown) < 20_000
    assert result.__class__.__name__ not in shown


def test_values_are_escaped_and_cut():
    parsed = Parsed(
        html.table([EVIL, "b"], [[EVIL, "x" * 5000], [None, "\0\x7f\n"]], right=[1], title=EVIL, notes=[EVIL])
    )
    assert parsed.text.count(EVIL) == 4
    assert "x" * 79 + "…" in parsed.texts
    assert parsed.titles == ["x" * 999 + "…"]
    assert "NULL" in parsed.texts
    assert "␀␡\n" in parsed.texts
    assert html.text_cell("x" * 80) == "x" * 80


def test_rows_columns_and_notes_are_bounded():
    heads = [f"c{number}" for number in range(100)]
    shown = html.table(heads, ([f"v{number}"] * 100 for number in range(10**9)), notes=[f"n{n}" for n in range(100)])
    parsed = Parsed(shown)
    assert (parsed.tags.count("tr"), parsed.tags.count("th"), parsed.tags.count("td")) == (21, 20, 400)
    assert "n9" in parsed.texts
    assert "and 90 more" in parsed.texts
    assert "n10" not in parsed.texts


def test_it_takes_the_colours_of_the_page():
    """Text has the page's colour; only the calendar's cells have a background, with a colour of the text on it."""
    shown = html.table(["a"], [[1]], types=["INTEGER"], title="t", notes=["n"]) + html.pairs("t", [("a", 1)])
    assert "color" not in shown
    cells = coverage(chunk("2024-01-01", "2024-01-02"), chunk("2024-01-05", "2024-01-05"))._repr_html_()
    assert all("color:#fff" in style for style in re.findall(r'style="([^"]*background[^"]*)"', cells))


def test_fetches_tell_what_came_and_what_failed():
    assert (
        "events|1,234|dates|2024-01-01 to 2024-01-31|rejected lines|0|took|2.5 s|ended|2024-02-01 12:00:00 UTC"
        in Parsed(single()._repr_html_()).text
    )
    shown = Parsed(parallel([Failure("2024-01-01", "2024-01-02", 3, "503 Service Unavailable")])._repr_html_())
    assert "chunks|30 committed, 1 failed" in shown.text
    assert "Failed: 2024-01-01 to 2024-01-02: 503 Service Unavailable" in shown.texts
    assert "Failed: page 0" in Parsed(RESULTS["pages"]._repr_html_()).texts


def test_a_plan_has_the_lines_that_it_prints():
    plan = RESULTS["plan"]
    shown = Parsed(plan._repr_html_()).text
    for line in str(plan).splitlines():
        assert f"{line[:10].strip()}|{line[10:]}" in shown


def test_a_verification_shows_days_or_those_that_differ():
    shown = Parsed(RESULTS["verification"]._repr_html_())
    assert "2024-01-01|1,000|1,001|-1|2024-01-02|5|5|" in shown.text
    assert "Good reasons for a difference: - Events came late" in shown.text
    days = [DayCount(date, 1, 1 + (date > "2024-01-05")) for date in dates_between("2024-01-01", "2024-02-29")]
    long = Parsed(Verification("events", tuple(days))._repr_html_())
    assert "2024-01-05" not in long.texts
    assert long.tags.count("tr") == 21
    assert "and 35 days more that differ" in long.texts


def cells(shown):
    return [title for title in Parsed(shown).titles if re.match(r"\d{4}-\d\d-\d\d: ", title)]


def test_a_calendar_has_a_cell_for_each_day_with_words():
    shown = coverage(
        chunk("2024-01-30", "2024-02-01"),
        chunk("2024-02-04", "2024-02-04", 10, rejected=2),
        chunk("2024-02-05", "2024-02-06", 20, rejected=3),
        chunk("2024-02-07", "2024-02-07", is_complete=False),
        rejected_chunks=[RejectedChunk("2024-02-02", "2024-02-02", 9)],
    )._repr_html_()
    assert cells(shown) == [
        "2024-01-30: 10 rows",
        "2024-01-31: 10 rows",
        "2024-02-01: 10 rows",
        "2024-02-02: not held",
        "2024-02-03: not held",
        "2024-02-04: 10 rows, 2 rejected lines",
        "2024-02-05: 10 rows, rejected lines on this or other days of its chunk",
        "2024-02-06: 10 rows, rejected lines on this or other days of its chunk",
        "2024-02-07: 10 rows, not over when fetched",
    ]
    text = Parsed(shown).text
    assert "Table events: 2024-01-30 to 2024-02-07" in text
    assert "Gaps: 2024-02-02 to 2024-02-03" in text
    assert "Failed, because no line was an event: 2024-02-02" in text
    for meaning in html.MEANINGS.values():
        assert meaning in text
    rows = re.findall(r"<tr>.*?</tr>", shown)
    assert [row.count("<td ") for row in rows] == [0, 32, 32]  # 31 days, and the rows
    signs = [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<td .*?</td>", rows[2])]
    assert "".join(signs[:8]) == "&nbsp;&middot;&middot;!!!~"


def test_a_calendars_months_do_not_break_in_a_narrow_window():
    shown = coverage(chunk("2024-01-30", "2024-02-01"))._repr_html_()
    months = re.findall(r'<th style="([^"]*)">2024-0[12]</th>', shown)
    assert len(months) == 2
    assert all("white-space:nowrap" in style for style in months)


def test_a_calendar_is_bounded_to_two_years():
    shown = coverage(chunk("2020-01-01", "2024-12-31"))._repr_html_()
    assert shown.count("<tr>") == 25
    assert cells(shown)[0] == "2023-01-01: 10 rows"
    assert "36 earlier months are left out: from 2020-01 on" in shown
    assert len(shown) < 200_000


def test_descriptions_and_views_are_bounded_and_escaped_tables():
    some = Property("<b>$os</b>", 1, 0.5, (("string", 1.0),), 1, '"$x"', "2026-01-01", "2026-01-02")
    shown = Description("events", None, 2, 2, (some,) * 30)._repr_html_()
    assert "<b>$os" not in shown
    assert "&lt;b&gt;$os" in shown
    assert "mathjax_ignore" in shown
    assert "and 10 more" in shown
    assert shown.count("<tr>") == 21
    view = ViewInfo("typed", (ViewColumn("$os", "$os", "VARCHAR", "<i>"),) * 30)._repr_html_()
    assert "View typed" in view
    assert "&lt;i&gt;" in view
    assert "and 10 more" in view
