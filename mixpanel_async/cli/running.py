"""Runs a command's coroutine: signals, errors, exit codes, and warnings that do not tear a progress bar."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import sys
import traceback
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio

from mixpanel_async.errors import MixpanelError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

WORDS = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Terminated"}


class _CutShortError(Exception):
    """A signal ended the work."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(WORDS[number])
        self.exit_code = 128 + number
        """As in shells."""


def run(work: Coroutine[Any, Any, int | None], *, how_to_go_on: Callable[[], str], debug: bool, verbose: bool) -> int:
    """Run `work`, which returns an exit code or `None`, and return the exit code; an error is one line on stderr.
    `how_to_go_on` is asked after a signal.
    """
    try:
        with _logging(verbose=verbose):
            code = _run_until_signal(work)
            sys.stdout.flush()
    except _CutShortError as signalled:
        return _failed(f"{signalled}. {how_to_go_on()}".rstrip(), signalled.exit_code)
    except KeyboardInterrupt:  # on Windows, where event loops handle no signals
        return _failed(f"Interrupted. {how_to_go_on()}".rstrip(), 130)
    except BrokenPipeError:
        return _end_quietly()
    except (MixpanelError, ValueError, ImportError, OSError) as error:
        if debug:
            traceback.print_exc()
        return _failed(in_options(str(error)), 2 if isinstance(error, ValueError) else 1)
    return code or 0


def _run_until_signal(work: Coroutine[Any, Any, int | None]) -> int | None:
    """Run `work` on an event loop of its own. The first SIGINT or SIGTERM cancels it once; later ones are ignored, so
    that a second Ctrl-C does not cut the clean-up short.

    Raises:
        _CutShortError: a signal came; raised when the cancelled `work` has ended.
    """
    came: list[signal.Signals] = []
    code = None
    try:
        code = asyncio.run(_until_signal(work, came))
    except asyncio.CancelledError:
        if not came:
            raise
    if came:
        raise _CutShortError(came[0])
    return code


async def _until_signal(work: Coroutine[Any, Any, int | None], came: list[signal.Signals]) -> int | None:
    task = asyncio.ensure_future(work)
    watching = asyncio.create_task(_watch(task, came))
    try:
        return await task
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        for number in WORDS if came else ():
            signal.signal(number, signal.SIG_IGN)


async def _watch(task: asyncio.Future[Any], came: list[signal.Signals]) -> None:
    with suppress(NotImplementedError), anyio.open_signal_receiver(*WORDS) as signals:  # Windows has none
        async for number in signals:
            if not came:
                task.cancel()  # not a cancel scope: that would cancel the clean-up again and again
            came.append(number)


def in_options(message: str) -> str:
    """Return a message of the library in one line, with options where it names arguments of Python, and without calls.

    A place in SQL, which DuckDB marks below it, keeps its lines.
    """
    if "\nLINE " not in message:
        message = " ".join(message.split())
    message = re.sub(r" with `await [^`]+`", "", message)
    message = re.sub(r"\b(append|resume|sync)=True", r"--\1", message)
    message = re.sub(r"\bparallel=False", "--no-parallel", message)
    return re.sub(r"\b(from|to)_date\b", r"--\1", message)


def _failed(message: str, code: int) -> int:
    print(f"mixpanel-async: {message}", file=sys.stderr)
    return code


def _end_quietly() -> int:
    """Print nothing more, not even when Python flushes at its end: the pipe's reader has closed it, as `head` does."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


@contextmanager
def _logging(*, verbose: bool) -> Iterator[None]:
    """Print warnings, and with `verbose` what the library does, on lines of their own."""
    logger, handler = logging.getLogger("mixpanel_async"), _BesideBar()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s" if verbose else "%(message)s", "%H:%M:%S"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _BesideBar(logging.Handler):
    """Writes to stderr; where a progress bar is, above it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        line = in_options(self.format(record))
        if "tqdm" in sys.modules:
            from tqdm import tqdm  # type: ignore[import-untyped] # noqa: PLC0415 - a bar has imported it

            tqdm.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr)
