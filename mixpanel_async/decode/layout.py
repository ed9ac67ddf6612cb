"""The Arrow columns in which events and profiles travel to a table."""

from __future__ import annotations

from arro3.core import DataType, Field, Schema

_JSON_TYPE = {"ARROW:extension:name": "arrow.json", "ARROW:extension:metadata": ""}

# DuckDB stores a text of this type as it came. It would parse a text that is cast to JSON once more.
JSON = Field("item", DataType.utf8(), metadata=_JSON_TYPE)

TEXTS = Field("texts", DataType.list(JSON, 4))
"""The texts of an event's line, cut without copying: its name, what follows, its properties, what follows."""

UNPARSED = Schema([Field("line", DataType.uint32()), Field("suspect", DataType.uint8()), TEXTS])
"""Lines that look like events: the line's number in its body; 1 if it may hold what DuckDB takes for JSON and other
parsers do not, else 0; and its texts, which are not parsed yet."""

COLUMNS = [
    Field("event_name", DataType.utf8()),
    Field("micros", DataType.int64()),
    Field("distinct_id", DataType.utf8()),
    Field("insert_id", DataType.utf8()),
    Field("processed", DataType.int64()),
]
"""The values of an event, as `event.Event` describes them."""

PARSED = Schema([*COLUMNS, TEXTS])
"""Events that were read one by one; of their texts only the properties are there."""

PROFILES = Schema(
    [Field("distinct_id", DataType.utf8()), Field("last_seen", DataType.int64()), JSON.with_name("properties")]
)
"""A page of profiles; `last_seen` in microseconds since 1970."""
