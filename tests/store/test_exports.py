"""Exports: Parquet by date, CSV and JSON Lines, each file whole or absent."""

from __future__ import annotations

import asyncio
import csv
import gzip
import json
import os
import re
import shutil
import threading
import time
from collections import Counter

import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset
import pyarrow.parquet
import pytest

from mixpanel_async import ExportResult, Store, StoreError, TableNotFoundError
from mixpanel_async.duck import exports
from mixpanel_async.testing import FakeMixpanel, GivenProfiles
from tests.cancellation.stepping import run_and_cancel
from tests.slices import few
from tests.system.conftest import LAST, Gated, client_of, expected, stored  # noqa: F401 - a fixture
from tests.system.test_turns import five_of_six

from .conftest import DATES, ROWS_A_DAY, is_free, last_year, others_can_write, process_that_holds, run_and_kill

KINDS = pytest.mark.parametrize("what", ["parquet", "csv", "jsonl"])
LONG_AGO = (1_000_000_000, 1_000_000_000)
LEFT = ".mixpanel-async-exporting-0123456789abcdef.tmp"

LINES = [
    rb'{"event":"Sign up","properties":{"time":1767225600123,"distinct_id":"a","$insert_id":"i1","n":12345678901234567890123,"x":1.50,"none":null}}',
    rb'{"event":"Sign up","properties":{"time":1767225600124,"distinct_id":"","$insert_id":"i2","deep":{"b":[1,{"a":null,"a":2}],"":{}},"e":1e400}}',
    '{"event":"\u2028 \u2029 é 顧","properties":{"time":1767312000001,"text":"\u2028\\n\\u00e9\\"\\\\ ,","$os":"x"}}'.encode(),
    rb'{"event":"a \"quoted\",\nname\u0001","properties":{"distinct_id":17,"time":1767312000002,"time ":1,"b":true,"a":false}}',
    rb'{"event":"","properties":{"time":1767398399999,"z":-0.0,"y":[[],[[]]],"":""}}',
]


def export(store, what, path, name="events", **options):
    return getattr(store, f"export_{what}")(name, path, **options)


def counted(path):
    """Rows of each file of a folder, by its place in it."""
    return {
        str(file.relative_to(path)): pyarrow.parquet.read_metadata(file).num_rows for file in path.rglob("*.parquet")
    }


def rows_in(path):
    """Rows of the table. The file must be free."""
    with duckdb.connect(str(path)) as connection:
        return connection.execute("SELECT count(*) FROM events").fetchall()[0][0]


def left_over(path):
    return [file.name for file in path.rglob(".*")]


def wait_for(condition):
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


def names_of(dates, rows=ROWS_A_DAY):
    return {f"date={date}/events.parquet": rows for date in dates}


# Parquet


async def test_parquet_has_a_file_for_each_date(larger, tmp_path):
    out = tmp_path / "out"
    result = await Store(larger).export_parquet("events", out)
    size = sum(file.stat().st_size for file in out.rglob("*.parquet"))
    assert result == ExportResult("events", str(out), 4, 4 * ROWS_A_DAY, size)
    assert re.fullmatch(rf"Table events to {out}: 12,000 rows, 4 files, [0-9.,]+ kB", str(result))
    assert list(result.to_dict()) == ["table", "path", "files", "rows", "bytes"]
    assert counted(out) == names_of(DATES)
    assert left_over(out) == []
    assert rows_in(larger) == 4 * ROWS_A_DAY


async def test_its_rows_are_the_tables(larger, tmp_path):
    await Store(larger).export_parquet("events", tmp_path / "out")
    await Store(larger).export_parquet("events", tmp_path / "one.parquet", partition_by=None)
    columns = "event_name, event_time, distinct_id, insert_id, properties::VARCHAR"
    with duckdb.connect(str(larger)) as connection:
        table = connection.execute(f"SELECT {columns} FROM events ORDER BY ALL").fetchall()
    query = f"SELECT {columns} FROM '{{}}' ORDER BY ALL"
    for files in (tmp_path / "one.parquet", tmp_path / "out/date=*/*.parquet"):
        assert duckdb.sql(query.format(files)).fetchall() == table
    by_date = duckdb.sql(f"SELECT date::VARCHAR, count(*), min(event_time)::DATE::VARCHAR FROM '{tmp_path}/out/**/*.parquet' GROUP BY ALL ORDER BY ALL")  # fmt: skip
    assert by_date.fetchall() == [(date, ROWS_A_DAY, date) for date in DATES]


