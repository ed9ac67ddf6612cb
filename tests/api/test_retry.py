"""When to ask again."""

from __future__ import annotations

import email.utils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpanel_async.api.retry import RETRY_AFTER_MAX, RetryPolicy, retry_after

NOW = 1_704_067_200.0


@given(st.integers(1, 200), st.floats(0, 100), st.floats(0, 1000))
def test_a_wait_is_between_nothing_and_the_doubled_bound(attempt, initial, more):
    policy = RetryPolicy(wait_initial=initial, wait_max=initial + more)
    assert 0 <= policy.wait(attempt) <= min(policy.wait_max, initial * 2.0 ** (attempt - 1))


def test_waits_are_drawn_from_the_whole_span():
    policy = RetryPolicy(wait_initial=1.0, wait_max=60.0)
    for attempt, most in ((1, 1.0), (3, 4.0), (7, 60.0), (1000, 60.0)):
        waits = [policy.wait(attempt) for _ in range(400)]
        assert min(waits) < 0.1 * most
        assert 0.9 * most < max(waits) <= most


def test_a_rate_limit_that_names_no_time_is_outwaited_with_patience():
    waits = [RetryPolicy(wait_max=60.0).wait(1, limited=True) for _ in range(200)]
    assert 54 <= min(waits) < 56
    assert 58 < max(waits) <= 60
    assert RetryPolicy().wait(1, 7.0, limited=True) == 7.0


@pytest.mark.parametrize("attempts", [3, 4, 5, 6, 10, 50])
def test_all_waits_after_such_429s_outlast_an_hour(attempts):
    policy = RetryPolicy(attempts)
    waits = [policy.wait(number, limited=True) for number in range(1, attempts)]
    assert 3601 < sum(waits) <= 4020
    assert max(waits[:1]) <= 60
    longest = [policy._patient_wait(number) for number in range(1, attempts)]
    assert longest == sorted(longest)
    assert policy._patient_wait(attempts + 7) == longest[-1]


@pytest.mark.parametrize(("attempts", "wait_max"), [(1, 60.0), (2, 60.0), (5, 0.0), (100, 60.0)])
def test_that_patience_has_its_ends(attempts, wait_max):
    policy = RetryPolicy(attempts, wait_initial=0.0, wait_max=wait_max)
    assert all(0.9 * wait_max <= policy.wait(number, limited=True) <= wait_max for number in range(1, attempts + 1))


def test_a_smaller_longest_wait_is_less_patient():
    policy = RetryPolicy(wait_initial=0.0, wait_max=0.5)
    assert sum(policy.wait(number, limited=True) for number in range(1, 5)) <= 0.5 * 67


def test_the_waits_that_the_docstring_gives():
    minutes = [round(RetryPolicy()._patient_wait(number) / 60) for number in range(1, 5)]
    assert minutes == [1, 6, 19, 42]


def test_what_the_server_asks_for_counts_even_beyond_our_longest_wait():
    assert RetryPolicy(wait_max=60).wait(1, 600.0) == 600.0
    assert RetryPolicy(wait_initial=0, wait_max=0).wait(5, 0.0) == 0.0


def test_a_retry_after_of_0_is_a_backoff_like_any_other():
    waits = [RetryPolicy().wait(5, 0.0) for _ in range(50)]
    assert 8 < max(waits) <= 16
    assert all(54 <= RetryPolicy().wait(1, 0.0, limited=True) <= 60 for _ in range(50))


@pytest.mark.parametrize(
    "options",
    [{"attempts": 0}, {"attempts": -1}, {"attempts": True}, {"attempts": 1.0}, {"wait_initial": -1}, {"wait_initial": 61},
     {"wait_max": 0.5}, {"wait_max": float("inf")}, {"wait_max": float("nan")}, {"wait_initial": float("nan")}],
)  # fmt: skip
def test_policies_out_of_range(options):
    with pytest.raises(ValueError, match="RetryPolicy"):
        RetryPolicy(**options)


def test_the_policy_by_default():
    assert RetryPolicy() == RetryPolicy(attempts=5, wait_initial=1.0, wait_max=60.0)
    assert RetryPolicy(wait_initial=0, wait_max=0).wait(3) == 0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("7\x1f", 7.0),
        ("3600", 3600.0),
        ("3601", RETRY_AFTER_MAX),
        ("999999999", RETRY_AFTER_MAX),
        (email.utils.formatdate(NOW + 90, usegmt=True), 90.0),
        (email.utils.formatdate(NOW - 90, usegmt=True), 0.0),
        (email.utils.formatdate(NOW + 1e9, usegmt=True), RETRY_AFTER_MAX),
        ("Mon, 01 Jan 2024 01:00:10 +0100", 10.0),
    ],
)
def test_seconds_and_dates(header, seconds):
    assert retry_after(header, NOW) == seconds


@pytest.mark.parametrize(
    "header",
    [None, "", " ", "-1", "+1", "1.5", "nan", "inf", "1e400", "1e3", "0x10", "1_0", "\u0661\u0662", "\uff17", "1" + "0" * 30, "soon",
     "Mon, 01 Jan 2024 00:01:00 -0000", "Mon, 01 Jan 2024 00:01:00", "Mon, 99 Jan 2024 00:01:00 GMT", "Mon, 01 Jan 2024 00:01:00 +9999",
     "Mon, 01 Jan 99999 00:00:00 GMT", "7\n8"],
)  # fmt: skip
def test_nonsense_is_no_wait(header):
    assert retry_after(header, NOW) is None


@given(st.text() | st.text("0123456789:+-, JanGMTonWed"), st.floats(0, 2e9))
def test_whatever_a_header_says_it_is_a_bearable_wait_or_none(header, now):
    wait = retry_after(header, now)
    assert wait is None or 0 <= wait <= RETRY_AFTER_MAX
