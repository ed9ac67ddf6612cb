"""What is asked of the export, and what its answers mean."""

from __future__ import annotations

import json

import pytest

from mixpanel_async.errors import ConfigurationError, ConnectionLostError, ServerError
from mixpanel_async.export.request import (
    LIMIT_MAX,
    ExportQuery,
    check_selection,
    endpoint,
    judge_line,
)

# The question


def test_the_least_and_the_most_that_is_asked():
    assert ExportQuery("2024-01-01", "2024-01-07").parameters() == {"from_date": "2024-01-01", "to_date": "2024-01-07"}
    where = 'properties["x"] == "ä & \\"b\\""  '
    asked = ExportQuery("2024-01-01", "2024-01-07", ("Sign, up", 'q"ö'), where, 5).parameters()
    assert asked == {
        "from_date": "2024-01-01",
        "to_date": "2024-01-07",
        "event": '["Sign, up", "q\\"ö"]',
        "where": where,
        "limit": "5",
    }
    assert json.loads(asked["event"]) == ["Sign, up", 'q"ö']


@pytest.mark.parametrize(
    ("region", "base_url", "url"),
    [
        ("us", None, "https://data.mixpanel.com/api/2.0/export"),
        ("eu", None, "https://data-eu.mixpanel.com/api/2.0/export"),
        ("in", None, "https://data-in.mixpanel.com/api/2.0/export"),
        ("eu", "https://proxy.example.com", "https://proxy.example.com/api/2.0/export"),
        ("us", "https://proxy.example.com:8443/mixpanel/", "https://proxy.example.com:8443/mixpanel/api/2.0/export"),
        ("us", "http://127.0.0.1:8080", "http://127.0.0.1:8080/api/2.0/export"),
        ("us", "http://localhost:1/", "http://localhost:1/api/2.0/export"),
        ("us", "http://[::1]:1", "http://[::1]:1/api/2.0/export"),
    ],
)
def test_where_it_is_asked(region, base_url, url):
    assert endpoint(region, base_url) == url


@pytest.mark.parametrize("region", ["US", "", "de", "us ", None])
def test_unknown_regions(region):
    with pytest.raises(ConfigurationError, match="region must be one of us, eu, in"):
        endpoint(region, None)


@pytest.mark.parametrize(
    "base_url",
    ["", "proxy.example.com", "//host", "ftp://host", "file:///etc/passwd", "https://", "https://user:secret@host", "https://:secret@host",
     "https://host?x=1", "https://host#x", "https://[bad", "https://host:port", "https://host:99999", "https://host\n", "https://ho\tst"],
)  # fmt: skip
def test_base_urls_that_are_none(base_url):
    with pytest.raises(ConfigurationError, match="base_url must be a scheme and a host") as refused:
        endpoint("us", base_url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "base_url",
    ["http://data.mixpanel.com", "http://0.0.0.0", "http://127.0.0.1.example.com", "http://localhost.example.com", "HTTP://10.0.0.1"],
)  # fmt: skip
def test_http_is_for_this_machine_only(base_url):
    with pytest.raises(ConfigurationError, match="base_url must be https"):
        endpoint("us", base_url)


def test_selections():
    assert check_selection(None, None, None) is None
    assert check_selection(["a", "b"], "true", 1) == ("a", "b")
    assert check_selection(("a",), None, LIMIT_MAX) == ("a",)
    assert check_selection(map(str, "ab"), None, None) == ("a", "b")


@pytest.mark.parametrize(
    ("selection", "named"),
    [
        (("sign up", None, None), r"events must be a list of names, such as \['sign up'\]"),
        (([], None, None), "events must be names"),
        ((["a", ""], None, None), "events must be names"),
        (([1], None, None), "events must be names"),
        ((iter(()), None, None), "events must be names"),
        ((["a\ud800"], None, None), "events must be names .* no lone surrogate"),
        ((1, None, None), "events must be names"),
        ((None, "", None), "where must be"),
        ((None, "  ", None), "where must be"),
        ((None, 5, None), "where must be"),
        ((None, "\udfff", None), "where must be .* no lone surrogate"),
        ((None, None, 0), "limit must be a whole number from 1 to 100000"),
        ((None, None, 100_001), "limit must be"),
        ((None, None, True), "limit must be"),
        ((None, None, 1.0), "limit must be"),
        ((None, None, "5"), "limit must be"),
    ],
)
def test_selections_out_of_range(selection, named):
    with pytest.raises(ValueError, match=named):
        check_selection(*selection)


# Lines that are no events


@pytest.mark.parametrize(
    "line",
    [b"terminated early", b"export terminated early", b"terminated early.", b"  export terminated early.\r\n"],
)
def test_terminated_early(line):
    assert type(judge_line(line)) is ConnectionLostError


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"error": "no more"}', "no more"),
        (b' {"error":{"code":1}}', '{"error":{"code":1}}'),
        (b'{"error"', '{"error"'),
        (b'{"error": "cut', '{"error": "cut'),
        (b'{"request": "/api/2.0/export", "error": "Date range exceeds"}', "Date range exceeds"),
        (b'{ "status" : "error" , "error" : "x" }', "x"),
        (b'{"code": 429, "error": "slow down", "status": "Too Many Requests"}', "slow down"),
        (b'{"error":' + b"[" * 5000, '{"error":[['),
    ],
)
def test_an_error_in_a_line(line, said):
    error = judge_line(line)
    assert type(error) is ServerError
    assert said in str(error)
    assert error.passing


@pytest.mark.parametrize(
    "line",
    [b"", b"nonsense", b"terminated", b"not terminated early", b'"terminated early"', b'{"event":"a","error":"x"}', b'{"properties":{"error":1}}',
     b"null", b'["error"]', b'{"errors":1}', b"\xff"],
)  # fmt: skip
def test_a_mere_bad_line(line):
    assert judge_line(line) is None
