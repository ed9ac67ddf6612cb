"""The parts of the benchmark: which cases run beside which, and what they are compared in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.data import DataSet, served
from benchmarks.measure import Case, Run, rounds
from benchmarks.report import Ratio, shown

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Size:
    """How much, and how often."""

    events: int = 1_000_000
    days: int = 30
    rounds: int = 3


OURS, LOCAL, CURL = "mixpanel_async", "DuckDB, local files", "curl + DuckDB"
UNIQUE = ", no duplicates"


def core(size: Size, directory: Path) -> dict[str, list[Run]]:
    """Nothing in the way: who is fastest?"""
    with (
        served(DataSet(size.events, size.days), directory) as usual,
        served(DataSet(size.events, size.days, duplicates=0.0), directory) as unique,
    ):
        cases = [
            Case(OURS, "ours", usual, deduplicates=True),
            Case(LOCAL, "duckdb_local", usual),
            Case(CURL, "curl_duckdb", usual),
            Case(OURS + UNIQUE, "ours", unique, deduplicates=True),
            Case(LOCAL + UNIQUE, "duckdb_local", unique),
        ]
        runs = rounds(cases, size.rounds, directory)
    ratios = [Ratio(OURS, LOCAL, 1.0), Ratio(OURS, CURL, 1.2), Ratio(OURS + UNIQUE, LOCAL + UNIQUE, 1.0)]
    print(shown("No latency", runs, ratios))
    return runs


PARTS = {"core": core}
