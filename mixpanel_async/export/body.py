"""A body to stream from: proven whole, then given a part at a time.

Its text is gunzipped twice, unless there is room to keep it from the proof to the end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from mixpanel_async.decode.arrow_blocks import blocks, gunzip
from mixpanel_async.decode.parts import parts
from mixpanel_async.decode.proof import prove
from mixpanel_async.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from typing import Self

    from mixpanel_async.dates import DateChunk
    from mixpanel_async.decode.parts import Part
    from mixpanel_async.export.spool import Budget, Spool

T = TypeVar("T")

RATIO = 6
"""How much longer a text is than its gzip, about: one that there is no room for is not begun to be kept."""


class Body:
    """One body in its spool. A context manager: what it keeps is given back at its end."""

    def __init__(self, dates: DateChunk, spool: Spool, budget: Budget) -> None:
        """`budget` is of text, and shared with other bodies."""
        self.dates = dates
        """What it was asked for by."""
        self._spool = spool
        self._budget = budget
        self._kept: deque[Part] = deque()
        self._keeps = spool.size * RATIO <= budget.left

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._keep_nothing()

    async def prove(self) -> None:
        """Look it through, and keep its text where there is room for all of it.

        Raises:
            ExportError, DecodeError: see `prove`.
        """
        looked_at = prove(self._spool.look())
        while (block := await self._next(looked_at)) is not None:
            self._keeps = self._keeps and self._budget.take(sum(len(part.text) for part in block))
            if self._keeps:
                self._kept += block
            else:
                self._keep_nothing()

    async def parts(self) -> AsyncGenerator[Part, None]:
        """Its lines, once, in parts; other tasks have their turn between two of them."""
        while self._kept:
            yield self._give_back()
            await asyncio.sleep(0)
        if not self._keeps:
            text = blocks(gunzip(self._spool.pieces()))
            while (block := await self._next(text)) is not None:
                for part in parts(block):
                    yield part
                    await asyncio.sleep(0)

    async def _next(self, steps: Iterator[T]) -> T | None:
        """Make a step where it is quickest: a thread is for a file that may block.

        Gunzip and parser take turns on the event loop, a millisecond at a time: in a thread either would only wait
        for the other (CPython's lock), and hold the loop up for longer.
        """
        if self._spool.is_on_disk:
            return await finish_in_thread(next, steps, None)
        await asyncio.sleep(0)
        return next(steps, None)

    def _keep_nothing(self) -> None:
        while self._kept:
            self._give_back()

    def _give_back(self) -> Part:
        part = self._kept.popleft()
        self._budget.give_back(len(part.text))
        return part
