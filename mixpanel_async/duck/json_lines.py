"""JSON Lines in Mixpanel's own shape, as its export and its profiles come: `/import` and a fake Mixpanel read them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from mixpanel_async.duck.exported_rows import read_source
from mixpanel_async.duck.exports import bounded
from mixpanel_async.duck.whole_files import write_whole
from mixpanel_async.errors import StoreError
from mixpanel_async.written import ExportResult

try:
    from isal.igzip import IGzipFile as GzipFile
except ImportError:  # no wheel for this platform
    from gzip import GzipFile  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import duckdb

    from mixpanel_async.duck.exported_rows import ExportedRows
    from mixpanel_async.duck.schema import Schema
    from mixpanel_async.meter import ExportMeter

_ROWS = 1024
"""Rows that are in memory at the same time."""
_LEVEL = 2
"""Of gzip: isal's default, a few times as fast as zlib's."""

# A line break between the values of a JSON text is white space, and none can be in them.
_PROPERTIES = "replace(replace(properties::VARCHAR, chr(10), ' '), chr(13), ' ')"
_SHAPES: Mapping[str, str] = {
    "event_name": f"""'{{"event":' || to_json(event_name)::VARCHAR || ',"properties":' || {_PROPERTIES}""",
    "distinct_id": f"""'{{"$distinct_id":' || to_json(distinct_id)::VARCHAR || ',"$properties":' || {_PROPERTIES}""",
}
"""The first column tells which shape the rows have."""


def export_jsonl(
    cursor: duckdb.DuckDBPyConnection, schema: Schema, *, name: str, path: Path, meter: ExportMeter
) -> ExportResult:
    """Write one file, a line a row; gzip if its name ends in `.gz`. Within a transaction.

    Raises:
        TableNotFoundError, StoreError: as `read_source`; the rows are neither events nor profiles; or the file cannot
            be written.
    """
    source = read_source(cursor, schema, name, path)
    shape = _shape_of(source)
    rows = bounded(cursor, source, lambda: _write(cursor, source, shape, path, meter))
    return ExportResult(name, str(path), 1, rows, path.stat().st_size)


def _write(cursor: duckdb.DuckDBPyConnection, source: ExportedRows, shape: str, path: Path, meter: ExportMeter) -> int:
    """Write the file; return how many rows it has."""
    rows = 0
    meter.expect(1)
    with write_whole(path, meter) as temporary, _opened(temporary, is_gzip=path.suffix.lower() == ".gz") as file:
        cursor.execute(f"SELECT encode({shape} || '}}' || chr(10)) FROM {source.relation}")
        while lines := cursor.fetchmany(_ROWS):
            if (None,) in lines:
                raise StoreError(f"{source.name!r} has a row whose name or properties are NULL: it has no JSON shape.")
            file.write(b"".join([line for (line,) in lines]))
            rows += len(lines)
            meter.wrote(len(lines))
    return rows


def _shape_of(source: ExportedRows) -> str:
    first = next((column for column in _SHAPES if column in source.columns), None)
    if first is None or "properties" not in source.columns:
        raise StoreError(
            f"{source.name!r} has the columns {list(source.columns)}: only events (event_name, properties) and "
            "profiles (distinct_id, properties) have a JSON shape. Use export_csv or export_parquet."
        )
    return _SHAPES[first]


@contextmanager
def _opened(path: Path, *, is_gzip: bool) -> Iterator[IO[bytes]]:
    with path.open("wb") as raw:
        if not is_gzip:
            yield raw
            return
        with GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=raw, mtime=0) as file:  # type: ignore[no-untyped-call] # isal has no types for it
            yield file  # type: ignore[misc] # isal's stub does not call it an IO
