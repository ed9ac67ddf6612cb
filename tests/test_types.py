"""The results, to the letter."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import pickle
from typing import get_type_hints

import pytest

from mixpanel_async import types
from mixpanel_async.types import (
    BatchProgress,
    BatchResult,
    Failure,
    FetchPlan,
    FetchProgress,
    FetchResult,
    ParallelFetchResult,
    ParallelProfileFetchResult,
    ProfileBatchProgress,
)

AT = dt.datetime(2024, 1, 8, 12, tzinfo=dt.UTC)
DAYS = {"from_date": "2024-01-01", "to_date": "2024-01-07"}

# Fields that come after the documented ones, each with a default, and are not in `to_dict`.
BESIDE = {
    ParallelFetchResult: {"failures": (), "rejected_rows": 0},
    FetchResult: {"failures": (), "rejected_rows": 0, "warnings": ()},
    ParallelProfileFetchResult: {"warnings": (), "page_errors": ()},
}

# Each type's fields in order with a value, and what `to_dict` makes of them where that is another.
SHAPES = {
    BatchProgress: (DAYS | {"batch_index": 0, "total_batches": 4, "rows": 5, "success": True, "error": None}, {}),
    FetchProgress: (
        {
            "total_chunks": 5,
            "chunks": 2,
            "rows": 9,
            "bytes": 1000,
            "retries": 1,
            "rejected_rows": 3,
            "waiting_until": AT,
            "waiting_for": "the limit of 60 exports an hour",
            "failed_chunks": 1,
        },
        {"waiting_until": "2024-01-08T12:00:00+00:00"},
    ),
    Failure: (DAYS | {"attempts": 5, "error": "why"}, {}),
    FetchPlan: (
        {
            "chunks": (("2024-01-01", "2024-01-07"),),
            "requests": 1,
            "requests_left": 60,
            "wait_seconds": 0.0,
            "days": 7,
            "settled_days": 3,
            "expected_bytes": None,
        },
        {"chunks": [["2024-01-01", "2024-01-07"]]},
    ),
    BatchResult: (DAYS | {"rows": 5, "success": False, "error": "why"}, {}),
    ParallelFetchResult: (
        {
            "table": "events",
            "total_rows": 9,
            "successful_batches": 3,
            "failed_batches": 1,
            "failed_date_ranges": (("2024-01-01", "2024-01-07"),),
            "duration_seconds": 1.5,
            "fetched_at": AT,
        },
        {"failed_date_ranges": [["2024-01-01", "2024-01-07"]], "fetched_at": "2024-01-08T12:00:00+00:00", "has_failures": True},
    ),
    FetchResult: (
        {
            "table": "events",
            "rows": 9,
            "type": "events",
            "duration_seconds": 1.5,
            "date_range": ("2024-01-01", "2024-01-07"),
            "fetched_at": AT,
        },
        {"date_range": ["2024-01-01", "2024-01-07"], "fetched_at": "2024-01-08T12:00:00+00:00"},
    ),
    ProfileBatchProgress: ({"page_index": 1, "total_pages": 2, "rows": 5, "success": True, "error": None}, {}),
    ParallelProfileFetchResult: (
        {
            "table": "profiles",
            "total_rows": 9,
            "successful_pages": 3,
            "failed_pages": 2,
            "failed_page_indices": (1, 4),
            "duration_seconds": 1.5,
            "fetched_at": AT,
        },
        {"failed_page_indices": [1, 4], "fetched_at": "2024-01-08T12:00:00+00:00", "has_failures": True},
    ),
}  # fmt: skip


def documented(kind):
    return [field for field in dataclasses.fields(kind) if field.name not in BESIDE.get(kind, {})]


every_type = pytest.mark.parametrize("kind", SHAPES, ids=lambda kind: kind.__name__)


def made(kind, **other):
    return kind(**(SHAPES[kind][0] | other))


def test_no_type_is_forgotten():
    assert {each for each in vars(types).values() if dataclasses.is_dataclass(each)} == set(SHAPES)


@every_type
def test_fields_and_dictionary_are_the_documented_ones_in_order(kind):
    values, other = SHAPES[kind]
    assert [field.name for field in dataclasses.fields(kind)][: len(values)] == list(values)
    assert {field.name: field.default for field in dataclasses.fields(kind)[len(values) :]} == BESIDE.get(kind, {})
    assert list(made(kind).to_dict().items()) == list((values | other).items())
    assert kind(*values.values()) == made(kind)
    json.dumps(made(kind).to_dict(), allow_nan=False)


@every_type
def test_results_are_frozen_and_travel(kind):
    result = made(kind)
    for field in dataclasses.fields(kind):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(result, field.name, getattr(result, field.name))
    assert not hasattr(result, "__dict__")
    assert pickle.loads(pickle.dumps(result)) == result
    assert hash(result) == hash(made(kind))


def test_the_annotations_are_the_documented_ones():
    hints = {kind: get_type_hints(kind, vars(types) | {"datetime": dt.datetime}) for kind in SHAPES}
    assert hints[BatchProgress] == DAYS | dict.fromkeys(DAYS, str) | {
        "batch_index": int, "total_batches": int, "rows": int, "success": bool, "error": str | None,
    }  # fmt: skip
    assert hints[BatchResult] == dict.fromkeys(DAYS, str) | {"rows": int, "success": bool, "error": str | None}
    assert hints[ParallelFetchResult]["failed_date_ranges"] == tuple[tuple[str, str], ...]
    assert hints[ParallelFetchResult]["fetched_at"] is dt.datetime
    assert hints[FetchResult]["date_range"] == tuple[str, str] | None
    assert hints[ParallelProfileFetchResult]["failed_page_indices"] == tuple[int, ...]


@pytest.mark.parametrize("kind", [BatchProgress, BatchResult, ProfileBatchProgress], ids=lambda kind: kind.__name__)
def test_only_the_error_has_a_default(kind):
    values = {name: value for name, value in SHAPES[kind][0].items() if name != "error"}
    assert kind(**values).error is None
    assert [f.name for f in dataclasses.fields(kind) if f.default is not dataclasses.MISSING] == ["error"]


@pytest.mark.parametrize(
    "kind", [ParallelFetchResult, FetchResult, ParallelProfileFetchResult], ids=lambda kind: kind.__name__
)
def test_the_others_have_none(kind):
    assert all(field.default is dataclasses.MISSING for field in documented(kind))


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        (BatchProgress, {"batch_index": -1}),
        (BatchProgress, {"batch_index": 4}),
        (BatchProgress, {"total_batches": 0}),
        (BatchProgress, {"total_batches": -1}),
        (BatchProgress, {"rows": -1}),
        (BatchResult, {"rows": -1}),
        (ParallelFetchResult, {"total_rows": -1}),
        (ParallelFetchResult, {"successful_batches": -1}),
        (ParallelFetchResult, {"failed_batches": 0}),
        (ParallelFetchResult, {"failed_batches": 2}),
        (ParallelFetchResult, {"failed_date_ranges": ()}),
        (FetchResult, {"rows": -1}),
        (FetchResult, {"type": "people"}),
        (ProfileBatchProgress, {"page_index": -1}),
        (ProfileBatchProgress, {"page_index": 2}),
        (ProfileBatchProgress, {"total_pages": 0, "page_index": 0}),
        (ProfileBatchProgress, {"rows": -1}),
        (ProfileBatchProgress, {"success": True, "error": "why"}),
        (ParallelProfileFetchResult, {"total_rows": -1}),
        (ParallelProfileFetchResult, {"successful_pages": -1}),
        (ParallelProfileFetchResult, {"failed_pages": -1}),
        (ParallelProfileFetchResult, {"failed_pages": 1}),
        (ParallelProfileFetchResult, {"failed_page_indices": ()}),
    ],
)
def test_a_broken_rule_is_a_value_error(kind, broken):
    with pytest.raises(ValueError, match=r"must|has no error"):
        made(kind, **broken)


def test_the_edges_of_the_rules_are_allowed():
    made(BatchProgress, batch_index=3, rows=0, success=False, error="why")
    made(BatchResult, rows=0)
    made(FetchResult, rows=0, type="profiles", date_range=None)
    made(ProfileBatchProgress, page_index=0, rows=0, success=False, error="why")


def test_failures_are_those_that_were_counted():
    assert made(ParallelFetchResult).has_failures
    whole = made(ParallelFetchResult, failed_batches=0, failed_date_ranges=(), total_rows=0)
    assert not whole.has_failures
    assert list(whole.to_dict())[-1] == "has_failures"
    assert whole.to_dict()["has_failures"] is False
    assert made(ParallelProfileFetchResult).has_failures
    assert not made(ParallelProfileFetchResult, failed_pages=0, failed_page_indices=()).has_failures


def test_a_fetch_of_profiles_has_no_dates():
    assert made(FetchResult, type="profiles", date_range=None).to_dict()["date_range"] is None


def test_a_call_that_becomes_parallel_keeps_its_names():
    failure = Failure("2024-01-01", "2024-01-07", 5, "why")
    parallel = made(ParallelFetchResult, failures=(failure,), rejected_rows=3)
    assert (parallel.rows, parallel.rejected_rows, parallel.failures[0].error) == (9, 3, "why")
    single = made(FetchResult, rejected_rows=3)
    assert (single.total_rows, single.rejected_rows) == (9, 3)
    assert (single.has_failures, single.failed_date_ranges, single.failures) == (False, (), ())
    for result in (parallel, single):
        assert not {"failures", "rejected_rows"} & set(result.to_dict())
