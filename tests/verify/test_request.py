"""The requests for counts, and what their responses mean. No I/O."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest

from mixpanel_async.dates import dates_between
from mixpanel_async.errors import ServerError
from mixpanel_async.verify.request import count_queries, read_counts, windows

WINDOW = ("2026-01-01", "2026-01-31")


def names_of(query):
    return json.loads(query.parameters["event"])


def test_a_request():
    (query,) = count_queries(["b", "Größe"], WINDOW)
    assert (query.path, query.limit, query.is_counted, query.is_post) == ("/api/query/events", "queries", True, False)
    assert query.parameters == {
        "event": '["b", "Größe"]', "type": "general", "unit": "day", "from_date": WINDOW[0], "to_date": WINDOW[1],
    }  # fmt: skip
    assert query.name == "Counts of events, 2026-01-01 to 2026-01-31"


def test_without_names_nothing_is_requested():
    assert list(count_queries([], WINDOW)) == []


@pytest.mark.parametrize("name", ["event {}", "日本語のイベント{}", '"{}" & \\ / %', "😀{}"])
def test_names_that_do_not_fit_one_url_are_several_requests(name):
    names = [name.format(number) for number in range(2000)]
    queries = list(count_queries(names, WINDOW))
    assert [each for query in queries for each in names_of(query)] == names
    sizes = [len(urlencode(query.parameters)) for query in queries]
    assert max(sizes) < 7500
    assert min(sizes[:-1]) > 5500  # a space is counted as three bytes and sent as one


def test_a_name_that_is_too_long_is_alone():
    assert [names_of(query) for query in count_queries(["a", "b" * 9000, "c"], WINDOW)] == [["a"], ["b" * 9000], ["c"]]


def test_a_range_is_cut_at_a_year_and_begins_and_ends_with_a_date():
    dates = [*dates_between("2024-01-01", "2024-12-31"), "2025-06-01", "2027-01-01"]
    assert list(windows(dates)) == [
        ("2024-01-01", "2024-12-30"), ("2024-12-31", "2025-06-01"), ("2027-01-01", "2027-01-01"),
    ]  # fmt: skip
    assert list(windows([])) == []


def test_a_response():
    values = {"a": {"2026-01-01": 2, "2026-01-02": 3}, "b": {"2026-01-02": 10}, "c": {}}
    payload = {"data": {"series": ["2026-01-01"], "values": values}, "legend_size": 3, "more": 1}
    assert read_counts(payload) == {"2026-01-01": 2, "2026-01-02": 13}


@pytest.mark.parametrize(
    "payload", [[], {}, {"data": {}}, {"data": {"values": []}}, {"data": {"values": {"a": {"d": "1"}}}}]
)
def test_another_shape_is_an_error(payload):
    with pytest.raises(ServerError, match=r"^Counts of events: the response has another shape than documented: "):
        read_counts(payload)
