"""The one call that runs, how far it is, and which dates have failed."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from mixpanel_async import BatchProgress, FetchProgress, MixpanelClient, MixpanelError

logger = logging.getLogger(__name__)

Dates = tuple[str, str]
"""First and last date, `YYYY-MM-DD`, both inclusive."""

DAYS = 30
"""The first sync begins so many days ago."""
CHUNK_DAYS = 3
"""Days in a request: `"auto"` takes as many requests as keep ten workers busy, and an hour has 60 for all syncs."""
HEARTBEAT = 15
"""Seconds after which `states` repeats a state that has not changed, so that no proxy takes the stream for dead."""


class RunningError(Exception):
    """A call runs already."""


@dataclass(frozen=True, slots=True)
class State:
    """What every browser shows; a change makes a new one."""

    running: str | None = None
    """What is fetched; `None` if nothing is."""
    progress: FetchProgress | None = None
    """Of the call that runs or, if none does, of the last one."""
    failed: Mapping[Dates, str] = field(default_factory=dict)
    """Chunks that have failed and were not fetched since, each with its cause."""
    error: str | None = None
    """What ended the last call, if it did not end by itself."""

    def to_json(self) -> str:
        """Return it for `page.js`."""
        failed = [{"from_date": first, "to_date": last, "error": error} for (first, last), error in self.failed.items()]
        progress = self.progress and self.progress.to_dict()
        return json.dumps({"running": self.running, "progress": progress, "failed": failed, "error": self.error})


class Runs:
    """Runs one call at a time, as a task of the event loop that it was made on."""

    def __init__(self, client: MixpanelClient) -> None:
        self.state = State()
        self._client = client
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._is_ending = False

    def sync(self) -> None:
        """Start to bring the table up to date. Raises RunningError."""
        first = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=DAYS)
        call = partial(self._client.sync_events, from_date=first, chunk_days=CHUNK_DAYS)
        self._start("all dates", call, set(self.state.failed))

    def fetch_again(self, dates: Dates) -> None:
        """Start to fetch a chunk that has failed, in one request. Raises RunningError, or KeyError for other dates."""
        if dates not in self.state.failed:
            raise KeyError(dates)
        first, last = map(dt.date.fromisoformat, dates)
        days = (last - first).days + 1
        call = partial(self._client.sync_events, from_date=first, to_date=last, chunk_days=days)
        self._start(" to ".join(dict.fromkeys(dates)), call, {dates})

    async def states(self) -> AsyncIterator[State]:
        """Yield the state now and the newest one whenever it has changed, until `end_streams`. A slow reader misses
        states in between, and holds nothing back.
        """
        while not self._is_ending:
            changed = self._changed
            yield self.state
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), HEARTBEAT)

    def end_streams(self) -> None:
        """End all `states`."""
        self._is_ending = True
        self._changed.set()

    async def close(self) -> None:
        """Cancel the call that runs. The chunks that it has committed stay."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _start(self, what: str, call: Callable[..., Awaitable[Any]], again: Collection[Dates]) -> None:
        if self.state.running is not None:
            raise RunningError
        self._change(running=what, progress=None, error=None)
        self._task = asyncio.create_task(self._run(call, again))

    async def _run(self, call: Callable[..., Awaitable[Any]], again: Collection[Dates]) -> None:
        """Make the call. `again` are failed chunks that it fetches: they stay listed until it has ended."""
        failed: dict[Dates, str] = {}

        async def note_failure(chunk: BatchProgress) -> None:
            if not chunk.success:
                failed[chunk.from_date, chunk.to_date] = str(chunk.error)
                self._change(failed={**self.state.failed, **failed})

        async def show(progress: FetchProgress) -> None:
            self._change(progress=progress)

        try:
            await call(on_batch_complete=note_failure, progress=show)
            others = {dates: error for dates, error in self.state.failed.items() if dates not in again}
            self._change(failed={**others, **failed})
        except MixpanelError as error:
            self._change(error=str(error))
        except Exception:
            logger.exception("The call failed.")
            self._change(error="The call failed; the server's log says why.")
        finally:
            self._change(running=None)

    def _change(self, **values: Any) -> None:  # noqa: ANN401 - the fields of State
        self.state = replace(self.state, **values)
        self._changed.set()
        self._changed = asyncio.Event()
