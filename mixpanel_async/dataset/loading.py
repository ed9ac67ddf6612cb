"""What is valid of a project, as chunks that a table can take."""

from __future__ import annotations

import datetime as dt
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from mixpanel_async.dataset.manifests import Manifests, selection_of
from mixpanel_async.dataset.object_folder import open_folder
from mixpanel_async.dates import ONE_DAY
from mixpanel_async.duck.parquet_loading import ParquetChunk, load_chunks
from mixpanel_async.records import ChunkRecord

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    import duckdb

    from mixpanel_async.dataset.manifest import Manifest
    from mixpanel_async.duck.schema import Schema


def plan_loading(
    destination: str | os.PathLike[str], project_id: int, name: str, first: str = "", last: str = "9999-99-99"
) -> Callable[[duckdb.DuckDBPyConnection, Schema], int]:
    """Return what loads a project's valid dates into a table, and returns how many rows that were. It blocks.

    Raises:
        TableNotFoundError: the project was never exported to this destination.
        StoreError: the destination cannot be read.
    """
    folder = open_folder(destination)
    selection, deduplicate = selection_of(folder, project_id)
    chunks = list(_chunks(list(Manifests(folder, project_id).valid(first, last).values())))
    return partial(
        load_chunks, name=name, project=str(project_id), selection=selection, deduplicate=deduplicate, chunks=chunks,
        reading=folder.reading,
    )  # fmt: skip


def _chunks(manifests: Sequence[Manifest]) -> Iterator[ParquetChunk]:
    """Yield dates without a gap that came in one chunk. What was counted for a whole chunk is with its first dates."""
    seen: set[str] = set()
    for _, group in groupby(enumerate(manifests), _run):
        run = [manifest for _, manifest in group]
        facts, is_first = run[0].chunk, run[0].chunk.token not in seen
        seen.add(facts.token)
        final = [dt.date.fromisoformat(each.date) for each in run if each.is_final]
        yield ParquetChunk(
            ChunkRecord(
                (run[0].date, run[-1].date), facts.bytes if is_first else 0, facts.retries if is_first else 0,
                facts.fetched_at,
            ),
            [each.file for each in run if each.file is not None],
            facts.duplicates if is_first else 0,
            facts.rejected_file if is_first else None,
            max(final, default=None),
        )  # fmt: skip


def _run(numbered: tuple[int, Manifest]) -> tuple[str, dt.date]:
    number, manifest = numbered
    return manifest.chunk.token, dt.date.fromisoformat(manifest.date) - number * ONE_DAY
