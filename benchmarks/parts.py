"""The parts of the benchmark: which cases run together, and which claims are checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.claims import Claim, at_most, lowest, times_as_fast, times_as_much
from benchmarks.data import DataSet, served
from benchmarks.measure import Case, Runs, loaded, rounds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OURS, LOCAL, CURL = "mixpanel_async", "DuckDB, local files", "curl + DuckDB"
IN_ORDER, UNIQUE = ", in their order", ", no duplicates"
BY_DAY = ", one day a chunk"
PLAIN, SEQUENTIAL = "httpx, json.loads, executemany", "sequential, key on insert_id"
HEADLESS, UTILS = "mixpanel-headless, executemany", "mixpanel-utils, raw, then DuckDB"
STREAM, RAW, AHEAD, BATCHES = "stream_events", "stream_events, raw", "stream_events, parallel", "stream_batches"
HEADLESS_STREAM = "mixpanel-headless, stream_events"
ONE_THREAD = ", one thread"
SLOW = {"latency": 1.0, "bytes_per_second": 4e6}
"""Seconds to the first byte, and bytes a second for each connection."""
WORKERS = (1, 5, 10, 20)
BY_COPY, JSON = ", by COPY", "SELECT event_name AS event, properties FROM events"
EXPORTS = {
    "Parquet, by date": {
        "": {"method": "export_parquet", "target": "parquet"},
        BY_COPY: {
            "copy": "COPY (SELECT *, event_time::DATE AS date FROM events) TO $target "
            "(FORMAT parquet, COMPRESSION zstd, PARTITION_BY (date))",
            "target": "parquet",
        },
    },
    "Parquet, one file": {
        "": {"method": "export_parquet", "arguments": {"partition_by": None}, "target": "events.parquet"},
        BY_COPY: {"copy": "COPY events TO $target (FORMAT parquet, COMPRESSION zstd)", "target": "events.parquet"},
    },
    "CSV": {
        "": {"method": "export_csv", "target": "events.csv"},
        BY_COPY: {"copy": "COPY events TO $target (FORMAT csv)", "target": "events.csv"},
    },
    "JSON Lines": {
        "": {"method": "export_jsonl", "target": "events.jsonl"},
        BY_COPY: {"copy": f"COPY ({JSON}) TO $target (FORMAT json)", "target": "events.jsonl"},
    },
    "JSON Lines, gzip": {
        "": {"method": "export_jsonl", "target": "events.jsonl.gz"},
        BY_COPY: {"copy": f"COPY ({JSON}) TO $target (FORMAT json, COMPRESSION gzip)", "target": "events.jsonl.gz"},
    },
}
"""For each kind of files: what the two contenders are told."""
DAYS = ((200, 200), (3_000, 60), (11_000, 30), (20_000, 30), (33_000, 30), (100_000, 10))
"""Events a day, and days."""


@dataclass(frozen=True, slots=True)
class Size:
    """The number of events, days and rounds."""

    events: int = 1_000_000
    days: int = 30
    rounds: int = 3

    def data(self, share: float = 1.0, days: int | None = None, *, unique: bool = False) -> DataSet:
        """Return a data set with `share` times the events, over this number of days."""
        return DataSet(int(self.events * share), days or self.days, unique)


Part = tuple[Runs, list[Claim]]


def core(size: Size, directory: Path) -> Part:
    """No latency: are we as fast as DuckDB alone?"""
    with served(size.data(), directory) as usual, served(size.data(unique=True), directory) as unique:
        cases = [
            Case(OURS, "ours", usual, deduplicates=True),
            Case(LOCAL, "duckdb_local", usual),
            Case(CURL, "curl_duckdb", usual, needs="curl"),
            Case(LOCAL + IN_ORDER, "duckdb_in_order", usual),
            Case(OURS + UNIQUE, "ours", unique, deduplicates=True),
            Case(LOCAL + UNIQUE, "duckdb_local", unique),
        ]
        runs = rounds(cases, size.rounds, directory)
    return runs, [
        *times_as_fast(runs, OURS, LOCAL, 0.95),
        *times_as_fast(runs, OURS, CURL, 1.2),
        *times_as_fast(runs, OURS, LOCAL + IN_ORDER, 1.0),
        *times_as_fast(runs, OURS + UNIQUE, LOCAL + UNIQUE, 1.0),
        *at_most(runs, "lag_p99_ms", OURS, 10),
        *at_most(runs, "lag_max_ms", OURS, 40),
        *at_most(runs, "peak_mb", OURS, 512),
        *times_as_much(runs, "file_mb", OURS + UNIQUE, LOCAL + UNIQUE, 1.1),
    ]


def latency(size: Size, directory: Path) -> Part:
    """1 s to the first byte and 4 MB/s for each connection: how much do more workers help?"""
    with served(size.data(), directory) as slow:
        cases = [
            *(Case(with_workers(OURS, n), "ours", slow, {"workers": n}, SLOW, deduplicates=True) for n in WORKERS),
            *(
                Case(with_workers(CURL, n), "curl_duckdb", slow, {"workers": n}, SLOW, needs="curl")
                for n in WORKERS[1:]
            ),
        ]
        runs = rounds(cases, size.rounds, directory)
    return runs, [
        *times_as_fast(runs, with_workers(OURS, 5), with_workers(OURS, 1)),
        *times_as_fast(runs, with_workers(OURS, 10), with_workers(OURS, 1), 8.0),
        *times_as_fast(runs, with_workers(OURS, 20), with_workers(OURS, 1)),
        *times_as_fast(runs, with_workers(OURS, 5), with_workers(CURL, 5)),
        *times_as_fast(runs, with_workers(OURS, 10), with_workers(CURL, 10), 1.35),
        *times_as_fast(runs, with_workers(OURS, 20), with_workers(CURL, 20)),
    ]


def days(size: Size, directory: Path) -> Part:
    """No latency: days of 200 to 100,000 events, in the default chunks and in chunks of one day."""
    runs: Runs = {}
    claims: list[Claim] = []
    for per_day, count in DAYS:
        of_size, claimed = _days_of(per_day, count, size, directory)
        runs |= of_size
        claims += claimed
    return runs, claims


def _days_of(per_day: int, count: int, size: Size, directory: Path) -> Part:
    """So many days, each with so many events."""
    ours, by_day, local = (f"{per_day:,} a day: {name}" for name in (OURS, OURS + BY_DAY, LOCAL))
    with served(DataSet(per_day * count, count, unique=True), directory) as all_:
        cases = [
            Case(ours, "ours", all_, deduplicates=True),
            Case(by_day, "ours", all_, {"options": {"chunk_days": 1}}, deduplicates=True),
            Case(local, "duckdb_local", all_),
        ]
        runs = rounds(cases, size.rounds, directory)
    return runs, [
        *times_as_fast(runs, ours, local, 0.95 if per_day in {11_000, 33_000} else None),
        *times_as_fast(runs, by_day, local, 0.9 if per_day == 11_000 else None),
        *times_as_much(runs, "file_mb", ours, local, 1.1),
        *times_as_much(runs, "file_mb", by_day, local, 1.1),
    ]


def peers(size: Size, directory: Path) -> Part:
    """No latency: the plain way and other clients. Those that handle events one by one get few events."""
    with (
        served(size.data(unique=True), directory, in_seconds=True) as all_,
        served(size.data(0.005, days=1, unique=True), directory, in_seconds=True) as few,
    ):
        cases = [
            Case(OURS, "ours", all_, deduplicates=True),
            Case(UTILS, "peer_utils", all_, in_seconds=True, needs="mixpanel_utils"),
            Case(PLAIN, "plain", few, needs="httpx"),
            Case(SEQUENTIAL, "sequential", few, needs="httpx"),
            Case(HEADLESS, "peer_headless", few, in_seconds=True, needs="mixpanel_headless"),
        ]
        runs = rounds(cases, size.rounds, directory)
    return runs, [
        *times_as_fast(runs, OURS, PLAIN, 100.0),
        *times_as_fast(runs, OURS, SEQUENTIAL, 100.0),
        *times_as_fast(runs, OURS, HEADLESS, 100.0),
        *times_as_fast(runs, OURS, UTILS),
    ]


def streams(size: Size, directory: Path) -> Part:
    """No latency, nothing stored: events in a plain loop, in chunks of one day."""
    ours = {STREAM: {}, RAW: {"raw": True}, AHEAD: {"parallel": True}, BATCHES: {"batches": True}}
    peers = {HEADLESS_STREAM: {}, HEADLESS_STREAM + ", raw": {"raw": True}}
    with served(size.data(0.3, days=12), directory, as_one=True, in_seconds=True) as days:
        cases = [
            *(Case(name, "ours_streams", days, {"options": told}, stores=False) for name, told in ours.items()),
            *(
                Case(name, "headless_streams", days, {"options": told}, stores=False, needs="mixpanel_headless")
                for name, told in peers.items()
            ),
        ]
        runs = rounds(cases, size.rounds, directory)
    return runs, [
        *times_as_fast(runs, STREAM, HEADLESS_STREAM),
        *times_as_fast(runs, RAW, HEADLESS_STREAM + ", raw"),
        *times_as_fast(runs, AHEAD, STREAM),
        *times_as_fast(runs, BATCHES, STREAM),
    ]


def memory(size: Size, directory: Path) -> Part:
    """Four times as many days as in `core`: does memory grow?"""
    short, long = (f"{OURS}, {days} days" for days in (size.days, 4 * size.days))
    with served(size.data(4.0, days=4 * size.days), directory) as days:
        first = {"to_date": days.data.date(size.days)}
        cases = [
            Case(short, "ours", days, first, deduplicates=True),
            Case(long, "ours", days, deduplicates=True),
        ]
        runs = rounds(cases, size.rounds, directory)
    return runs, [
        *at_most(runs, "peak_mb", long, 512),
        *times_as_much(runs, "peak_mb", long, short, 1.1),
        *times_as_fast(runs, long, short),
    ]


def steps(size: Size, directory: Path) -> Part:
    """One thread, no network: what does an event cost in each step, and with DuckDB's statement?"""
    with served(size.data(4 / size.days, days=4), directory) as few:
        cases = [
            Case(OURS + ONE_THREAD, "ours_steps", few, deduplicates=True),
            Case(LOCAL + ONE_THREAD, "duckdb_local", few, {"threads": 1}),
        ]
        runs = rounds(cases, size.rounds, directory)
    each = [figure for figure in runs[OURS + ONE_THREAD][0] if figure.endswith("_us")]
    return runs, [
        *times_as_fast(runs, OURS + ONE_THREAD, LOCAL + ONE_THREAD),
        *(lowest(runs, figure, OURS + ONE_THREAD) for figure in each),
    ]


