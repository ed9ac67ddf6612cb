"""What a database file must hold, whatever happened to the process that wrote it.

The server's content may have been another one at each run: a generation. A chunk holds all of one generation's lines
for its dates, word for word, or nothing; and never an older one than what was acknowledged.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import duckdb

from mixpanel_async.duck.checkpoints import undo_checkpoint
from mixpanel_async.testing import GeneratedEvents

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
FIRST = dt.date(2026, 1, 1)
_EVENTS = "SELECT event_name, epoch_us(event_time), distinct_id, insert_id, properties FROM {}"
_CHUNKS = "SELECT from_date, to_date, rows, final FROM _mixpanel_chunks WHERE table_name = ? ORDER BY from_date"


@dataclass(slots=True)
class Generations:
    """A server's events that become others when `generation` is raised: an EventSource."""

    per_day: int = 20
    generation: int = 0

    def pieces(self, day, *, now, order=0):
        yield content(self.per_day, self.generation, day)


@cache
def content(per_day: int, generation: int, day: dt.date) -> bytes:
    events = GeneratedEvents(per_day=per_day, seed=5, duplicates=0.05, missing_insert_id=0.02)
    text = b"".join(events.pieces(day, now=NOW))
    return text.replace(b'"sequence":', b'"generation":%d,"sequence":' % generation)


@cache
def truth(per_day: int, generation: int, day: dt.date, *, deduplicate: bool) -> Counter[bytes]:
    """A day's lines; of those with the same key the one that was processed last, if they are deduplicated."""
    kept: dict[object, tuple[int, bytes]] = {}
    for number, line in enumerate(content(per_day, generation, day).splitlines()):
        event = json.loads(line)
        properties = event["properties"]
        key: object = (event["event"], properties.get("distinct_id"), properties["time"], properties.get("$insert_id"))
        if not deduplicate or properties.get("$insert_id") is None:
            key = number
        processed = properties["mp_processing_time_ms"]
        if key not in kept or processed > kept[key][0]:
            kept[key] = (processed, line)
    return Counter(line for _, line in kept.values())


@dataclass(slots=True)
class Promise:
    """What a table may hold, and what it must."""

    path: Path
    table: str = "events"
    per_day: int = 20
    deduplicate: bool = True
    generations: int = 1
    """How many there have been."""
    acknowledged: dict[dt.date, int] = field(default_factory=dict)
    """The oldest generation that a day may hold, where a chunk with it was told to be committed."""

    def acknowledge(self, first: str, last: str, generation: int) -> None:
        for day in days(dt.date.fromisoformat(first), dt.date.fromisoformat(last)):
            self.acknowledged[day] = generation

    def broken(self, *, all_of: tuple[dt.date, dt.date] | None = None) -> list[str]:
        """What is wrong with the file, in words; nothing if it is as it must be.

        `all_of`: these dates must all be there.
        """
        if not self.path.exists():
            return [f"no file, and {sorted(self.acknowledged)} were acknowledged"] if self.acknowledged else []
        undo_checkpoint(self.path)  # as whoever opens it next with this library
        with duckdb.connect(str(self.path), read_only=True) as connection:
            tables = {row[0] for row in connection.execute("SHOW TABLES").fetchall()}
            if self.table not in tables:
                return [f"no table, and {sorted(self.acknowledged)} were acknowledged"] if self.acknowledged else []
            rows = connection.execute(_EVENTS.format(self.table)).fetchall()
            chunks = connection.execute(_CHUNKS, [self.table]).fetchall()
            for ours in ("out_of_range", "copies", "unchecked", "rejected"):
                if connection.execute(f"SELECT count(*) FROM _mixpanel_{ours}").fetchall() != [(0,)]:
                    return [f"rows in _mixpanel_{ours}"]
        return [*self._judged(_by_day(rows), chunks, all_of)]

    def _judged(self, held, chunks, all_of):
        journalled: set[dt.date] = set()
        for first, last, rows, final in chunks:
            dates = list(days(first, last))
            for wrong in self._judged_chunk(dates, held, rows, final=final):
                yield f"{first} to {last}: {wrong}"
            if not journalled.isdisjoint(dates):
                yield f"{first} to {last}: journalled twice"
            journalled.update(dates)
        for day, lines in sorted(held.items()):
            if lines and day not in journalled:
                yield f"{day}: {lines.total()} rows that no chunk of the journal holds"
        for day in sorted(self.acknowledged.keys() - journalled):
            yield f"{day} was acknowledged and is not there"
        for day in sorted(set(days(*all_of) if all_of else ()) - journalled):
            yield f"{day} is missing"

    def _judged_chunk(self, dates, held, rows, *, final):
        if (count := sum(held[day].total() for day in dates)) != rows:
            yield f"the journal says {rows} rows, and {count} are there"
        if not final:
            yield "it is over, and the journal does not say so"
        oldest = max(self.acknowledged.get(day, 0) for day in dates)
        whole = [g for g in range(self.generations) if all(held[day] == self._truth(g, day) for day in dates)]
        if not whole:
            wrong = {str(day): held[day].total() for day in dates if held[day] != self._truth(oldest, day)}
            yield f"not the whole of one generation; rows of the days that differ from {oldest}: {wrong}"
        elif whole[-1] < oldest:
            yield f"generation {whole[-1]} is there, and {oldest} was acknowledged"

    def _truth(self, generation: int, day: dt.date) -> Counter[bytes]:
        return truth(self.per_day, generation, day, deduplicate=self.deduplicate)


def days(first: dt.date, last: dt.date):
    return (first + dt.timedelta(days=number) for number in range((last - first).days + 1))


def _by_day(rows) -> defaultdict[dt.date, Counter[bytes]]:
    """Rows as lines of an export. Columns that say other than the properties make a line that is nobody's."""
    lines: defaultdict[dt.date, Counter[bytes]] = defaultdict(Counter)
    for name, time, distinct_id, insert_id, text in rows:
        parsed = json.loads(text)
        same = (time, distinct_id, insert_id) == (
            parsed["time"] * 1000,
            parsed.get("distinct_id"),
            parsed.get("$insert_id"),
        )
        line = b'{"event":%s,"properties":%s}' % (json.dumps(name, ensure_ascii=False).encode(), text.encode())
        day = dt.datetime.fromtimestamp(time / 1_000_000, dt.UTC).date()
        lines[day][line if same else b"columns differ: " + line] += 1
    return lines
