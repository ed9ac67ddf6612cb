"""What to ask Mixpanel's raw export for, and how to judge its lines. No I/O here.

Source: Mixpanel's docs of `GET /api/2.0/export`, and what its clients have met in the field. The export answers
with JSON Lines and nothing else: no count, no cursor, no end mark. So a 200 proves nothing by itself: the body may
be cut, may end in `terminated early`, may hold an error as JSON, or be a web page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixpanel_async.api import hosts
from mixpanel_async.api.responses import json_object, what_it_says
from mixpanel_async.errors import ConnectionLostError, ExportError, ServerError

if TYPE_CHECKING:
    from collections.abc import Sequence

PATH = "/api/2.0/export"
LIMIT_MAX = 100_000
"""Mixpanel's docs: `limit` "cannot be over 100000"."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_TERMINATED = re.compile(rb"(?:export )?terminated early\.?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ExportQuery:
    """One request's question: dates (both inclusive) and the selection."""

    from_date: str
    to_date: str
    events: tuple[str, ...] | None = None
    where: str | None = None
    limit: int | None = None

    def parameters(self) -> dict[str, str]:
        """The query string's names and values, `project_id` aside."""
        given = {"from_date": self.from_date, "to_date": self.to_date}
        if self.events is not None:
            given["event"] = json.dumps(self.events, ensure_ascii=False)
        if self.where is not None:
            given["where"] = self.where
        if self.limit is not None:
            given["limit"] = str(self.limit)
        return given


def endpoint(region: str, base_url: str | None) -> str:
    """The export's URL. Raises ConfigurationError, as `hosts.host` does."""
    return hosts.host(hosts.EXPORTS, region, base_url) + PATH


def judge_line(line: bytes) -> ExportError | None:
    """What a line that is no event means for the whole answer: broken off, or `None` for a mere bad line.

    Mixpanel may break off inside a 200, after good lines or before any: with the bare words `terminated early` or
    `export terminated early`, or with an error as JSON.
    """
    if _TERMINATED.fullmatch(line.strip()):
        return ConnectionLostError("Mixpanel broke off its answer: terminated early")
    if line.lstrip().startswith(b'{"error"') or _is_error(line):
        return ServerError(f"Mixpanel broke off its answer: {what_it_says(line)}", status=200)
    return None


def _is_error(line: bytes) -> bool:
    """Whether a whole line is an error of Mixpanel's: `{"request": ..., "error": ...}` and the like, with no event."""
    told = json_object(line.decode("utf-8", "replace")) if b'"error"' in line else {}
    return "error" in told and "event" not in told


def check_selection(events: Sequence[str] | None, where: str | None, limit: int | None) -> tuple[str, ...] | None:
    """Hold the selection's rules and give `events` as a tuple.

    Raises:
        ValueError: names the argument and what it must be.
    """
    if isinstance(events, str):
        raise ValueError(f"events must be a list of names, such as [{events!r}], not one text.")  # noqa: TRY004
    names = tuple(events) if isinstance(events, Iterable) else ()  # an iterator can be looked at once only
    if events is not None and not (names and all(map(is_text, names))):
        raise ValueError("events must be names that are not empty and have no lone surrogate, or None for all events.")
    check_where(where)
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LIMIT_MAX):
        raise ValueError(f"limit must be a whole number from 1 to {LIMIT_MAX}, or None.")
    return None if events is None else names


def check_where(where: str | None) -> None:
    """Hold the rule for a filter. Raises ValueError, which says it."""
    if where is not None and not (is_text(where) and where.strip()):
        raise ValueError("where must be an expression of Mixpanel's with no lone surrogate, or None.")


def is_text(value: object) -> bool:
    """Whether it is a text that is not empty and can be sent: a lone surrogate is in no UTF-8."""
    return isinstance(value, str) and value != "" and _SURROGATE.search(value) is None