def exports(size: Size, directory: Path) -> Part:
    """A table to files: are we as fast as DuckDB's own COPY of the same table, and in bounded memory?"""
    with served(size.data(), directory) as all_, loaded(all_, directory) as source:
        cases = [
            Case(name + by, "exports", all_, {"options": {"source": source, **how}}, deduplicates=True, stores=False)
            for name, ways in EXPORTS.items()
            for by, how in ways.items()
        ]
        runs = rounds(cases, size.rounds, directory)
    return runs, [
        claim
        for name in EXPORTS
        for claim in (
            *times_as_fast(runs, name, name + BY_COPY),
            *times_as_much(runs, "file_mb", name, name + BY_COPY),
            *at_most(runs, "peak_mb", name, 512),
        )
    ]


def store(size: Size, directory: Path) -> Part:
    """Each method of `Store`, over all events and over a fifth of them, which is about what the demo has."""
    runs: Runs = {}
    for share in (0.2, 1.0):
        with served(size.data(share), directory) as some, loaded(some, directory) as source:
            name = f"{some.data.events:,} events"
            options = {"options": {"source": source}}
            case = Case(name, "store_methods", some, options, deduplicates=True, stores=False)
            runs |= rounds([case], size.rounds, directory)
    return runs, [
        lowest(runs, figure, name) for name, of_case in runs.items() for figure in of_case[0] if figure.endswith("_s")
    ]


