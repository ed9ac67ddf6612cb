"""A body to stream from: first proven whole, then yielded in small blocks.

The body is gunzipped twice, unless there is memory to keep its text after the proof.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from mixpanel_async.decode.gunzip import gunzip
from mixpanel_async.decode.lines import Blocks
from mixpanel_async.decode.proven_blocks import proven_blocks, small_blocks
from mixpanel_async.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from typing import Self

    from mixpanel_async.decode.proven_blocks import SmallBlock
    from mixpanel_async.export.download import Body
    from mixpanel_async.export.spool import MemoryBudget

T = TypeVar("T")

TEXT_PER_GZIP = 6
"""Bytes of text per byte of gzip, about. If the text will surely not fit into memory, none of it is kept."""


class StreamBody:
    """One body in its spool. A context manager: at its end the memory of its text is released."""

    def __init__(self, body: Body, budget: MemoryBudget) -> None:
        """`budget` is for text, and shared with other bodies."""
        self.dates = body.dates
        """Of its request."""
        self._body = body
        self._budget = budget
        self._kept: deque[SmallBlock] = deque()
        self._keeps = body.size * TEXT_PER_GZIP <= budget.free

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._drop_kept()

    async def prove(self) -> None:
        """Read it to its end, and keep its text if there is memory for all of it.

        Raises:
            ExportError: see `proven_blocks`.
        """
        proven = proven_blocks(self._body.read(keep=True), self._body.known_end)
        while (blocks_of_text := await self._next(proven)) is not None:
            self._keeps = self._keeps and self._budget.acquire(sum(len(block.text) for block in blocks_of_text))
            if self._keeps:
                self._kept += blocks_of_text
            else:
                self._drop_kept()

    async def blocks(self) -> AsyncGenerator[SmallBlock, None]:
        """Yield its lines once, in small blocks; other tasks run between two of them."""
        while self._kept:
            yield self._pop()
            await asyncio.sleep(0)
        if not self._keeps:
            text = iter(Blocks(gunzip(self._body.read(keep=False))))
            while (block := await self._next(text)) is not None:
                for small in small_blocks(block):
                    yield small
                    await asyncio.sleep(0)

    async def _next(self, steps: Iterator[T]) -> T | None:
        """Take a step where it is fastest: in a thread only if a file may block.

        Otherwise gunzip and parser alternate on the event loop, a millisecond at a time. In threads they would wait for
        each other (CPython's lock), and hold the loop up for longer.
        """
        if self._body.is_on_disk:
            return await finish_in_thread(next, steps, None)
        await asyncio.sleep(0)
        return next(steps, None)

    def _drop_kept(self) -> None:
        while self._kept:
            self._pop()

    def _pop(self) -> SmallBlock:
        block = self._kept.popleft()
        self._budget.release(len(block.text))
        return block