async def test_other_tools_read_it(larger, tmp_path):
    out = tmp_path / "out"
    await Store(larger).export_parquet("events", out)
    rows = 4 * ROWS_A_DAY
    (out / "date=2024-01-01" / LEFT).write_bytes(b"PAR1 half written")
    assert pyarrow.dataset.dataset(out, partitioning="hive").count_rows() == rows
    frame = pd.read_parquet(out)
    assert len(frame) == rows
    assert str(frame["event_time"].dtype) == "datetime64[us]"
    assert json.loads(frame["properties"][0])["n"] == 0
    lazy = pl.scan_parquet(out / "date=*/*.parquet", hive_partitioning=True)
    read = lazy.collect()
    assert read.height == rows
    assert (read.schema["properties"], str(read.schema["event_time"])) == (pl.String, "Datetime(time_unit='us', time_zone=None)")  # fmt: skip
    query = f"SELECT count(*), count(DISTINCT date) FROM '{out}/date=*/*.parquet'"
    assert last_year("-c", query) == f"{rows},4"


async def test_it_is_compressed_in_row_groups_of_a_bounded_size(larger, tmp_path, monkeypatch):
    monkeypatch.setattr(exports, "ROW_GROUP_BYTES", 400_000)
    await Store(larger).export_parquet("events", tmp_path / "a.parquet", partition_by=None)
    metadata = pyarrow.parquet.read_metadata(tmp_path / "a.parquet")
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    assert {group.num_rows for group in groups[:-1]} == {2048}
    assert groups[0].column(4).compression == "ZSTD"


async def test_a_partition_is_replaced_and_the_others_stay(larger, tmp_path):
    out = tmp_path / "out"
    await Store(larger).export_parquet("events", out)
    before = {file: file.stat().st_ino for file in out.rglob("*.parquet")}
    with duckdb.connect(str(larger)) as connection:
        connection.execute("DELETE FROM events WHERE event_time::DATE = '2024-01-02' AND (properties->>'$.n') < '5'")
    result = await Store(larger).export_parquet("events", out, from_date="2024-01-02", to_date="2024-01-02")
    assert (result.files, result.rows) == (1, counted(out)["date=2024-01-02/events.parquet"])
    assert result.rows < ROWS_A_DAY
    changed = {file.parent.name for file, inode in before.items() if file.stat().st_ino != inode}
    assert changed == {"date=2024-01-02"}


async def test_partitions_that_the_table_no_longer_holds_stay(larger, tmp_path):
    out = tmp_path / "out"
    await Store(larger).export_parquet("events", out)
    with duckdb.connect(str(larger)) as connection:
        connection.execute("DELETE FROM events WHERE event_time < '2024-01-03'")
        connection.execute("DELETE FROM _mixpanel_chunks WHERE from_date = '2024-01-01'")
    result = await Store(larger).export_parquet("events", out)
    # The table holds the second day still, without rows; the first one it does not hold.
    assert counted(out) == {**names_of(DATES), "date=2024-01-02/events.parquet": 0}
    assert (result.files, result.rows) == (3, 2 * ROWS_A_DAY)


async def test_a_day_without_rows_makes_no_new_partition(filled, tmp_path):
    result = await Store(filled).export_parquet("events", tmp_path / "out")
    assert counted(tmp_path / "out") == {"date=2024-01-02/events.parquet": 2, "date=2024-01-07/events.parquet": 1}
    assert result.files == 2


async def test_a_view_keeps_its_types(larger, tmp_path):
    with duckdb.connect(str(larger)) as connection:
        connection.execute("CREATE VIEW typed AS SELECT event_time, (properties->>'$.n')::INTEGER AS n, properties->'$.text' AS text FROM events")  # fmt: skip
        connection.execute('CREATE VIEW dated AS SELECT event_time, 1 AS "Date" FROM events')
        connection.execute("CREATE VIEW zoned AS SELECT event_time::TIMESTAMPTZ AS event_time FROM events")
        connection.execute("CREATE VIEW timeless AS SELECT NULL::TIMESTAMP AS event_time FROM events")
    store = Store(larger)
    await store.export_parquet("typed", tmp_path / "typed")
    schema = pyarrow.parquet.read_schema(tmp_path / "typed/date=2024-01-01/typed.parquet")
    assert list(map(str, schema.types)) == ["timestamp[us]", "int32", "string"]
    assert (await store.export_parquet("zoned", tmp_path / "zoned")).files == 4
    for view, why in (("dated", "has a column named date"), ("timeless", "has rows without event_time")):
        with pytest.raises(StoreError, match=rf"'{view}' {why}.*: pass partition_by=None"):
            await store.export_parquet(view, tmp_path / "none")
    assert not (tmp_path / "none").exists()