def scale(size: Size, directory: Path) -> Part:
    """Longer ranges, more chunks, very long days: does the cost of an event stay the same?"""
    runs: Runs = {}
    claims: list[Claim] = []
    for of_some, claimed in (step(size, directory) for step in (_ranges, _chunks, _huge_day)):
        runs |= of_some
        claims += claimed
    return runs, claims


def _ranges(size: Size, directory: Path) -> Part:
    """30, 120 and 365 days, each with a sixth of the events of a day in `core`."""
    lengths = [size.days, 4 * size.days, 12 * size.days + 5]
    with served(size.data(lengths[-1] / size.days / 6, days=lengths[-1]), directory) as year:
        cases = [
            Case(f"{days} days", "ours", year, {"to_date": year.data.date(days)}, deduplicates=True) for days in lengths
        ]
        runs = rounds(cases, size.rounds, directory)
    shortest, *longer = runs
    return runs, [claim for name in longer for claim in times_as_fast(runs, name, shortest, 0.9)]


def _chunks(size: Size, directory: Path) -> Part:
    """100 and 1000 chunks of one day, each with a thousandth of the events of `core`."""
    with served(size.data(days=1000), directory) as thin:
        one_a_day = {"options": {"chunk_days": 1}}
        cases = [
            Case(f"{days} thin chunks", "ours", thin, {"to_date": thin.data.date(days), **one_a_day}, deduplicates=True)
            for days in (100, 1000)
        ]
        runs = rounds(cases, size.rounds, directory)
    few, many = runs
    return runs, times_as_fast(runs, many, few, 0.9)


def _huge_day(size: Size, directory: Path) -> Part:
    """All events of `core` in one day (one chunk), and five times as many. It takes minutes, so two rounds at most."""
    with served(size.data(5.0, days=1), directory) as huge, served(size.data(days=1), directory) as big:
        cases = [
            Case("a day of all events", "ours", big, deduplicates=True),
            Case("a day of five times as many", "ours", huge, deduplicates=True),
        ]
        runs = rounds(cases, min(2, size.rounds), directory)
    one, five = runs
    return runs, [
        *times_as_fast(runs, five, one, 0.9),
        *at_most(runs, "peak_mb", five, 512),
        *at_most(runs, "lag_max_ms", five, 40),
    ]


def with_workers(name: str, workers: int) -> str:
    """Return the name of a case with this number of workers."""
    return f"{name}, {workers} worker{'s' * (workers > 1)}"


PARTS: dict[str, Callable[[Size, Path], Part]] = {
    "core": core, "days": days, "latency": latency, "peers": peers, "streams": streams, "memory": memory,
    "steps": steps, "exports": exports, "store": store, "scale": scale,
}  # fmt: skip
USUAL = ("core", "days", "latency", "peers", "streams", "memory", "steps", "exports")
