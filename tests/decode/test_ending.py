"""How the text of an answer ends."""

from __future__ import annotations

import pytest

from mixpanel_async.decode.ending import error_from_line
from mixpanel_async.errors import ConnectionLostError, QueryError, ServerError


@pytest.mark.parametrize(
    "line",
    [
        b"terminated early",
        b"export terminated early",
        b"terminated early.",
        b"  export terminated early.\r\n",
        b'"terminated early"',
        b"[terminated early]",
        b'["terminated early."]',
        b"(export terminated early)",
    ],
)
def test_terminated_early(line):
    assert type(error_from_line(line)) is ConnectionLostError


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"error": "no more"}', "no more"),
        (b' {"error":{"code":1}}', '{"error":{"code":1}}'),
        (b'{"error"', '{"error"'),
        (b'{"error": "cut', '{"error": "cut'),
        (b'{ "status" : "error" , "error" : "x" }', "x"),
        (b'{"status":"error","message":"later"}', "later"),
        (b'{"code": 429, "error": "slow down", "status": "Too Many Requests"}', "slow down"),
        (b'{"error":' + b"[" * 5000, '{"error":[['),
    ],
)
def test_an_error_in_a_line(line, message):
    error = error_from_line(line)
    assert type(error) is ServerError
    assert message in str(error)
    assert error.retryable


@pytest.mark.parametrize(
    "line",
    [
        b'{"request": "/api/2.0/export", "error": "Date range exceeds 90 days into the past"}',
        b"Date range exceeds 365 days into the past\r\n",
        b"to_date cannot be later than today",
    ],
)
def test_a_line_that_rejects_the_dates_is_final_for_its_chunk_alone(line):
    error = error_from_line(line)
    assert type(error) is QueryError
    assert (error.retryable, error.fatal) == (False, False)


@pytest.mark.parametrize(
    "line",
    [b"", b"nonsense", b'"Date range exceeds 90 days into the past', b'{"event":"a","properties":{"x":"later than today', b"terminated", b"not terminated early", b'{"message":"x","code":503}', b'{"event":"a","error":"x"}', b'{"properties":{"error":1}}',
     b"null", b'["error"]', b'{"errors":1}', b"\xff"],
)  # fmt: skip
def test_a_bad_line_that_is_not_an_error_of_mixpanels(line):
    assert error_from_line(line) is None
