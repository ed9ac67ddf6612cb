"""What is valid of a project, as the rows of a journal by which chunks are planned."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from mixpanel_async.api.limits import Budget
from mixpanel_async.distributed.project_plan import journal_of
from mixpanel_async.export.plan import Chunking, keep_final, plan_chunks
from tests.dataset.test_manifests import manifest

RANGE = dt.date(2026, 1, 1), dt.date(2026, 1, 10)


def held(*chunks):
    """Manifests of chunks: first day, last day, which attempt, and what is unusual."""
    found = {}
    for first, last, attempt, *unusual in chunks:
        for day in range(first, last + 1):
            date = f"2026-01-{day:02}"
            each = manifest(attempt, date)
            facts = replace(
                each.chunk, from_date=f"2026-01-{first:02}", to_date=f"2026-01-{last:02}", bytes=700,
                is_atomic="atomic" in unusual,
            )  # fmt: skip
            found[date] = replace(each, chunk=facts, is_final="open" not in unusual)
    return dict(sorted(found.items()))


def missing(manifests):
    chunks = plan_chunks(
        RANGE, Chunking(10, 1), journal_of(dict(sorted(manifests.items()))), Budget(60, 60), keep_final
    )
    return [(int(first[-2:]), int(last[-2:])) for first, last in chunks]


def without(manifests, *days):
    return {date: each for date, each in manifests.items() if int(date[-2:]) not in days}


@pytest.mark.parametrize(
    ("manifests", "chunks"),
    [
        (held(), [(1, 10)]),
        (held((1, 10, 1)), []),
        (held((1, 3, 1), (4, 10, 2)), []),
        (held((2, 3, 1), (5, 6, 2)), [(1, 1), (4, 4), (7, 10)]),
        (held((1, 10, 1, "open")), [(1, 10)]),
        (without(held((1, 10, 1)), 4, 5), [(4, 5)]),
        (held((1, 10, 1, "atomic")), []),
        (without(held((2, 5, 1, "atomic")), 4), [(1, 10)]),
        (held((1, 1, 3), (6, 10, 3)) | without(held((2, 5, 1, "atomic")), 4), [(2, 5)]),
        (held((1, 1, 1), (2, 5, 1, "atomic"), (4, 8, 2), (9, 10, 3)), [(2, 5)]),
        (held((1, 1, 1), (2, 5, 1, "atomic"), (4, 8, 2, "atomic"), (9, 10, 3)), [(2, 8)]),
    ],
)
def test_what_is_missing(manifests, chunks):
    assert missing(manifests) == chunks


def test_rows_have_the_weight_of_their_days():
    [row] = journal_of(without(held((1, 7, 1)), 6, 7))
    assert (row.first.day, row.last.day, row.bytes) == (1, 5, 500)
    assert (row.is_final, row.is_atomic) == (True, False)
