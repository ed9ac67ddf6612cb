"""A caller's SQL: one statement that reads. Its errors name the place, as DuckDB's do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
from arro3.core import Table

from mixpanel_async.duck.query_result import QueryResult
from mixpanel_async.errors import StoreError
from mixpanel_async.selections import is_text

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import Self

    import pyarrow as pa

    from mixpanel_async.duck.schema import Schema

BATCH_ROWS = 16_384
"""Rows of a batch: 16 MB if a row has 1 kB."""

_READING = {"SELECT", "EXPLAIN", "MULTI"}
"""Kinds of statements that only read. FROM, VALUES, DESCRIBE, SHOW and SUMMARIZE are SELECTs; PIVOT is a MULTI."""
_ALLOWED = "SELECT, FROM, WITH, VALUES, PIVOT, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN"
_EXPLAINED = re.compile(r"\s*EXPLAIN(?:\s+ANALYZE)?(?:\s*\([^()]*\))?(?=[\s(])(.*)", re.IGNORECASE | re.DOTALL)
"""What comes behind EXPLAIN."""
_STREAM_ERROR = "C Data interface error: "
"""What arro3 puts before an error of DuckDB."""


@dataclass(frozen=True, slots=True)
class Query:
    """A statement and the values of its parameters; `of` checks a caller's arguments."""

    sql: str
    parameters: Sequence[object] | dict[str, object] | None

    @classmethod
    def of(cls, sql: str, parameters: Sequence[object] | Mapping[str, object] | None) -> Self:
        """Check the arguments.

        Raises:
            ValueError: names the argument and what it must be.
        """
        if not (is_text(sql) and sql.strip()):
            raise ValueError("sql must be a text with one statement, without lone surrogates.")
        if isinstance(parameters, Mapping):
            return cls(sql, dict(parameters) or None)
        if parameters is None or (isinstance(parameters, Sequence) and not isinstance(parameters, (str, bytes))):
            return cls(sql, parameters or None)
        raise ValueError(
            "parameters must be a list, for `?` and `$1` in the SQL, or a dict, for `$name`, "
            f"not {type(parameters).__name__}."
        )

    def result(self, cursor: duckdb.DuckDBPyConnection, schema: Schema) -> QueryResult:
        """Run it, and keep all rows.

        Raises:
            StoreError: DuckDB's own message, or the statement does not only read.
        """
        with _translated():
            relation = self._relation(cursor, schema)
            query = "SELECT value FROM duckdb_settings() WHERE name = 'TimeZone'"
            types = tuple(map(str, relation.types))
            columns, table = tuple(relation.columns), Table.from_arrow(relation)
            table = table.rename_columns([f"c{place}" for place in range(len(columns))])  # two may be the same
            zones = cursor.execute(query).fetchall()
        return QueryResult(columns, types, table, zones[0][0] if zones else None)

    def batches(self, cursor: duckdb.DuckDBPyConnection, schema: Schema) -> Generator[pa.RecordBatch, None, None]:
        """Run it, and yield its rows as they come.

        Raises:
            StoreError: as `result`.
        """
        with _translated(), closing(self._relation(cursor, schema, lossless=False).to_arrow_reader(BATCH_ROWS)) as rows:
            yield from rows

    def _relation(
        self, cursor: duckdb.DuckDBPyConnection, schema: Schema, *, lossless: bool = True
    ) -> duckdb.DuckDBPyRelation:
        cursor.execute(f"USE {schema}")
        cursor.execute("SET SESSION python_enable_replacements = false")  # no table is a Python variable of ours
        cursor.execute(f"SET SESSION arrow_lossless_conversion = {lossless}")
        _check_reads_only(cursor, self.sql)
        try:
            relation = cursor.sql(self.sql, params=self.parameters)
        except (duckdb.BinderException, duckdb.CatalogException):
            cursor.execute(self.sql, self.parameters)  # fails with the same message and the place, which sql() omits
            raise
        if relation is None:
            raise StoreError(f"The statement has no rows: pass {_ALLOWED}.")
        return relation


def _check_reads_only(cursor: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Raise StoreError unless it is one statement that only reads: others would change settings of an instance that
    is shared, end the transaction, or write.
    """
    kinds = _kinds(cursor, sql)
    if kinds == ["EXPLAIN"] and (explained := _EXPLAINED.fullmatch(sql)) is not None:
        kinds = _kinds(cursor, explained[1])  # EXPLAIN ANALYZE runs the statement
    elif kinds == ["EXPLAIN"]:
        raise StoreError("A query begins with EXPLAIN itself: move the comment behind it.")
    if len(kinds) != 1:
        count = f"{len(kinds)} statements" if kinds else "no statement"
        raise StoreError(f"The SQL has {count}: pass one at a time.")
    if kinds[0] not in _READING:
        raise StoreError(
            f"A query only reads, and this is {kinds[0]}: pass {_ALLOWED}. For anything else, "
            "use duckdb.connect on the file while nothing else has it open."
        )


def _kinds(cursor: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    """Return the kinds of the statements in a text."""
    statements = [(each.type.name, each.query) for each in cursor.extract_statements(sql)]
    # DuckDB 1.5 makes a PIVOT of a CREATE TYPE, which has no text, and a SELECT.
    return [kind for kind, text in statements if kind != "CREATE" or text]


@contextmanager
def _translated() -> Iterator[None]:
    """Turn an error of DuckDB into a StoreError with all of its message. Arrow readers wrap it in errors of theirs."""
    try:
        yield
    except (StoreError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - arro3 raises it, and pyarrow errors of its own
        message = str(error).removeprefix(_STREAM_ERROR).strip()
        raise StoreError(message) from None
