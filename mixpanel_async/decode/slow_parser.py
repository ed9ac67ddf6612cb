"""Lines read one by one: those of a block in which one of them is odd."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mixpanel_async.decode.event import BOM, NoEventError, RejectedLine, join_lines, read_line
from mixpanel_async.export.request import judge_line

if TYPE_CHECKING:
    from collections.abc import Iterator


class EventLine(NamedTuple):
    """A line that is an event."""

    line_number: int
    """From 1, in the body of its chunk's answer."""
    event: bytes
    """The event's name, as JSON."""
    properties: bytes
    """As JSON, word for word; only a lone surrogate became U+FFFD."""


@dataclass(slots=True)
class OddLines:
    """Reads blocks of one body in order: counts lines, and keeps a broken one until its neighbour is seen."""

    count: int = 0
    """Lines read so far. Who reads others without this class adds them."""
    broken: RejectedLine | None = None
    """The last line, if it is no JSON and may be the first half of an event."""

    def read(self, block: bytes) -> Iterator[EventLine | RejectedLine]:
        """Read a block of whole lines, in order.

        Raises:
            ConnectionLostError, ServerError: a line says that Mixpanel broke off its answer.
        """
        for line in block[:-1].split(b"\n"):
            self.count += 1
            bare = line.removesuffix(b"\r")
            bare = bare.removeprefix(BOM) if self.count == 1 else bare
            if bare.strip():
                yield from self._take(bare)

    def _take(self, line: bytes) -> Iterator[EventLine | RejectedLine]:
        neighbour, self.broken = self.broken, None
        try:
            event = read_line(line)
        except NoEventError as error:
            if (fault := judge_line(line)) is not None:
                raise fault from None
            bad, broken = RejectedLine(self.count, str(error), line), error.broken
        else:
            yield from (neighbour,) if neighbour else ()
            yield EventLine(self.count, *event)
            return
        if neighbour is not None and broken and (whole := join_lines(neighbour.line, line)) is not None:
            yield EventLine(neighbour.line_number, *whole)
            return
        yield from (neighbour,) if neighbour else ()
        if broken:
            self.broken = bad
        else:
            yield bad
