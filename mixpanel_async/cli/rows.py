"""Rows of a query: CSV and JSON on stdout, and files."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from mixpanel_async.duck.whole_files import destination, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mixpanel_async.duck.query_result import QueryResult

_encode = msgspec.json.Encoder(decimal_format="number").encode


def print_csv(result: QueryResult) -> None:
    """Print it as DuckDB writes CSV: a header, NULL as an empty field, an empty text as `""`."""
    with tempfile.TemporaryDirectory() as directory:
        result.write_csv(path := Path(directory, "rows.csv"))
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def print_json(result: QueryResult) -> None:
    """Print an array with an object for each row."""
    sys.stdout.buffer.writelines(_json(result))
    sys.stdout.buffer.flush()


def writer(path: Path) -> Callable[[QueryResult], None]:
    """Return what writes rows to a file, by its name. Raises click's BadParameter."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".parquet"]:
        return lambda result: result.write_parquet(path)
    if suffixes[-1:] == [".csv"] or suffixes[-2:] in ([".csv", ".gz"], [".csv", ".zst"]):
        return lambda result: result.write_csv(path)
    if suffixes[-1:] == [".json"]:
        return lambda result: _write_json(result, destination(path, is_folder=False))
    raise click.BadParameter(f"{path} must end in .parquet, .csv, .csv.gz, .csv.zst or .json.", param_hint="--output")


def _write_json(result: QueryResult, path: Path) -> None:
    with write_whole(path) as temporary, temporary.open("wb") as file:
        file.writelines(_json(result))


def _json(result: QueryResult) -> Iterator[bytes]:
    """Yield the array, a row a line. Numbers are exact, a JSON column is its own JSON, times are ISO 8601."""
    are_json = [kind == "JSON" for kind in result.types]
    yield b"["
    between = b"\n"
    for row in result:
        values = (_raw(value) if is_json else value for value, is_json in zip(row, are_json, strict=True))
        yield between + _encode(dict(zip(result.columns, values, strict=True)))
        between = b",\n"
    yield b"\n]\n"


def _raw(value: Any) -> Any:
    return None if value is None else msgspec.Raw(value.encode())
