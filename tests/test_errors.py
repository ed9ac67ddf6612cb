"""One tree of errors: what it looks like, what each carries, and what it means for a run."""

from __future__ import annotations

import inspect
import pickle

import pytest

from mixpanel_async import errors
from mixpanel_async.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionLostError,
    DatabaseLockedError,
    DecodeError,
    ExportError,
    MixpanelError,
    QueryError,
    RateLimitError,
    SelectionMismatchError,
    ServerError,
    StoreError,
    TableExistsError,
    TableNotFoundError,
)

TREE = {
    MixpanelError: Exception,
    ConfigurationError: MixpanelError,
    ExportError: MixpanelError,
    AuthenticationError: ExportError,
    QueryError: ExportError,
    RateLimitError: ExportError,
    ServerError: ExportError,
    ConnectionLostError: ExportError,
    DecodeError: MixpanelError,
    StoreError: MixpanelError,
    TableExistsError: StoreError,
    TableNotFoundError: StoreError,
    SelectionMismatchError: StoreError,
    DatabaseLockedError: StoreError,
}


def test_the_tree_is_the_one_that_is_drawn():
    there = {each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, BaseException)}
    assert {each: each.__bases__ for each in there} == {each: (base,) for each, base in TREE.items()}
    assert all(each.__name__ in errors.__doc__ for each in TREE)
    assert all(each.__doc__ for each in TREE)


def test_what_is_retryable_and_what_is_fatal():
    exports = [each for each in TREE if issubclass(each, ExportError)]
    assert {each for each in exports if each.retryable} == {RateLimitError, ServerError, ConnectionLostError}
    assert {each for each in exports if each.fatal} == {AuthenticationError, QueryError}


CARRIED = ("from_date", "to_date", "status", "attempts")


@pytest.mark.parametrize("kind", [ExportError, AuthenticationError, QueryError])
def test_what_an_export_error_carries(kind):
    error = kind("text", from_date="2024-01-01", to_date="2024-01-07", status=400, attempts=3)
    assert [getattr(error, name) for name in CARRIED] == ["2024-01-01", "2024-01-07", 400, 3]
    assert str(error) == "text"


@pytest.mark.parametrize(
    "kind", [each for each in TREE if issubclass(each, ExportError)], ids=lambda kind: kind.__name__
)
def test_what_is_not_known_yet_is_none(kind):
    status = 429 if kind is RateLimitError else None
    assert [getattr(kind("text"), name) for name in CARRIED] == [None, None, status, 0]


def test_what_the_two_that_may_ask_for_patience_carry():
    assert (RateLimitError("text").status, RateLimitError("text").retry_after) == (429, None)
    assert RateLimitError("text", retry_after=7.0).retry_after == 7.0
    assert (ServerError("text").status, ServerError("text").retry_after) == (None, None)
    assert (ServerError("text", status=503).status, ServerError("text", retry_after=7.0).retry_after) == (503, 7.0)


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_errors_travel_between_processes_with_all_they_carry(kind):
    error = kind("text")
    if isinstance(error, ExportError):
        error.from_date, error.to_date, error.status, error.attempts = "2024-01-01", "2024-01-07", 500, 3
    if hasattr(error, "retry_after"):
        error.retry_after = 7.0
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))
