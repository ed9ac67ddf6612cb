r"""Lines that may together be one event, which raw line breaks inside of it cut apart.

Mixpanel now and then lets a raw line break within a text through (met in the field by its clients), where JSON has
`\n`. The lines are joined as they came: a line break within a text becomes its escape, one between two values a blank.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self

from mixpanel_async.decode.event import BOM
from mixpanel_async.decode.lines import LINE_MAX

if TYPE_CHECKING:
    from mixpanel_async.decode.event import RejectedLine

_BACKSLASH = ord("\\")
_TOKEN = re.compile(rb'\\.|["{}\[\]]', re.DOTALL)

LINES_MAX = 100_000
"""Lines of one event: each of them is an object until the last has come."""


class CutEvent:
    """Lines that begin an object and have not ended it yet. Adding one takes no longer because others came before."""

    def __init__(self) -> None:
        self.lines: list[RejectedLine] = []
        """To be rejected, if they are not an event."""
        self._joined = bytearray()
        self._depth = 0
        self._is_in_text = False

    @classmethod
    def begun_by(cls, line: bytes, rejected: RejectedLine) -> Self | None:
        """Return what a line begins; `None` if it begins no object, or ends it too."""
        cut = cls()
        if not line.lstrip().startswith(b"{"):
            return None
        cut.add(line, rejected)
        return cut if cut.is_open else None

    @property
    def is_open(self) -> bool:
        """Whether the object may go on: it has not ended, and is not longer than a line may be."""
        return self._depth > 0 and len(self._joined) <= LINE_MAX and len(self.lines) <= LINES_MAX

    @property
    def joined(self) -> bytes:
        """All lines as one."""
        return bytes(self._joined)

    def add(self, line: bytes, rejected: RejectedLine) -> None:
        """Add the next line, with its carriage return if it has one; `rejected` is what it is by itself."""
        if self.lines:
            self._join()
        if not self._is_in_text:
            line = line.removeprefix(BOM)
        self.lines.append(rejected)
        self._joined += line
        for token in _TOKEN.findall(line):
            if token == b'"':
                self._is_in_text = not self._is_in_text
            elif not self._is_in_text:
                self._depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(token, 0)

    def _join(self) -> None:
        if not self._is_in_text:
            self._joined += b" "
        elif self._ends_in_escape():
            self._joined += b"\n"  # the line break cut an escape apart: nobody knows which, so it stays broken
        elif self._joined.endswith(b"\r"):
            self._joined[-1:] = rb"\r\n"
        else:
            self._joined += rb"\n"

    def _ends_in_escape(self) -> bool:
        """Whether the last text ends in a backslash that escapes what should follow."""
        end = at = len(self._joined) - self._joined.endswith(b"\r")
        while self._joined[at - 1] == _BACKSLASH:
            at -= 1
        return (end - at) % 2 == 1
