"""Blocks read line by line, by the definition in `event`: blocks in which a line is unusual."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mixpanel_async.decode.ending import error_from_line
from mixpanel_async.decode.event import BOM, Event, NotAnEventError, RejectedLine, join_lines, parse_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class EventLine(NamedTuple):
    """A line that is an event."""

    line_number: int
    """From 1, in the body of its response."""
    event: Event
    line: bytes
    """The JSON it was read from: of an event that a raw line break cut apart, both lines joined."""


class SlowParser:
    """Parses the blocks of one body in order. It keeps a line that is not JSON until it has seen the next one."""

    def __init__(self, reject: Callable[[RejectedLine], None]) -> None:
        """`reject` is called for each line that is not an event, in order."""
        self._reject = reject
        self._broken: RejectedLine | None = None
        self.lines = 0
        """Lines so far. Lines that are parsed elsewhere are added by the caller."""

    @property
    def is_waiting(self) -> bool:
        """Whether the last line was not JSON and may be the first half of an event: the next line must come here."""
        return self._broken is not None

    def parse(self, block: bytes) -> Iterator[EventLine]:
        """Parse a block of whole lines, in order.

        Raises:
            ConnectionLostError, ServerError: a line says that Mixpanel broke off its response.
        """
        for line in block[:-1].split(b"\n"):
            self.lines += 1
            bare = line.removesuffix(b"\r")
            bare = bare.removeprefix(BOM) if self.lines == 1 else bare
            if bare.strip() and (event := self._parse(bare)) is not None:
                yield event

    def end(self) -> None:
        """End the body: a line that waits for the next one is rejected."""
        if self._broken is not None:
            self._reject(self._broken)
            self._broken = None

    def _parse(self, line: bytes) -> EventLine | None:
        before = self._broken
        try:
            event = parse_event(line)
        except NotAnEventError as error:
            if (broken_off := error_from_line(line)) is not None:
                raise broken_off from None
            if before is not None and not error.is_json and (joined := join_lines(before.line, line)) is not None:
                self._broken = None
                line, event = joined
                return EventLine(before.line_number, event, line)
            rejected, is_json = RejectedLine(self.lines, str(error), line), error.is_json
        else:
            self.end()
            return EventLine(self.lines, event, line)
        self.end()
        if is_json:
            self._reject(rejected)
        else:
            self._broken = rejected
        return None