# CSV


@pytest.mark.parametrize(("suffix", "opened"), [(".csv", open), (".csv.gz", gzip.open), (".csv.zst", None)])
async def test_csv_is_read_back(larger, tmp_path, suffix, opened):
    target = tmp_path / f"events{suffix}"
    result = await Store(larger).export_csv("events", target)
    assert (result.files, result.rows, result.bytes) == (1, 4 * ROWS_A_DAY, target.stat().st_size)
    with duckdb.connect(str(larger)) as connection:
        table = connection.execute("SELECT * FROM events").fetchall()
        assert connection.execute(f"SELECT * REPLACE (properties::JSON AS properties) FROM read_csv('{target}', header = true, auto_detect = false, columns = {{a: VARCHAR, b: TIMESTAMP, c: VARCHAR, d: VARCHAR, properties: VARCHAR}}, quote = '\"', escape = '\"')").fetchall() == table  # fmt: skip
    if opened is not None:
        with opened(target, "rt", encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        assert header == ["event_name", "event_time", "distinct_id", "insert_id", "properties"]
        assert [row[4] for row in rows] == [row[4] for row in table]


# JSON Lines


@pytest.mark.parametrize("suffix", ["", ".gz"])
async def test_events_come_back_word_for_word(client_of, path, tmp_path, suffix):  # noqa: F811
    async with FakeMixpanel(LINES, today="2026-06-01", limits=None) as server:
        first = client_of(server)
        await first.fetch_events(from_date="2026-01-01", to_date="2026-01-03")
        result = await first.store.export_jsonl("events", tmp_path / f"events.jsonl{suffix}")
    assert result.rows == len(LINES)
    written = (tmp_path / f"events.jsonl{suffix}").read_bytes()
    lines = (gzip.decompress(written) if suffix else written).removesuffix(b"\n").split(b"\n")
    assert Counter(lines) == Counter(LINES)
    async with FakeMixpanel(lines, today="2026-06-01", limits=None) as server:
        second = client_of(server, database=tmp_path / "second.duckdb")
        await second.fetch_events(from_date="2026-01-01", to_date="2026-01-03")
    assert rows_of(path) == rows_of(tmp_path / "second.duckdb")


def rows_of(path, table="events"):
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(f"SELECT COLUMNS(*)::VARCHAR FROM {table} ORDER BY ALL").fetchall()


async def test_profiles_come_back_word_for_word(client_of, path, tmp_path):  # noqa: F811
    people = [
        {"$distinct_id": f'顧客 \u2028"{n}', "$properties": {"$last_seen": "2026-01-02T03:04:05", "n": 2**70 + n, "x": None, "deep": {"a": [n]}}}
        for n in range(30)
    ]  # fmt: skip
    async with FakeMixpanel(profiles=GivenProfiles(people), limits=None) as server:
        first = client_of(server)
        await first.fetch_profiles()
        await first.store.export_jsonl("profiles", tmp_path / "profiles.jsonl")
    lines = (tmp_path / "profiles.jsonl").read_bytes().split(b"\n")[:-1]
    assert Counter(map(json.dumps, map(json.loads, lines))) == Counter(map(json.dumps, people))
    async with FakeMixpanel(profiles=GivenProfiles(map(json.loads, lines)), limits=None) as server:
        await client_of(server, database=tmp_path / "second.duckdb").fetch_profiles()
    assert rows_of(path, "profiles") == rows_of(tmp_path / "second.duckdb", "profiles")


async def test_a_line_break_between_values_does_not_break_a_line(filled, tmp_path):
    with duckdb.connect(str(filled)) as connection:
        connection.execute('UPDATE events SET properties = \'{\n "a":\r\n"b\\n"}\'')
    await Store(filled).export_jsonl("events", tmp_path / "a")
    lines = (tmp_path / "a").read_bytes().splitlines()
    assert [json.loads(line) for line in lines] == [{"event": "a", "properties": {"a": "b\n"}}] * 3


async def test_other_tables_have_no_shape(filled, tmp_path):
    with duckdb.connect(str(filled)) as connection:
        connection.execute("CREATE VIEW named AS SELECT event_name FROM events")
        connection.execute("CREATE VIEW empty AS SELECT NULL::VARCHAR AS event_name, properties FROM events")
    with pytest.raises(StoreError, match=r"'named' has the columns \['event_name'\]: only events .* Use export_csv"):
        await Store(filled).export_jsonl("named", tmp_path / "a")
    with pytest.raises(StoreError, match="'empty' has a row whose name or properties are NULL"):
        await Store(filled).export_jsonl("empty", tmp_path / "a")
    assert [file.name for file in tmp_path.iterdir()] == [filled.name]


# Where to


@KINDS
async def test_folders_are_made_and_an_old_file_is_replaced(filled, tmp_path, what):
    target = tmp_path / "a" / "b" / "c"
    await export(Store(filled), what, target)
    await export(Store(filled), what, target)
    assert left_over(tmp_path / "a") == []
    files = [file for file in (tmp_path / "a").rglob("*") if file.is_file()]
    assert len(files) == (2 if what == "parquet" else 1)


async def test_a_wrong_destination_is_an_error_before_anything_is_written(filled, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    store = Store(filled)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match="is a file: pass a folder for the partitions, or partition_by=None"):
        await store.export_parquet("events", tmp_path / "file")
    for call in (store.export_csv, store.export_jsonl):
        with pytest.raises(StoreError, match="is a folder: pass the path of a file in it"):
            await call("events", tmp_path / "folder")
        with pytest.raises(StoreError, match=r"file/a cannot be written: (Not a directory|File exists)"):
            await call("events", tmp_path / "file" / "a")
        for own in (filled, f"{filled}.wal", tmp_path / "folder" / ".." / filled.name):
            with pytest.raises(StoreError, match="is the database itself: choose another path"):
                await call("events", own)
    for bad in ("", 7, "a\0b", None):
        with pytest.raises(ValueError, match="path must be the path of a file"):
            await store.export_csv("events", bad)
    with pytest.raises(ValueError, match="compressed with gzip only"):
        await store.export_jsonl("events", tmp_path / "a.zst")
    with pytest.raises(ValueError, match="partition_by must be 'date' or None"):
        await store.export_parquet("events", tmp_path / "a", partition_by="month")
    with pytest.raises(ValueError, match="after to_date"):
        await store.export_parquet("events", tmp_path / "a", from_date="2024-01-02", to_date="2024-01-01")
    assert sorted(tmp_path.rglob("*")) == before


async def test_another_tables_partitions_are_not_mixed_in(filled, tmp_path):
    other = tmp_path / "out/date=2024-01-07/other.parquet"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"theirs")
    with pytest.raises(StoreError, match=r"other\.parquet is not of an export of 'events', and a reader"):
        await Store(filled).export_parquet("events", tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").rglob("*") if file.is_file()] == ["other.parquet"]


@KINDS
async def test_only_our_tables_are_exported(filled, tmp_path, what):
    with duckdb.connect(str(filled)) as connection:
        connection.execute("CREATE TABLE theirs AS SELECT 1 AS a")
    store = Store(filled)
    with pytest.raises(StoreError, match="'theirs' was not made by this library: export it with DuckDB's COPY"):
        await export(store, what, tmp_path / "a", "theirs")
    with pytest.raises(TableNotFoundError, match="There is no table 'others'"):
        await export(store, what, tmp_path / "a", "others")
    with pytest.raises(ValueError, match="name="):
        await export(store, what, tmp_path / "a", "_mixpanel_chunks")
    assert not (tmp_path / "a").exists()


async def test_profiles_have_no_dates(client_of, tmp_path):  # noqa: F811
    async with FakeMixpanel(profiles=[{"$distinct_id": "a", "$properties": {}}], limits=None) as server:
        client = client_of(server)
        await client.fetch_profiles()
        with pytest.raises(StoreError, match="'profiles' has no column event_time"):
            await client.store.export_parquet("profiles", tmp_path / "out")
        assert (await client.store.export_parquet("profiles", tmp_path / "a.parquet", partition_by=None)).rows == 1
        await client.lookups.event_names(save=True)
        assert (await client.store.export_csv("event_names", tmp_path / "names.csv")).rows == 0


# Connections, and who else has the file


async def test_a_connection_and_memory_are_exported(filled, tmp_path):
    with duckdb.connect(str(filled)) as connection:
        limit = connection.execute("SELECT current_setting('memory_limit')").fetchall()
        assert (await Store(connection).export_csv("events", tmp_path / "a.csv")).rows == 3
        assert connection.execute("SELECT current_setting('memory_limit')").fetchall() == limit
    with process_that_holds(filled, ", read_only=True"):
        assert (await Store(filled).export_jsonl("events", tmp_path / "a.jsonl")).rows == 3


async def test_the_memory_limit_of_a_shared_instance_comes_back(larger, tmp_path, monkeypatch):
    limits, write = [], exports.write_whole

    def watched(target, meter):
        limits.append(here().execute("SELECT current_setting('memory_limit')").fetchall()[0][0])
        return write(target, meter)

    def here():
        joined.append(duckdb.connect(str(larger), read_only=True))
        return joined[-1]

    joined = []
    monkeypatch.setattr(exports, "write_whole", watched)
    await Store(larger).export_csv("events", tmp_path / "a.csv")
    assert limits == ["183.1 MiB"]
    assert joined[0].execute("SELECT current_setting('memory_limit')").fetchall()[0][0] not in limits
    joined[0].close()


@pytest.fixture
def gated():
    source = Gated()
    yield source
    source.gate.set()


async def test_a_client_exports_while_it_fetches(client_of, path, tmp_path, gated):  # noqa: F811
    async with FakeMixpanel(gated, today="2026-06-01", limits=None) as server:
        client = client_of(server)
        async with five_of_six(client, gated) as call:
            await client.store.export_jsonl("events", tmp_path / "events.jsonl")
            written = Counter((tmp_path / "events.jsonl").read_bytes().splitlines())
            assert written == expected(server, "2026-01-05", "2026-01-09")
            gated.gate.set()
            assert not (await call).has_failures
        await client.store.export_parquet("events", tmp_path / "out", from_date=LAST)
        assert list(counted(tmp_path / "out")) == [f"date={LAST}/events.parquet"]
        assert stored(path) == expected(server, "2026-01-05", LAST)


# Failures


@pytest.mark.parametrize("what", ["parquet", "jsonl"])
async def test_a_cancel_at_any_step_leaves_no_half_file(larger, tmp_path, what):
    target = tmp_path / "out" / ("x" if what == "parquet" else "x.jsonl")
    steps, task = await run_and_cancel(export(Store(larger), what, target), set())
    assert task.result().rows == 4 * ROWS_A_DAY
    for step in few(range(1, steps + 1), 10):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        _, task = await run_and_cancel(export(Store(larger), what, target), {step})
        assert task.cancelled() or task.result().rows == 4 * ROWS_A_DAY
        assert left_over(tmp_path) == []
        if target.is_dir():
            assert set(counted(target).values()) <= {ROWS_A_DAY}
        elif target.exists():
            assert target.read_bytes().count(b"\n") == 4 * ROWS_A_DAY
        assert others_can_write(larger)


@KINDS
async def test_a_cancel_interrupts_the_export_and_leaves_the_old_file(filled, tmp_path, what):
    with duckdb.connect(str(filled)) as connection:
        connection.execute("CREATE VIEW endless AS SELECT events.* FROM events, range(1000000000) AS a, range(1000000) AS b")  # fmt: skip
    target = tmp_path / "out" / "old"
    target.parent.mkdir()
    target.write_text("old")
    options = {"partition_by": None} if what == "parquet" else {}
    export_it = asyncio.ensure_future(export(Store(filled), what, target, "endless", **options))
    await asyncio.to_thread(wait_for, lambda: left_over(tmp_path))
    export_it.cancel()
    async with asyncio.timeout(20):
        with pytest.raises(asyncio.CancelledError):
            await export_it
    assert [(file.name, file.read_text()) for file in target.parent.iterdir()] == [("old", "old")]
    assert is_free(filled)


@KINDS
async def test_rows_too_long_for_the_memory_limit_are_exported_with_duckdbs_own(filled, tmp_path, monkeypatch, what):
    monkeypatch.setattr(exports, "MEMORY_LIMIT", "32MB")
    with duckdb.connect(str(filled)) as connection:
        connection.execute("""INSERT INTO events SELECT 'a', TIMESTAMP '2024-01-03', 'd', NULL, if(i < 3000, '{}', '{"x":"' || repeat(md5(i::VARCHAR), 12500) || '"}') FROM range(3200) AS t(i)""")  # fmt: skip
    assert (await export(Store(filled), what, tmp_path / "out")).rows == 3203
    with duckdb.connect(str(filled)) as connection:
        connection.execute("SET memory_limit = '32MB'")
        with pytest.raises(
            StoreError, match="'events' has rows that are too long for DuckDB's memory_limit: set a higher"
        ):
            await export(Store(connection), what, tmp_path / "other")
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("what", ["parquet", "csv", "jsonl"])
async def test_a_full_disk_is_an_error_that_names_the_file(disk, larger, what):
    target = disk / "out" / ("x" if what == "parquet" else "x.y")
    await export(Store(larger), what, target)
    old = {file: file.read_bytes() for file in target.parent.rglob("*") if file.is_file()}
    (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free // 4096 * 4096 - 8192))
    with pytest.raises(StoreError, match=rf"^{disk}/out/x\S* cannot be written: No space left on the disk: free some"):
        await export(Store(larger), what, target)
    assert {file: file.read_bytes() for file in target.parent.rglob("*") if file.is_file()} == old
    (disk / "ballast").unlink()
    await export(Store(larger), what, target)


@pytest.mark.parametrize(
    ("what", "moment"),
    [
        ("parquet", ("fsync", 1)), ("parquet", ("replace", 1)), ("parquet", ("replaced", 2)), ("parquet", ("fsync", 6)),
        ("parquet", ("written", 1)), ("csv", ("written", 100_000)), ("csv", ("replace", 1)), ("csv", ("replaced", 1)),
        ("jsonl", ("written", 1)), ("jsonl", ("fsync", 1)), ("jsonl", ("fsync", 2)),
    ],
)  # fmt: skip
async def test_a_kill_leaves_whole_files(larger, tmp_path, what, moment):
    target = tmp_path / "out" / ("x" if what == "parquet" else "x.y")
    await export(Store(larger), what, target)
    whole = {file: file.stat().st_size for file in target.parent.rglob("x*/**/*.parquet")} or {target: target.stat().st_size}  # fmt: skip
    with duckdb.connect(str(larger)) as connection:
        connection.execute("INSERT INTO events FROM events")
    assert run_and_kill(larger, what, target, *moment)
    if what == "parquet":
        assert set(counted(target)) == set(names_of(DATES))
        assert set(counted(target).values()) <= {ROWS_A_DAY, 2 * ROWS_A_DAY}
    elif moment not in {("replaced", 1), ("fsync", 2)}:
        assert {file: file.stat().st_size for file in whole} == whole
    assert rows_in(larger) == 8 * ROWS_A_DAY
    result = await export(Store(larger), what, target)
    assert result.rows == 8 * ROWS_A_DAY
    if what == "parquet":
        assert counted(target) == names_of(DATES, 2 * ROWS_A_DAY)


async def test_only_old_files_of_ours_are_removed(filled, tmp_path):
    out = tmp_path / "out"
    await Store(filled).export_parquet("events", out)
    folder = out / "date=2024-01-02"
    others = [f"{LEFT}.mine", ".mixpanel-async-exporting-short.tmp", "mine.tmp"]
    for name in (LEFT, LEFT.replace("0", "1"), *others):
        (folder / name).write_bytes(b"half")
        if name != LEFT.replace("0", "1"):
            os.utime(folder / name, LONG_AGO)
    (folder / LEFT.replace("0", "2")).symlink_to(folder / "mine.tmp")
    await Store(filled).export_parquet("events", out)
    kept = {file.name for file in folder.iterdir()}
    assert kept == {"events.parquet", LEFT.replace("0", "1"), LEFT.replace("0", "2"), *others}


async def test_a_reader_sees_each_partition_once(larger, tmp_path):
    """Another thread reads all the time while partitions are replaced."""
    out, done, seen = tmp_path / "out", threading.Event(), []
    await Store(larger).export_parquet("events", out)

    def read():
        with duckdb.connect() as connection:
            while not done.is_set():
                seen.append(connection.execute(f"SELECT date::VARCHAR, count(*) FROM '{out}/date=*/*.parquet' GROUP BY 1 ORDER BY 1").fetchall())  # fmt: skip

    reading = asyncio.ensure_future(asyncio.to_thread(read))
    for _ in range(5):
        await Store(larger).export_parquet("events", out)
    done.set()
    await reading
    assert len(seen) > 1
    assert all(found == [(date, ROWS_A_DAY) for date in DATES] for found in seen)
