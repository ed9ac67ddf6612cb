"""Exports: the rows of a table in Parquet, CSV or JSON Lines. All files of an export are of one moment."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import duckdb

from mixpanel_async.duck.connection import MEMORY_LIMIT
from mixpanel_async.duck.exported_rows import ExportedRows, read_source
from mixpanel_async.duck.files import as_literal
from mixpanel_async.duck.journal import read_journal
from mixpanel_async.duck.versions import has_our_tables
from mixpanel_async.duck.whole_files import write_whole
from mixpanel_async.errors import StoreError
from mixpanel_async.written import ExportResult

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mixpanel_async.duck.schema import Schema
    from mixpanel_async.meter import ExportMeter

    Ends = tuple[dt.date | None, dt.date | None]

T = TypeVar("T")

ROW_GROUP_ROWS = 122_880
"""Rows of a row group in Parquet, as DuckDB writes it by default: a good size for readers."""
ROW_GROUP_BYTES = 32 << 20
"""About the most bytes of a row group, before compression: the writer holds it in memory."""
_VECTOR = 2048

_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


def export_parquet(  # noqa: PLR0913 - the call's arguments, and where they meet the database
    cursor: duckdb.DuckDBPyConnection, schema: Schema, *, name: str, path: Path, ends: Ends, meter: ExportMeter
) -> ExportResult:
    """Write one Parquet file, of the rows between two dates. Within a transaction.

    Raises:
        TableNotFoundError, StoreError: as `read_source`; or the file cannot be written.
    """
    source = read_source(cursor, schema, name, path)
    meter.expect(1)
    rows = bounded(cursor, source, lambda: _write_parquet(cursor, source, path, source.between(ends), meter))
    return _result(source, path, [(path, rows)])


def export_partitions(  # noqa: PLR0913 - as above
    cursor: duckdb.DuckDBPyConnection, schema: Schema, *, name: str, path: Path, ends: Ends, meter: ExportMeter
) -> ExportResult:
    """Write a Parquet file for each date, in a folder such as `date=2026-01-31`. Within a transaction.

    Raises:
        TableNotFoundError, StoreError: as `read_source`; the rows have no date, or one in a column of their own; the
            folder has other Parquet files for these dates; or a file cannot be written.
    """
    source = read_source(cursor, schema, name, path)
    written = bounded(cursor, source, lambda: _write_partitions(cursor, schema, source, path, ends, meter))
    return _result(source, path, written)


def export_csv(
    cursor: duckdb.DuckDBPyConnection, schema: Schema, *, name: str, path: Path, meter: ExportMeter
) -> ExportResult:
    """Write one CSV file, in UTF-8, with a header; compressed if its name ends in `.gz` or `.zst`.

    Raises:
        TableNotFoundError, StoreError: as `read_source`; or the file cannot be written.
    """
    source = read_source(cursor, schema, name, path)
    compression = _COMPRESSIONS.get(path.suffix.lower(), "none")
    meter.expect(1)

    def write() -> int:
        with write_whole(path, meter) as temporary:
            rows = _copy(cursor, source.select(), temporary, f"FORMAT csv, HEADER true, COMPRESSION {compression}")
            meter.wrote(rows)
            return rows

    return _result(source, path, [(path, bounded(cursor, source, write))])


def _write_partitions(  # noqa: PLR0913, PLR0917 - as above
    cursor: duckdb.DuckDBPyConnection,
    schema: Schema,
    source: ExportedRows,
    path: Path,
    ends: Ends,
    meter: ExportMeter,
) -> list[tuple[Path, int]]:
    """Write them; return each file with its rows."""
    files = {date: _partition(source, path, date) for date in _dates(cursor, source, ends)}
    for date in _dates_without_rows(cursor, schema, source, ends):
        if (file := _partition(source, path, date)).exists():
            files[date] = file
    _check_no_others(source, list(files.values()))
    meter.expect(len(files))
    return [
        (file, _write_parquet(cursor, source, file, source.between((date, date)), meter))
        for date, file in files.items()
    ]


def _partition(source: ExportedRows, path: Path, date: dt.date) -> Path:
    return path / f"date={date}" / f"{source.name.lower()}.parquet"


def _dates(cursor: duckdb.DuckDBPyConnection, source: ExportedRows, ends: Ends) -> list[dt.date]:
    """Return the dates that have rows, in order."""
    if "date" in map(str.lower, source.columns):
        raise StoreError(f"{source.name!r} has a column named date, as the partitions have: pass partition_by=None.")
    time = source.event_time()
    query = f"SELECT DISTINCT {time}::DATE FROM {source.relation} WHERE {source.between(ends)} ORDER BY ALL"
    dates = [date for (date,) in cursor.execute(query).fetchall()]
    if None in dates:
        raise StoreError(f"{source.name!r} has rows without event_time, so without a date: pass partition_by=None.")
    return dates


def _dates_without_rows(
    cursor: duckdb.DuckDBPyConnection, schema: Schema, source: ExportedRows, ends: Ends
) -> list[dt.date]:
    """Return the dates that the table holds and that have no rows now: an old partition of one becomes empty."""
    if not has_our_tables(cursor, schema):
        return []
    held = [(row.first, row.last) for row in read_journal(cursor, schema, source.name)]
    query = f"""
        SELECT date FROM (
            SELECT unnest(generate_series(first, last, INTERVAL 1 DAY))::DATE AS date
            FROM (SELECT unnest(?::DATE[]) AS first, unnest(?::DATE[]) AS last)
        ) WHERE date BETWEEN coalesce(?::DATE, '-infinity') AND coalesce(?::DATE, 'infinity')
        AND date NOT IN (SELECT {source.event_time()}::DATE FROM {source.relation}) ORDER BY date
    """
    values = [[first for first, _ in held], [last for _, last in held], *ends]
    return [date for (date,) in cursor.execute(query, values).fetchall()]


def _check_no_others(source: ExportedRows, files: Sequence[Path]) -> None:
    """Check that a reader of the partitions sees no other rows: the folder belongs to one table."""
    for file in files:
        others = [other for other in file.parent.glob("*.parquet") if other.name != file.name]
        if others:
            raise StoreError(
                f"{others[0]} is not of an export of {source.name!r}, and a reader would see both: choose another "
                "folder, or remove that file."
            )


def _write_parquet(
    cursor: duckdb.DuckDBPyConnection, source: ExportedRows, file: Path, condition: str, meter: ExportMeter
) -> int:
    with write_whole(file, meter) as temporary:
        rows = copy_to_parquet(cursor, f"{source.select()} WHERE {condition}", temporary)
        meter.wrote(rows)
        return rows


def copy_to_parquet(cursor: duckdb.DuckDBPyConnection, query: str, file: Path, row_bytes: float | None = None) -> int:
    """Write the rows of a query to a Parquet file (zstd); return how many. JSON should be text there.

    `row_bytes`: the average length of a row. Without it, a query finds it out, which for a small file takes half as
    long as writing it.
    """
    rows = _rows_of_group(_sampled_bytes(cursor, query) if row_bytes is None else row_bytes)
    return _copy(cursor, query, file, f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {rows}")


def _sampled_bytes(cursor: duckdb.DuckDBPyConnection, query: str) -> float:
    """Return the average length of the first rows."""
    sample = f"SELECT avg(strlen(sampled::VARCHAR)) FROM (FROM ({query}) LIMIT {_VECTOR}) AS sampled"
    ((row_bytes,),) = cursor.execute(sample).fetchall()
    return float(row_bytes or 0)


def _rows_of_group(row_bytes: float) -> int:
    """Return how many rows a row group has."""
    rows = int(ROW_GROUP_BYTES / max(1, row_bytes))
    return max(_VECTOR, min(ROW_GROUP_ROWS, rows // _VECTOR * _VECTOR))


def _copy(cursor: duckdb.DuckDBPyConnection, query: str, file: Path, options: str) -> int:
    copied = cursor.execute(f"COPY ({query}) TO {as_literal(str(file))} ({options}, USE_TMP_FILE false)")
    return int(copied.fetchall()[0][0])


def _result(source: ExportedRows, path: Path, written: Sequence[tuple[Path, int]]) -> ExportResult:
    rows, size = sum(rows for _, rows in written), sum(file.stat().st_size for file, _ in written)
    return ExportResult(source.name, str(path), len(written), rows, size)


def bounded(cursor: duckdb.DuckDBPyConnection, source: ExportedRows, write: Callable[[], T]) -> T:
    """Write, within `MEMORY_LIMIT` and in one thread if the DuckDB instance is ours alone. Without that, it keeps all
    that it reads and writes, up to most of the machine's memory, and a row group for each core. If rows are too long
    for the limit, write again with DuckDB's own. An instance that somebody else uses, too, keeps its settings.

    Raises:
        StoreError: the rows are too long for an instance that is shared; and what `write` raises.
    """
    ((connections, memory_limit, threads),) = cursor.execute(
        "SELECT count, current_setting('memory_limit'), current_setting('threads') FROM duckdb_connection_count()"
    ).fetchall()
    try:
        if connections > 1:
            return write()
        with cursor.cursor() as settings:
            try:
                _set(settings, MEMORY_LIMIT, 1)
                with suppress(duckdb.OutOfMemoryException):
                    return write()
                _set(settings, memory_limit, 1)
                cursor.execute("ROLLBACK")  # the error has ended the transaction; nobody else has the file open
                cursor.execute("BEGIN TRANSACTION READ ONLY")
                return write()
            finally:
                with suppress(duckdb.Error):
                    _set(settings, memory_limit, threads)
    except duckdb.OutOfMemoryException:
        raise StoreError(
            f"{source.name!r} has rows that are too long for DuckDB's memory_limit: set a higher one on your "
            "connection, or use a Store of the path, which has it."
        ) from None


def _set(cursor: duckdb.DuckDBPyConnection, memory_limit: str, threads: int) -> None:
    cursor.execute(f"SET memory_limit = {as_literal(memory_limit)}")
    cursor.execute(f"SET threads = {threads}")
