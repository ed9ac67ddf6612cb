"""What responses of exports and queries mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from mixpanel_async.api.responses import CONCURRENCY_WAIT, HOURLY_LIMIT_WAIT, error_from_response
from mixpanel_async.decode.error_text import error_text
from mixpanel_async.errors import AuthenticationError, ExportError, QueryError, RateLimitError, ServerError


def error_of(status, body=b"", **headers):
    return error_from_response(
        status, CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()}), body, now=1000.0
    )


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (401, b'{"error": "Unauthorized"}', AuthenticationError, "does not accept these credentials (401): Unauthorized"),
        (401, b"", AuthenticationError, "(401): (no text)"),
        (403, b'{"error": "no", "status": "error"}', AuthenticationError, "(403): no"),
        (400, b"Unable to authenticate request", AuthenticationError, "(400): Unable to authenticate request"),
        (400, b'{"error": "unable to AUTHENTICATE request"}', AuthenticationError, "credentials (400)"),
        (400, b'{"request": "/api/2.0", "error": "Timeout Error."}', ServerError, "ran out of time (400): Timeout Error."),
        (400, b"to_date cannot be later than today", QueryError, "the dates (400): to_date cannot be later than today (today is"),
        (400, b'{"error": "Error in from_date: invalid date, bad year"}', QueryError, "the dates (400): Error in from_date"),
        (400, b'{"error": "Date range exceeds 90 days into the past"}', QueryError, "the dates (400): Date range exceeds"),
        (403, b"Date range exceeds 365 days into the past", QueryError, "the dates (403): Date range exceeds 365 days"),
        (400, b'{"request": "/x", "error": "bad where"}', QueryError, "rejects the query (400): bad where"),
        (400, b"[1]", QueryError, "(400): [1]"),
        (402, b'{"error": "Your plan does not allow API calls"}', QueryError, "(402): Your plan does not allow"),
        (404, b"", QueryError, "(404): (no text) (check region and base_url)"),
        (412, b"precondition", QueryError, "(412): precondition"),
        (413, b"<html><body>413 Too <b>large</b></body></html>", QueryError, "(413): a web page: 413 Too large"),
        (429, b'{"error": "too many export requests"}', RateLimitError, "rate limit (429): too many export requests"),
        (500, b"\xff\xfe", ServerError, "failed (500): \ufffd\ufffd"),
        (502, b"<!DOCTYPE html>\n<title>502</title>  Bad\n gateway", ServerError, "(502): a web page: 502 Bad gateway"),
        (503, b"", ServerError, "(503): (no text)"),
        (504, b"[" * 5000, ServerError, "ran out of time (504): [["),
        (301, b"", ExportError, "Redirected (301) to nowhere: not followed"),
        (418, b"teapot", ExportError, "An unexpected response (418): teapot"),
        (206, b"", ExportError, "An unexpected response (206)"),
    ],
)  # fmt: skip
def test_statuses(status, body, kind, message):
    error = error_of(status, body)
    assert type(error) is kind
    assert message in str(error)
    assert error.status == status
    assert error.attempts == 0
    assert error.retryable == (kind in (ServerError, RateLimitError))
    rejects_dates = "rejects the dates" in str(error)
    assert error.fatal == ((kind in (AuthenticationError, QueryError) and not rejects_dates) or 300 <= status < 400)


def test_what_fewer_dates_may_help_against():
    answers = [
        (504, b""),
        (400, b"Timeout Error."),
        (500, b""),
        (503, b""),
        (429, b""),
        (413, b""),
        (400, b""),
        (401, b""),
    ]
    assert [error_of(*answer).may_be_too_large for answer in answers] == [True, True] + [False] * 6


def test_mixpanels_words_are_never_more_than_an_excerpt():
    assert len(str(error_of(500, b"x" * 10_000))) < 600
    assert error_text(b"x" * 10_000) == "x" * 500


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("Thu, 01 Jan 1970 00:17:00 GMT", 20.0),
        ("soon", None),
        ("-1", None),
        ("nan", None),
        ("9999999", 3600.0),
    ],
)
def test_how_long_mixpanel_asks_to_wait(status, header, seconds):
    assert error_of(status, retry_after=header).retry_after == seconds
    assert error_of(status).retry_after is None


def test_a_spent_hour_is_waited_for_without_a_header_too():
    said = b"Query rate limit exceeded. 1/5 queries running concurrently and 61/60 queries running in the last hour."
    assert error_of(429, said).retry_after == HOURLY_LIMIT_WAIT
    assert error_of(429, said, retry_after="7").retry_after == 7.0


@pytest.mark.parametrize(
    ("location", "host"),
    [("https://user:secret@evil.example/x?y", "evil.example"), ("/elsewhere", "nowhere"), ("http://[bad", "nowhere"), ("file:///x", "nowhere")],
)  # fmt: skip
def test_a_redirect_names_the_host_alone(location, host):
    error = error_of(302, location=location)
    assert str(error) == f"Redirected (302) to {host}: not followed. Check region and base_url."


@pytest.mark.parametrize(
    "headers",
    [{}, {"content_type": "text/plain; charset=utf-8"}, {"content_type": "application/json"}, {"content_encoding": "gzip"},
     {"content_encoding": "GZIP "}, {"content_encoding": "x-gzip"}, {"content_encoding": "identity"}, {"content_encoding": ""}],
)  # fmt: skip
def test_a_body_worth_reading(headers):
    assert error_of(200, b"anything", **headers) is None


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, br", "x" * 100])
def test_an_encoding_that_was_not_asked_for(encoding):
    error = error_of(200, content_encoding=encoding)
    assert type(error) is ServerError
    assert encoding[:40] in str(error)
    assert len(str(error)) < 150


def test_the_body_of_a_200_tells_what_it_is_and_not_its_type():
    assert error_of(200, content_type="text/html") is None


PAGE = b"<html><title>403 Forbidden</title><p>blocked by the firewall</html>"


@pytest.mark.parametrize("status", [401, 403])
def test_a_web_page_of_a_proxy_ends_no_call_and_mixpanels_own_refusal_does(status):
    for refused in (b'{"error": "no"}', b"no", b""):
        assert error_of(status, refused).fatal
    page = error_of(status, PAGE)
    assert (type(page), page.fatal, page.retryable) == (ServerError, False, True)
    assert "blocked by the firewall" in str(page)


@pytest.mark.parametrize("status", [202, 204, 408, 425, 499, 500, 503, 599])
def test_what_another_attempt_may_mend(status):
    assert error_of(status).retryable


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("61/60 queries running in the last hour", HOURLY_LIMIT_WAIT),
        ("1/5 queries running concurrently and 61/60 queries running in the last hour", HOURLY_LIMIT_WAIT),
        ("6/5 queries running concurrently and 7/60 queries running in the last hour", CONCURRENCY_WAIT),
        ("1/5 queries running concurrently and 7/60 queries running in the last hour", CONCURRENCY_WAIT),
        ("exceeded the concurrency limit (6/5 queries running concurrently).", CONCURRENCY_WAIT),
        ("too many in the last hour", HOURLY_LIMIT_WAIT),
        ("Project exceeded rate limits.", None),
    ],
)
def test_a_429_waits_for_the_limit_that_it_names(text, wait):
    assert error_of(429, text.encode()).retry_after == wait
    assert error_of(429, text.encode(), Retry_After="7").retry_after == 7.0
    assert error_of(429, text.encode(), Retry_After="0").retry_after == (wait or 0)


@pytest.mark.parametrize(
    ("text", "header", "is_full"),
    [
        (b"exceeded the rate limit (61/60 queries running in the last hour)", None, True),
        (b"exceeded the concurrency limit (6/5 queries running concurrently)", None, False),
        (b"6/5 queries running concurrently and 7/60 queries running in the last hour", None, False),
        (b"Query rate limit exceeded", '"project";r=0;t=3600, "project-concurrency";r=3', True),
        (b"Query rate limit exceeded", '"project";r=12, "project-concurrency";r=0;t=10', False),
        (b"Query rate limit exceeded", '"project";r=0, "project-concurrency";r=0;t=10', False),
        (b"Query rate limit exceeded", None, False),
    ],
)
def test_whether_a_429_says_that_the_hour_is_used_up(text, header, is_full):
    error = error_of(429, text, **({"RateLimit": header} if header else {}))
    assert error.is_window_full == is_full
    assert (error.retry_after == HOURLY_LIMIT_WAIT) == is_full


@pytest.mark.parametrize(
    ("header", "wait", "is_full"),
    [
        ('"project";r=0;t=3600, "project-concurrency";r=3', HOURLY_LIMIT_WAIT, True),
        ('"project";r=0;t=90, "project-concurrency";r=3', 90, True),
        ('"project";r=12, "project-concurrency";r=0;t=10', 10, False),
        ('"project-concurrency";t=10;r=0,"project";r=12', 10, False),
        ('"project" ; r=0 ; t=90', 90, True),
        ('"endpoint-jql";r=0;t=3600, "project";r=12', None, False),
        ('"project-concurrency";r=0;t=0', CONCURRENCY_WAIT, False),
        ('"project";r=0, "project-concurrency";r=3', HOURLY_LIMIT_WAIT, True),
        ('"project";r=0, "project-concurrency";r=0', None, False),
        ('"project";r=0;t=99999999999999999999, "project-concurrency";r=3', HOURLY_LIMIT_WAIT, True),
        ('"project";r=00;t=1e400, "project-concurrency";r=-0;t=nan', None, False),
        ('"project";r=0;t="3600', HOURLY_LIMIT_WAIT, True),
        ('"project;r=0;t=10', None, False),
        (";;;===,,,", None, False),
    ],
)
def test_the_header_tells_which_limit_was_exceeded_and_for_how_long(header, wait, is_full):
    error = error_of(429, b"Query rate limit exceeded", RateLimit=header)
    assert (error.retry_after, error.is_window_full) == (wait, is_full)
    error = error_of(429, b"Query rate limit exceeded", RateLimit=header, Retry_After="7")
    assert (error.retry_after, error.is_window_full) == (7, is_full)


@given(st.text('"project-concurrency";rt= 0123456789,', max_size=80) | st.text())
def test_whatever_the_header_says_it_is_a_bearable_wait_or_none(header):
    wait = error_of(429, b"", RateLimit=header).retry_after
    assert wait is None or 0 < wait <= 3600


def test_an_hour_that_is_used_up_is_not_waited_for_as_a_whole():
    """Mixpanel's Retry-After is the whole window, and the window rolls."""
    body = b"This request exceeded the rate limit (61/60 queries running in the last hour)."
    header = '"project";r=0;t=3600, "project-concurrency";r=3'
    error = error_of(429, body, RateLimit=header, Retry_After="3600")
    assert (error.retry_after, error.is_window_full) == (HOURLY_LIMIT_WAIT, True)


@pytest.mark.parametrize(
    ("status", "body"), [(401, b"no"), (403, b"no"), (404, b"no"), (400, b"Unable to authenticate")]
)
def test_a_wrong_region_looks_like_a_wrong_secret_so_it_is_named(status, body):
    error = error_from_response(status, CIMultiDict(), body, now=0, host="data-eu.mixpanel.com")
    assert "this went to region eu, and the project may be in us or in" in str(error)
    error = error_from_response(status, CIMultiDict(), body, now=0, host="proxy.example.com")
    assert "region and base_url: this went to proxy.example.com" in str(error)
