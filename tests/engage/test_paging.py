"""Which pages of a session follow, and where they end: without a server."""

from __future__ import annotations

import pytest

from mixpanel_async.engage.page import Page, Profile
from mixpanel_async.engage.paging import PAGES_AHEAD, EmptyPageAfterAnotherError, EmptyPageError, Paging, Session


def page_of(rows, **fields):
    profiles = [Profile(f"p{n}", None, b"{}") for n in range(rows)]
    return Page(**{"session_id": "s", "total": None, "size": 10, "profiles": profiles} | fields)


def paging_of(total, size=10):
    return Paging(Session("s", total, size))


@pytest.mark.parametrize(
    ("fields", "rows", "size"),
    [({"size": 10}, 3, 10), ({"size": None}, 3, 1000), ({"size": 10}, 12, 12), ({"size": 1}, 0, 1)],
)
def test_a_page_holds_what_it_says_or_more(fields, rows, size):
    assert Session.of(page_of(rows, **fields)) == Session("s", None, size)


@pytest.mark.parametrize(
    ("total", "rows", "follow"),
    [
        (25, 10, [1, 2]), (30, 10, [1, 2]), (31, 10, [1, 2, 3]), (10, 10, [1]), (0, 10, [1]), (None, 10, [1]),
        (10, 7, [1]), (7, 7, []), (3, 7, [1]), (None, 7, [1]), (10**12, 7, [1]), (0, 0, []), (None, 0, []),
    ],
)  # fmt: skip
def test_what_follows_the_first_page(total, rows, follow):
    paging = paging_of(total)
    paging.ended(0, rows)
    assert list(paging.next_pages()) == follow
    assert list(paging.next_pages()) == []


def test_an_absurd_total_is_requested_in_parts():
    paging = paging_of(10**12)
    paging.ended(0, 10)
    assert paging.unrequested == 10**11 - 1
    assert paging.next_pages() == range(1, PAGES_AHEAD + 1)
    assert paging.unrequested == 10**11 - 1 - PAGES_AHEAD
    paging.ended(1, 10)
    assert not paging.next_pages()
    paging.ended(PAGES_AHEAD, 10)
    assert paging.next_pages() == range(PAGES_AHEAD + 1, 2 * PAGES_AHEAD + 1)


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
def test_a_last_page_that_is_not_full_is_the_end_only_if_all_add_up(order):
    for total, follow in [(35, []), (38, [4]), (31, [4])]:
        paging = paging_of(total)
        paging.ended(0, 10)
        paging.next_pages()
        following = []
        for number in order:
            paging.ended(number, 5 if number == 3 else 10)
            following += paging.next_pages()
        assert following == follow
        assert list(paging.warnings()) == ([] if total == 35 else [f"Mixpanel counted {total} profiles, and 35 came."])


def test_a_session_with_a_failed_page_is_not_added_up():
    paging = paging_of(25)
    paging.ended(0, 10)
    paging.next_pages()
    paging.failed(1)
    paging.ended(2, 5)
    assert not paging.next_pages()


@pytest.mark.parametrize("later", ["profiles", "failure", "nothing"])
@pytest.mark.parametrize("empty_comes_first", [True, False])
def test_an_empty_page_is_lost_if_a_later_page_is_not_known_to_be_empty(later, empty_comes_first):
    paging = paging_of(40)
    paging.ended(0, 10)
    paging.next_pages()
    paging.ended(1, 10)
    error = EmptyPageError("")

    def settle_later():
        if later == "profiles":
            paging.ended(3, 1)
        elif later == "failure":
            paging.failed(3)
        else:
            paging.ended_empty(3, error)

    if not empty_comes_first:
        settle_later()
    paging.ended_empty(2, error)
    if empty_comes_first:
        assert (paging.take_lost(), paging.take_end()) == ([], [])
        settle_later()
    assert paging.take_lost() == ([] if later == "nothing" else [(2, error)])
    assert sorted(paging.take_end()) == ([2, 3] if later == "nothing" else [])


def test_an_empty_page_after_another_is_not_tried_again():
    paging = paging_of(40)
    paging.ended(0, 10)
    paging.check_not_empty(1, page_of(1))
    with pytest.raises(EmptyPageError) as error:
        paging.check_not_empty(1, page_of(0))
    assert error.value.retryable
    paging.ended_empty(1, error.value)
    with pytest.raises(EmptyPageAfterAnotherError) as error:
        paging.check_not_empty(2, page_of(0))
    assert not error.value.retryable
    paging.ended(3, 1)
    paging.take_lost()
    with pytest.raises(EmptyPageError) as error:
        paging.check_not_empty(2, page_of(0))
    assert error.value.retryable
    paging.check_not_empty(4, page_of(0))  # past the total


def test_the_same_profiles_on_another_page_in_whatever_order():
    paging = paging_of(20, size=4)
    other = page_of(4)
    other.profiles.reverse()
    assert paging.same_as(1, page_of(4)) is None
    assert paging.same_as(1, other) is None
    assert paging.same_as(2, other) == 1
    assert paging.same_as(2, page_of(3)) is None
    assert paging.same_as(5, other) is None  # past the total, where the profiles themselves are compared
