"""QueryResult: the rows of a query, in memory, apart from the database that they came from.

They are Arrow, in DuckDB's lossless form. Whatever they are turned into, a DuckDB in memory does it, so that each value
is what DuckDB itself would have made of it.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixpanel_async import html
from mixpanel_async.duck.files import as_literal
from mixpanel_async.duck.schema import quoted
from mixpanel_async.duck.sharing import connect
from mixpanel_async.duck.whole_files import destination, write_whole
from mixpanel_async.extras import need, need_pyarrow
from mixpanel_async.terminal import count

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    import duckdb
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from arro3.core import Table

FETCHED = 2048
"""Rows that an iteration turns into tuples at a time."""
BOXED = 10_000
"""Rows that DuckDB reads to print a box, which shows the first and the last of them. It does not count more."""

_NUMBER = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\)|BIGNUM")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class QueryResult:
    """The rows of a query. All of them are in memory; it needs neither the database nor a connection any more.

    `len` is the number of rows, and an iteration yields them as tuples, with the values of `fetchall`. It prints as
    DuckDB prints a result: a box with the first and the last rows, as wide as the terminal, and at least 80 columns.
    In a notebook it is a table of the first 20 rows and columns.
    """

    columns: tuple[str, ...]
    """The names, in order. Two can be the same."""
    types: tuple[str, ...]
    """DuckDB's types, such as `BIGINT` and `JSON`."""
    _table: Table
    _time_zone: str | None
    """Of the connection: in which `TIMESTAMPTZ` values are shown."""

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self._table.num_rows

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows as tuples, with exact values.

        HUGEINT and all other integers are `int`, DECIMAL is `Decimal`, TIMESTAMP a naive `datetime` (an aware one for
        `TIMESTAMPTZ`), INTERVAL a `timedelta` (a month has 30 days), UUID a `UUID`, BLOB `bytes`, JSON its text, a
        list a `list`, a STRUCT or MAP a `dict`, and NULL is `None`.
        """
        with self._relation() as relation:
            return relation.fetchall()

    def df(self) -> pd.DataFrame:
        """Return a pandas DataFrame, as DuckDB makes it: there, HUGEINT (which `sum` of integers returns) and DECIMAL
        are floats, and integers with NULL are, too. `arrow` and `pl` are exact.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        need("df()", "pandas")
        with self._relation() as relation:
            return relation.df()

    def pl(self) -> pl.DataFrame:
        """Return a polars DataFrame. HUGEINT is a Decimal, JSON and UUID are texts.

        Raises:
            ModuleNotFoundError: polars or pyarrow is not installed.
        """
        need("pl()", "polars")
        need_pyarrow("pl()")
        with self._relation() as relation:
            frame: pl.DataFrame = relation.pl()
        return frame

    def arrow(self) -> pa.Table:
        """Return a pyarrow Table. HUGEINT is `decimal128(38, 0)`, JSON and UUID are texts.

        Raises:
            ModuleNotFoundError: pyarrow is not installed.
        """
        need_pyarrow("arrow()")
        with self._relation() as relation:
            return relation.to_arrow_table()

    def write_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the rows as one Parquet file (zstd), whole or not at all. An old file is replaced.

        Raises:
            ValueError: it is not a path.
            StoreError: the file cannot be written; what was there stays.
        """
        self._copy(path, "FORMAT parquet, COMPRESSION zstd")

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the rows as one CSV file, as `Store.export_csv` does; `.gz` and `.zst` are compressed.

        Raises:
            ValueError, StoreError: as `write_parquet`.
        """
        compression = {".gz": "gzip", ".zst": "zstd"}.get(Path(path).suffix.lower(), "none")
        self._copy(path, f"FORMAT csv, HEADER true, COMPRESSION {compression}")

    def _copy(self, path: str | os.PathLike[str], options: str) -> None:
        with write_whole(destination(path, is_folder=False)) as temporary, self._open() as connection:
            target = as_literal(str(temporary))
            connection.execute(f"COPY ({self._select(connection)}) TO {target} ({options}, USE_TMP_FILE false)")

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        with self._open() as connection:
            connection.execute(self._select(connection))
            while rows := connection.fetchmany(FETCHED):
                yield from rows

    def __str__(self) -> str:
        with self._relation(_ends(self._table)) as relation:
            return _with_count(str(relation).rstrip(), self.rows)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html.table(
            self.columns,
            self._texts(),
            right=[place for place, kind in enumerate(self.types) if _NUMBER.fullmatch(kind)],
            types=self.types,
            notes=[_size(self.rows, len(self.columns))],
        )

    def _texts(self) -> list[tuple[str | None, ...]]:
        """The first rows as texts, long ones cut."""
        first = self._table.slice(0, min(self.rows, html.ROWS))
        with self._relation(first, f"left({{}}::VARCHAR, {html.TITLE + 1})") as relation:
            return relation.fetchall()

    @contextmanager
    def _relation(self, table: Table | None = None, column: str = "{}") -> Iterator[duckdb.DuckDBPyRelation]:
        """Open a DuckDB in memory that has the rows; for the arguments see `_open` and `_select`."""
        with self._open(table) as connection:
            yield connection.sql(self._select(connection, column))

    @contextmanager
    def _open(self, table: Table | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a DuckDB in memory that has the rows, or those of another table with the same columns."""
        with connect(":memory:", config={"threads": 1, "python_enable_replacements": False}) as connection:
            if self._time_zone is not None:
                connection.execute(f"SET TimeZone = {as_literal(self._time_zone)}")
            connection.register("arrow", self._table if table is None else table)
            yield connection

    def _select(self, connection: duckdb.DuckDBPyConnection, column: str = "{}") -> str:
        """Return the SQL for all columns, with their names and types: Arrow carries ENUM as a text. `column` is what to
        select of each.
        """
        carried = map(str, connection.table("arrow").types)
        columns = [
            f"{column.format(f'#{place}' if kind == has else f'#{place}::{kind}')} AS {quoted(name)}"
            for place, (name, kind, has) in enumerate(zip(self.columns, self.types, carried, strict=True), 1)
        ]
        return f"SELECT {', '.join(columns)} FROM arrow"


def _ends(table: Table) -> Table:
    """The rows that a box needs: those at both ends if there are too many for it."""
    if table.num_rows <= BOXED:
        return table
    half = BOXED // 2
    first, last = table.slice(0, half), table.slice(table.num_rows - half, half)
    return type(table).from_batches([*first.to_batches(), *last.to_batches()], schema=table.schema)


def _with_count(box: str, rows: int) -> str:
    """Put the number of rows into the lines below a box, if there are so many that DuckDB has not counted them."""
    if rows < BOXED:
        return box
    above, corner, below = box.rpartition("└")
    found = re.search(r"\? rows +\(>9999 rows, ([0-9]+) shown\)", below)
    if found is not None:
        return above + corner + below.replace(found[0], f"{rows} rows ({found[1]} shown)".ljust(len(found[0])))
    below = re.sub(r"\? rows {0,12}", lambda found: f"{rows} rows".ljust(len(found[0])), below)
    below = re.sub(r"\(>9999 rows, ([0-9]+) shown\)", lambda found: f"({found[1]} shown)".ljust(len(found[0])), below)
    return above + corner + below


def _size(rows: int, columns: int) -> str:
    """What the table in a notebook has, and how much of it is left out."""
    size = f"{count(rows, 'row')}, {count(columns, 'column')}"
    if rows > html.ROWS or columns > html.COLUMNS:
        shown = count(min(rows, html.ROWS), "row"), count(min(columns, html.COLUMNS), "column")
        size += f"; {' and '.join(shown)} are shown"
    return size
