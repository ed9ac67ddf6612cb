"""The proof that a body is whole, before anything of it is given to anybody.

A table can take back what a broken body brought: its transaction is rolled back. A consumer of events cannot, and the
export knows no way to ask for the rest: it has no cursor and no order that can be relied on. So a stream looks each
body through first, and what shows only at its end (the gzip's trailer, a last line that is cut, `terminated early`, an
error) is known before its first event is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixpanel_async.decode.arrow_blocks import LongLineError, blocks, gunzip
from mixpanel_async.decode.event import BOM, NoEventError, join_lines, read_line
from mixpanel_async.decode.parts import BEGINNING, parts
from mixpanel_async.errors import ConnectionLostError
from mixpanel_async.export.request import judge_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mixpanel_async.decode.parts import Part

_BLANKS = b"\r\n \t"


def prove(body: Iterable[bytes]) -> Iterator[list[Part]]:
    """Look a body through to its end; gives what was looked at, a block at a time.

    Raises:
        ConnectionLostError: it is cut, or damaged, or Mixpanel broke it off.
        ServerError: an error of Mixpanel's stands in it.
        DecodeError: a line is too long.
    """
    lines = 0
    before = block = b""
    try:
        for text in blocks(gunzip(body)):
            before, block = block, text
            looked_at = list(parts(block))
            for part in looked_at:
                lines += part.lines
                if not part.is_regular:
                    _judge(part.text)
            yield looked_at
    except LongLineError as long:
        raise long.after(lines) from None
    end = before[before.rfind(b"\n", 0, -1) + 1 :] + block
    _judge_end(end.rstrip(_BLANKS).rsplit(b"\n", 2))


def _judge(text: bytes) -> None:
    """Look for a line by which Mixpanel broke off."""
    for line in text.split(b"\n"):
        if line.startswith(BEGINNING) or not line.strip():
            continue
        try:
            read_line(line)
        except NoEventError:
            if (fault := judge_line(line)) is not None:
                raise fault from None


def _judge_end(lines: list[bytes]) -> None:
    """Hold the last line to what a whole answer ends with."""
    last = lines.pop().removeprefix(BOM)
    try:
        read_line(last)
    except NoEventError as error:
        if last and error.broken and not (lines and join_lines(lines[-1].removesuffix(b"\r"), last)):
            raise ConnectionLostError("The answer was cut: its last line is not whole") from None
