"""Blocks read line by line, by the definition in `event`: blocks in which a line is unusual."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mixpanel_async.decode.cut_event import CutEvent
from mixpanel_async.decode.ending import BrokenEndError, error_from_last_line, error_from_line
from mixpanel_async.decode.event import BOM, HEAD, Event, NotAnEventError, RejectedLine, parse_event
from mixpanel_async.decode.lines import LongLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class EventLine(NamedTuple):
    """A line that is an event."""

    line_number: int
    """From 1, in the body of its response."""
    event: Event
    line: bytes
    """The JSON it was read from: of an event that raw line breaks cut apart, all its lines joined."""


class SlowParser:
    """Parses the blocks of one body in order. It keeps the lines of an event that may have been cut apart until it has
    seen the line that ends it, or one that cannot belong to it.
    """

    def __init__(self, reject: Callable[[RejectedLine], None]) -> None:
        """`reject` is called for each line that is not an event, in order."""
        self._reject = reject
        self._cut: CutEvent | None = None
        self._last_line = b""
        self._last_error: NotAnEventError | None = None
        self.lines = 0
        """Lines so far."""

    @property
    def is_waiting(self) -> bool:
        """Whether the last line may be the beginning of an event: the next line must come here."""
        return self._cut is not None

    def skip(self, lines: int) -> None:
        """Count lines that are parsed elsewhere, of which the last is an event."""
        self.lines += lines
        self._last_error = None

    def parse(self, block: bytes) -> Iterator[EventLine]:
        """Parse a block of whole lines, in order.

        Raises:
            ConnectionLostError, ServerError: a line says that Mixpanel broke off its response.
        """
        if isinstance(block, LongLine):
            self._reject_long(block)
            return
        for line in block[:-1].split(b"\n"):
            self.lines += 1
            bare = line.removesuffix(b"\r").removeprefix(BOM)
            if (self._cut is not None or bare.strip()) and (event := self._parse(line, bare)) is not None:
                yield event

    def end(self) -> None:
        """End the body: lines that wait for another are rejected.

        Raises:
            ConnectionLostError, ServerError: as `parse`.
        """
        cut, self._cut = self._cut, None
        if cut is None:
            return
        while not cut.lines[-1].line.strip():  # blank lines after it do not belong to it
            cut.lines.pop()
        for each in cut.lines:
            if (broken_off := error_from_line(each.line)) is not None:
                raise broken_off
        self._last_line = b"\n".join(each.line for each in cut.lines)
        for each in cut.lines:
            self._reject(each)

    def check_end(self, *, is_ended: bool, known_end: bytes | None) -> None:
        """End the body, and check that its last line is whole.

        Args:
            is_ended: whether that line has a line break.
            known_end: the `BrokenEndError.end` of an earlier attempt at the same response, if it is surely whole.

        Raises:
            BrokenEndError: the last line is not JSON, and not the known one.
            ConnectionLostError, ServerError: Mixpanel broke off with it.
        """
        self.end()
        error = self._last_error
        if error is not None and error.is_other_json:
            raise error_from_last_line(self._last_line)
        if error is not None and not error.is_json and not (is_ended and self._last_line == known_end):
            raise BrokenEndError(self._last_line, is_ended=is_ended)

    def _parse(self, line: bytes, bare: bytes) -> EventLine | None:
        try:
            event = parse_event(bare)
        except NotAnEventError as error:
            return self._parse_no_event(line, bare, error)
        self.end()
        self._last_error = None
        return EventLine(self.lines, event, bare)

    def _parse_no_event(self, line: bytes, bare: bytes, error: NotAnEventError) -> EventLine | None:
        rejected = RejectedLine(self.lines, str(error), bare)
        if bare.startswith(HEAD):  # no line within an event begins so: quotes are escaped there
            self.end()
        if self._cut is None:
            if (broken_off := error_from_line(bare)) is not None:
                raise broken_off
            self._last_line, self._last_error = bare, error
            self._cut = None if error.is_json else CutEvent.begun_by(line.removeprefix(BOM), rejected)
            if self._cut is None:
                self._reject(rejected)
            return None
        self._last_error = error
        self._cut.add(line, rejected)
        return None if self._cut.is_open else self._parse_joined(self._cut)

    def _parse_joined(self, cut: CutEvent) -> EventLine | None:
        """Parse the lines that waited, of which the last has come."""
        joined = cut.joined.removesuffix(b"\r")
        try:
            event = parse_event(joined)
        except NotAnEventError as error:
            self._last_error = error
            self.end()
            return None
        self._cut, self._last_error = None, None
        return EventLine(cut.lines[0].line_number, event, joined)

    def _reject_long(self, line: LongLine) -> None:
        self.end()
        self.lines += 1
        self._last_error = None
        self._reject(RejectedLine(self.lines, line.reason, line[:-1]))
