"""The bar that `progress=True` shows: in a terminal, in a notebook, and elsewhere as plain lines."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
import warnings
from collections import deque
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from mixpanel_async.progress_line import BAR, line
from mixpanel_async.tasks import cancel_all
from mixpanel_async.threads import finish_in_thread

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of a notebook without ipywidgets, where it takes its bar of text
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mixpanel_async.types import FetchProgress

    Text = Callable[[int | None], str]

logger = logging.getLogger(__name__)

DRAW_EVERY = 0.25
"""Seconds."""
RATE_OVER = 10.0
"""Seconds over which the bytes a second are counted."""
LINE_EVERY = 10.0
"""Seconds between two plain lines."""
SAME_LINE_EVERY = 60.0
"""Seconds between two plain lines if nothing has changed."""
COLUMNS = 80
"""Where no terminal tells how wide it is."""
_INTERRUPTED = "Interrupted: committed {} are kept. Run the cell again, a fetch with resume=True, for the rest.\n"
FREE_COLUMNS = 2
"""At the end of a terminal's line: Ctrl-C shows `^C` there."""


@asynccontextmanager
async def shown(now: Callable[[], FetchProgress], table: str, chunks: str) -> AsyncIterator[None]:
    """Show how far a call is while the block runs. What it was at the end stays, however the block ends. If a notebook
    is interrupted, a line also tells what is kept, above the traceback.

    It is drawn in a thread, because a terminal that is stopped, or a full pipe, blocks.
    """
    bar, is_interrupted = ProgressBar(table, chunks), False
    drawing = asyncio.create_task(_draw_often(bar, now))
    try:
        yield
    except asyncio.CancelledError:
        is_interrupted = _in_kernel() and chunks != "files"
        raise
    finally:
        _, cancelled = await cancel_all([drawing])
        bar.close(now())
        if is_interrupted:
            sys.stdout.write(_INTERRUPTED.format(chunks))
        if cancelled is not None:
            raise cancelled


async def _draw_often(bar: ProgressBar, now: Callable[[], FetchProgress]) -> None:
    while True:
        await finish_in_thread(bar.draw, now())
        await asyncio.sleep(DRAW_EVERY)


class ProgressBar:
    """What is shown of one call. If it fails, that is logged and nothing more is shown: the call goes on."""

    def __init__(self, table: str, chunks: str) -> None:
        self._line = partial(line, table=table, chunks=chunks)
        self._began = time.monotonic()
        self._received: deque[tuple[float, int]] = deque([(self._began, 0)])
        self._screen: _Bar | _CellText | _PlainLines | None = None
        self._has_failed = False

    def draw(self, now: FetchProgress) -> None:
        """Draw it, once it is known how many chunks there are."""
        self._try(self._draw, now, self._rate(now.bytes))

    def close(self, now: FetchProgress) -> None:
        """Draw it for the last time, with the bytes a second of the whole call."""
        self._try(self._draw, now, now.bytes / self._elapsed)
        if self._screen is not None:
            self._try(self._screen.close)

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began or 1e-9

    def _draw(self, now: FetchProgress, rate: float) -> None:
        elapsed = tqdm.format_interval(self._elapsed)
        text = partial(self._line, now, elapsed=elapsed, rate=rate)
        if self._screen is None and now.total_chunks:
            self._screen = _screen(now, text)
        if self._screen is not None:
            self._screen.show(now, text)

    def _rate(self, size: int) -> float:
        at = time.monotonic()
        while self._received[0][0] < at - RATE_OVER and len(self._received) > 1:
            self._received.popleft()
        self._received.append((at, size))
        since, before = self._received[0]
        return (size - before) / (at - since or 1e-9)

    def _try(self, function: Callable[..., object], *arguments: object) -> None:
        if self._has_failed:
            return
        try:
            function(*arguments)
        except Exception:
            self._has_failed = True
            logger.exception("The progress bar failed; the call goes on.")


def _screen(now: FetchProgress, text: Text) -> _Bar | _CellText | _PlainLines:
    if _in_kernel() and find_spec("ipywidgets") is None:
        return _CellText()
    return _Bar(now, text) if _in_kernel() or sys.stderr.isatty() else _PlainLines()


