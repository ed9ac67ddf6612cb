"""The files of one chunk: written under names that nobody else uses, then made valid date by date."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from mixpanel_async.dataset import layout
from mixpanel_async.dataset.manifest import ChunkFacts, Manifest
from mixpanel_async.dataset.manifests import Manifests
from mixpanel_async.dates import dates_between
from mixpanel_async.errors import StoreError
from mixpanel_async.terminal import span

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mixpanel_async.dataset.folder import Folder
    from mixpanel_async.dates import DateChunk
    from mixpanel_async.records import ChunkCounts, ChunkRecord

PUBLISHED_WITHIN = 3600.0
"""Seconds from the beginning of a chunk's files until they are made valid. `garbage` deletes older ones."""


class ChunkFiles:
    """Implements `duck.parquet_sink.Files` in a folder. Its methods block."""

    def __init__(
        self, folder: Folder, project_id: int, dates: DateChunk, *, run: str, last_complete_day: dt.date | None
    ) -> None:
        self.published: dict[str, Manifest] = {}
        """The manifest that counts of each date, after `publish`."""
        self._folder = folder
        self._project_id = project_id
        self._dates = dates
        self._run = run
        self._last_complete_day = last_complete_day
        self._token = secrets.token_hex(8)
        self._began = time.monotonic()
        self._rejected = layout.rejected(project_id, dates, self._token)

    @property
    def dates(self) -> list[str]:
        """The dates of the chunk, in order."""
        return dates_between(*self._dates)

    @property
    def rejected_in(self) -> str:
        """Where lines are kept that are not events."""
        return self._folder.url(self._rejected)

    def writing(self, date: str) -> AbstractContextManager[Path]:
        """Yield a path to write the rows of a date to."""
        return self._folder.writing(self._part(date))

    def writing_rejected(self) -> AbstractContextManager[Path]:
        """Yield a path to write the lines to that are not events."""
        return self._folder.writing(self._rejected)

    def publish(
        self, record: ChunkRecord, counts: ChunkCounts, rows: Mapping[str, int], *, is_atomic: bool
    ) -> ChunkCounts:
        """Make the files valid, for each date unless a newer request was first. Return the counts of what is valid
        then. A date without rows has no file.
        """
        if time.monotonic() > self._began + PUBLISHED_WITHIN:
            raise StoreError(f"{span(*self._dates)}: writing took so long that the files may be gone: call again.")
        facts = self._facts(record, counts, is_atomic=is_atomic)
        for date in self.dates:
            file = self._part(date) if rows.get(date) else None
            mine = Manifest(date, rows.get(date, 0), file, self._is_final(date), facts)
            self.published[date] = valid = Manifests(self._folder, self._project_id).publish(mine)
            if file is not None and valid.file != file:
                self._folder.delete(file)
        return replace(counts, rows=sum(manifest.rows for manifest in self.published.values()))

    def _part(self, date: str) -> str:
        return layout.part(self._project_id, date, self._token)

    def _is_final(self, date: str) -> bool:
        return self._last_complete_day is not None and date <= self._last_complete_day.isoformat()

    def _facts(self, record: ChunkRecord, counts: ChunkCounts, *, is_atomic: bool) -> ChunkFacts:
        return ChunkFacts(
            *self._dates, self._run, self._token, record.fetched_at.astimezone(dt.UTC),
            duplicates=counts.duplicates, rejected=counts.rejected,
            rejected_file=self._rejected if counts.rejected else None,
            bytes=record.bytes, retries=record.retries, is_atomic=is_atomic,
        )  # fmt: skip
