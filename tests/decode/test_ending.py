"""How the text of an answer ends."""

from __future__ import annotations

import pytest

from mixpanel_async.decode.ending import check_last_line, error_from_line
from mixpanel_async.errors import ConnectionLostError, QueryError, ServerError

EVENT = b'{"event":"a","properties":{"time":1}}'

# Lines that are no events


@pytest.mark.parametrize(
    "line",
    [b"terminated early", b"export terminated early", b"terminated early.", b"  export terminated early.\r\n"],
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
    [b"", b"nonsense", b'"Date range exceeds 90 days into the past', b'{"event":"a","properties":{"x":"later than today', b"terminated", b"not terminated early", b'"terminated early"', b'{"event":"a","error":"x"}', b'{"properties":{"error":1}}',
     b"null", b'["error"]', b'{"errors":1}', b"\xff"],
)  # fmt: skip
def test_a_bad_line_that_is_not_an_error_of_mixpanels(line):
    assert error_from_line(line) is None


@pytest.mark.parametrize(
    "text",
    [b"", b"\n", b" \r\n", EVENT, EVENT + b"\n", b"\xef\xbb\xbf" + EVENT, b"x\n" + EVENT, EVENT + b"\n[]", b"null\n",
     EVENT + b'\n{"event":"a\nb","properties":{"time":1}}\n', b'{"event":"a\r\nb","properties":{"time":1}}\r\n'],
)  # fmt: skip
def test_whole_ends(text):
    check_last_line(text)


@pytest.mark.parametrize("text", [EVENT[:-1], EVENT + b"\n" + EVENT[:9] + b"\n", b"half\nhalf", b"{"])
def test_cut_ends(text):
    with pytest.raises(ConnectionLostError, match="its last line is not whole"):
        check_last_line(text)