class _PlainLines:
    """For a pipe or a file: a line now and then, and one at the end."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()
        self._told: FetchProgress | None = None
        self._latest = ""

    def show(self, now: FetchProgress, text: Text) -> None:
        """Print it, if it is time for a line."""
        self._latest = text(None).replace(BAR, "")
        waited = time.monotonic() - self._told_at
        if waited >= SAME_LINE_EVERY or (waited >= LINE_EVERY and now != self._told):
            self._told_at, self._told = time.monotonic(), now
            self._print()

    def close(self) -> None:
        """Print what was shown last."""
        if self._latest:
            self._print()

    def _print(self) -> None:
        sys.stderr.write(f"{self._latest}\n")
        sys.stderr.flush()
        self._latest = ""


class _CellText:
    """For a notebook without ipywidgets: one line below the cell, in its place even if something is printed."""

    def __init__(self) -> None:
        self._shown: Any = None

    def show(self, now: FetchProgress, text: Text) -> None:
        """Show it in the place of what was shown before."""
        drawn = tqdm.format_meter(now.chunks, now.total_chunks, 0, ncols=COLUMNS, bar_format=_as_format(text(COLUMNS)))
        if self._shown is None:
            self._shown = import_module("IPython.display").DisplayHandle()
            self._shown.display({"text/plain": drawn}, raw=True)
        else:
            self._shown.update({"text/plain": drawn}, raw=True)

    def close(self) -> None:
        """It stays."""


class _Bar(tqdm):  # type: ignore[misc] # tqdm has no type annotations
    """A line in a terminal, or a widget: tqdm draws it, and this says what is in it.

    Before a record of ours is logged, the line is removed; it comes back below.
    """

    monitor_interval = 0  # no thread that would draw it, too

    def __init__(self, now: FetchProgress, text: Text) -> None:
        self._text = text
        file = sys.stdout if _in_kernel() else sys.stderr  # a notebook shows stderr as errors
        super().__init__(total=now.total_chunks, file=file, ncols="100%", nrows=20)
        self._loggers = _our_loggers()
        for each in self._loggers:
            each.addFilter(self._remove_for_a_record)

    def show(self, now: FetchProgress, text: Text) -> None:
        """Draw it."""
        self._text, self.n, self.total = text, now.chunks, now.total_chunks
        if self._is_widget:
            self.container.children[1].max = now.total_chunks
        if now.failed_chunks:
            self.colour = "red"
        self.refresh()

    def refresh(self, *_: object, **__: object) -> None:
        """Draw it. If that fails, tqdm's own method would keep the lock of all bars of the process."""
        with self.get_lock():
            if not self.disable:  # by the environment's TQDM_DISABLE
                self.display()

    def close(self) -> None:
        """Leave it as it is, and end the line."""
        for each in getattr(self, "_loggers", ()):
            each.removeFilter(self._remove_for_a_record)
        if hasattr(self, "last_print_t"):  # not if the first drawing failed: then this is called by `__del__`
            super().close()

    @property
    def format_dict(self) -> dict[str, Any]:
        """What tqdm draws."""
        columns = None if self._is_widget else _columns()
        return {**super().format_dict, "ncols": columns, "bar_format": _as_format(self._text(columns))}

    @property
    def _is_widget(self) -> bool:
        return hasattr(self, "container")

    def _remove_for_a_record(self, record: logging.LogRecord) -> bool:
        del record
        with self.get_lock():  # see `refresh`
            self.clear(nolock=True)
        return True


def _as_format(text: str) -> str:
    """Return the text as a format of tqdm's, in which only the bar is a field."""
    return text.replace("{", "{{").replace("}", "}}").replace("{{bar}}", "{bar}")


def _in_kernel() -> bool:
    """Whether this is a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def _columns() -> int:
    """Return how many columns the bar may have."""
    try:
        columns = 0 if _in_kernel() else os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    return (columns or COLUMNS) - FREE_COLUMNS


def _our_loggers() -> list[logging.Logger]:
    package = __name__.partition(".")[0]
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == package]
    return [logging.getLogger(name) for name in names]
