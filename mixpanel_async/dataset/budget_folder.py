"""The record of a project's requests that all processes share which export to one folder: it outlives workers,
schedulers and machines, because it lies beside the data.

Each change is a new file with the next number, which only one process can create (see `manifests`). A number is deleted
when it is `KEPT` seconds older than the last one.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import secrets
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from mixpanel_async.dataset import layout
from mixpanel_async.dataset.budget_state import LEASE, BudgetState
from mixpanel_async.errors import StoreError
from mixpanel_async.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from mixpanel_async.api.budget import Usage, Wait, Window
    from mixpanel_async.dataset.folder import Entry, Folder

    Change = Callable[[BudgetState, float], tuple[BudgetState | None, Wait | None]]
    """From the last state and the time: the next one, if there is one, and what a request waits for."""

TRUSTED = 60.0
"""Seconds from a look at the numbers to the creation of the next one; see `manifests.TRUSTED`."""
KEPT = dt.timedelta(seconds=10 * TRUSTED)


class FolderRecord:
    """A `Record` of one project in a folder."""

    def __init__(self, folder: Folder, project_id: int, clock: Callable[[], float] = time.time) -> None:
        """`clock` returns the seconds since 1970."""
        self._folder = folder
        self._project_id = project_id
        self._clock = clock
        self._prepaid = 0

    async def take(self, windows: Sequence[Window]) -> Wait | None:
        """See `Record`. The request that `running` has counted needs no other place."""
        if self._prepaid:
            self._prepaid -= 1
            return None

        def change(state: BudgetState, now: float) -> tuple[BudgetState | None, Wait | None]:
            wait = state.wait(windows, now)
            return (None if wait else state.with_request(key, now)), wait

        key = secrets.token_hex(8)
        try:
            return await self._change(change)
        except asyncio.CancelledError:
            await self._change(lambda state, _: (state.without(key), None))
            raise

    async def wait(self, windows: Sequence[Window] | None) -> Wait | None:
        """See `Record`."""
        if self._prepaid:
            return None
        return await self._change(lambda state, now: (None, state.wait(windows, now)))

    async def pause(self, seconds: float, *, counted_only: bool) -> None:
        """See `Record`."""
        await self._change(lambda state, now: (state.with_pause(now + seconds, counted_only=counted_only), None))

    async def usage(self) -> Usage:
        """See `Record`."""
        now = self._clock()
        return (await finish_in_thread(self._last))[1].at(now).usage(now)

    @asynccontextmanager
    async def running(self, concurrent: int, windows: Sequence[Window]) -> AsyncIterator[Wait | None]:
        """Count an export that runs while the block does, and its first request. Yield what it waits for if the limits
        do not allow it now: then nothing is counted.
        """

        def begin(state: BudgetState, now: float) -> tuple[BudgetState | None, Wait | None]:
            wait = state.wait_to_run(concurrent, windows, now)
            return (None if wait else state.with_request(key, now).with_run(key, now)), wait

        key = secrets.token_hex(8)
        try:
            if (wait := await self._change(begin)) is not None:
                yield wait
                return
            self._prepaid = 1
            renewing = asyncio.create_task(self._renew(key))
            try:
                yield None
            finally:
                renewing.cancel()
                await asyncio.wait([renewing])
        finally:
            with suppress(StoreError):  # then it ends with its lease
                await self._change(lambda state, _: (state.without_run(key) if key in state.running else None, None))

    async def _renew(self, key: str) -> None:
        while True:
            await asyncio.sleep(LEASE / 4)
            with suppress(StoreError):
                await self._change(lambda state, now: (state.with_run(key, now), None))

    async def _change(self, change: Change) -> Wait | None:
        return await finish_in_thread(self._change_now, change)

    def _change_now(self, change: Change) -> Wait | None:
        """Create the state after the last one; again, if another process was first."""
        while True:
            looked_at = time.monotonic()
            number, last, entries = self._last()
            now = self._clock()
            state, wait = change(last.at(now), now)
            if state is None:
                return wait
            name = layout.budget(self._project_id, number + 1)
            if self._folder.create(name, msgspec.structs.replace(state, by=secrets.token_hex(8)).to_json()):
                if time.monotonic() < looked_at + TRUSTED:
                    self._delete_old(entries)
                    return wait
                self._folder.delete(name)
            time.sleep(random.uniform(0, 0.02))  # noqa: S311 - so that two do not meet again

    def _last(self) -> tuple[int, BudgetState, Sequence[Entry]]:
        """Return the last number, its state, and all files."""
        while True:
            entries = self._folder.entries(layout.budgets(self._project_id))
            if not entries:
                return 0, BudgetState(), entries
            name = entries[-1].name
            number = layout.read_budget_name(name)
            if number is None:
                raise StoreError(f"{self._folder.url(name)} is not a file of this library: remove it.")
            if (data := self._folder.read(name)) is not None:  # else it was deleted meanwhile
                return number, BudgetState.from_json(data, self._folder.url(name)), entries

    def _delete_old(self, entries: Sequence[Entry]) -> None:
        for entry in entries[:-1]:
            if entry.modified < entries[-1].modified - KEPT:
                self._folder.delete(entry.name)
