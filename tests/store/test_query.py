"""Store.query: the values are DuckDB's own, the rows outlive the file's lease, and a query only reads."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time

import duckdb
import pandas as pd
import pytest

from mixpanel_async import MixpanelClient, QueryResult, ServiceAccount, Store, StoreError
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents

from .conftest import ROWS, cancel_in_the_middle, is_free, others_can_write, process_that_holds

ENDLESS = "SELECT count(*) FROM range(1000000000) AS a, range(1000000000) AS b"
BUSY = "SELECT max(a.range * b.range) AS most FROM range(20000) AS a, range(1500) AS b"

VALUES = [
    "170141183460469231731687303715884105727::HUGEINT",
    "(-170141183460469231731687303715884105728)::HUGEINT",
    "340282366920938463463374607431768211455::UHUGEINT",
    "9223372036854775807",
    "18446744073709551615::UBIGINT",
    "12345678901234567890123456789.123456789::DECIMAL(38, 9)",
    "1.50::DECIMAL(4, 2)",
    "0.1::FLOAT",
    "0.1::DOUBLE",
    "'-inf'::DOUBLE",
    "TIMESTAMP '2024-01-01 00:00:00.123456'",
    "TIMESTAMP_S '2024-01-01 00:00:01'",
    "TIMESTAMP_MS '2024-01-01 00:00:01.123'",
    "TIMESTAMP_NS '2024-01-01 00:00:01.123456789'",
    "TIMESTAMP 'infinity'",
    "DATE '9999-12-31'",
    "DATE '-infinity'",
    "TIME '12:34:56.789'",
    "TIMETZ '12:34:56+05:30'",
    "INTERVAL '1 month 2 days 3.5 seconds'",
    """'{"a": 1.50, "a": [null]}'::JSON""",
    r"'\x00\xFF'::BLOB",
    "UUID '12345678-1234-5678-1234-567812345678'",
    "'0101011'::BIT",
    "'b'::ENUM('a', 'b')",
    "[1, NULL, 3]",
    "[[1], [], NULL]",
    "[1, 2, 3]::INTEGER[3]",
    "[170141183460469231731687303715884105727::HUGEINT]",
    "{'a': 1, 'b': 'x', 'c': [1.5::DECIMAL(4, 1)], 'e': 'b'::ENUM('a', 'b')}",
    """{'u': UUID '12345678-1234-5678-1234-567812345678', 'j': '[1]'::JSON}""",
    "MAP {'k': 1, 'l': NULL}",
    "union_value(num := 2)",
    "12345678901234567890123456789012345678901234567890::BIGNUM",
    "''",
    "'$browser'",
    "chr(0) || 'é😀'",
    "true",
    "NULL",
    "NULL::INTEGER",
]


@pytest.fixture
def store():
    """A Store over a connection with nothing in it."""
    with duckdb.connect() as connection:
        yield Store(connection)


def same(one, other):
    """Equal, in value and in type: NaN and infinite values included."""
    return repr(one) == repr(other)


@pytest.mark.parametrize("value", VALUES)
async def test_each_value_is_what_duckdb_returns(store, value):
    sql = f"SELECT {value} AS v UNION ALL SELECT NULL"
    result = await store.query(sql)
    with duckdb.connect() as own:
        relation = own.sql(sql)
        assert same(result.fetchall(), relation.fetchall())
        assert same(list(result), relation.fetchall())
        assert (result.columns, result.types) == (("v",), tuple(map(str, relation.types)))
        assert str(result) == str(relation).rstrip()
        for form in ("df", "to_arrow_table", "pl"):
            _same_form(result, relation, form)


def _same_form(result, relation, form):
    """A DataFrame or an Arrow table is DuckDB's own; what DuckDB cannot make, the result cannot."""
    make = {"to_arrow_table": "arrow"}.get(form, form)
    try:
        expected = getattr(relation, form)()
    except BaseException as error:  # noqa: BLE001 - a panic of polars is no Exception
        with pytest.raises(type(error)):
            getattr(result, make)()
        return
    found = getattr(result, make)()
    if form == "to_arrow_table":
        assert found.schema == expected.schema
        assert found.combine_chunks() == expected.combine_chunks() or same(found.to_pylist(), expected.to_pylist())
    elif form == "df":
        assert list(found.dtypes) == list(expected.dtypes)
        assert same(found.v.tolist(), expected.v.tolist())
    else:
        assert found.schema == expected.schema
        assert found.equals(expected)


async def test_a_time_zone_is_the_connections():
    if duckdb.__version__ < "2":
        pytest.importorskip("pytz", reason="DuckDB 1.5 makes times with a zone with pytz")
    with duckdb.connect() as connection:
        connection.execute("SET GLOBAL TimeZone = 'Asia/Tokyo'")
        sql = "SELECT TIMESTAMPTZ '2024-01-01 00:00:00+00' AS t"
        result = await Store(connection).query(sql)
        assert same(result.fetchall(), connection.execute(sql).fetchall())
        assert "2024-01-01 09:00:00+09" in str(result)


async def test_columns_of_one_name_are_kept_apart(store):
    result = await store.query('SELECT 1 AS a, \'x\' AS a, 2 AS "A ""b", 3 AS c0')
    assert result.columns == ("a", "a", 'A "b', "c0")
    assert result.fetchall() == [(1, "x", 2, 3)]
    assert result.df().iloc[0].tolist() == [1, "x", 2, 3]
    assert result.pl().row(0) == (1, "x", 2, 3)
    assert result.arrow().column_names == ["a", "a", 'A "b', "c0"]
    assert "text-align:right" in result._repr_html_()


async def test_it_is_a_sequence_of_rows(store):
    result = await store.query("SELECT range AS n FROM range(5000)")
    assert (len(result), result.rows) == (5000, 5000)
    assert list(result) == [(number,) for number in range(5000)]
    assert next(iter(result)) == (0,)
    empty = await store.query("SELECT 1 AS a WHERE false")
    assert (len(empty), list(empty), empty.fetchall(), empty.columns) == (0, [], [], ("a",))
    assert empty.df().shape == empty.pl().shape == (0, 1)
    assert "0 rows" in str(empty)
    assert "0 rows, 1 column" in empty._repr_html_()


@pytest.mark.parametrize(
    ("sql", "parameters", "rows"),
    [
        ("SELECT ? + 1", [1], [(2,)]),
        ("SELECT $1 || $2", ("a", "b"), [("ab",)]),
        ("SELECT $x, $y", {"x": None, "y": [1, 2]}, [(None, [1, 2])]),
        ("SELECT 1", [], [(1,)]),
        ("SELECT 1", {}, [(1,)]),
        ("FROM (VALUES (1), (2)) AS t(a)", None, [(1,), (2,)]),
        ("PIVOT (VALUES ('x', 1), ('y', 2)) AS t(k, v) ON k USING sum(v)", None, [(1, 2)]),
        ("PIVOT (VALUES (1, 'x', 1), (1, 'y', 2)) AS t(g, k, v) ON k USING sum(v) GROUP BY g;", None, [(1, 1, 2)]),
    ],
)
async def test_parameters_and_kinds_of_statements(store, sql, parameters, rows):
    assert (await store.query(sql, parameters)).fetchall() == rows


@pytest.mark.parametrize("sql", ["DESCRIBE events", "SHOW TABLES", "SUMMARIZE events", "EXPLAIN FROM events"])
async def test_statements_that_describe(filled, sql):
    assert len(await Store(filled).query(sql)) > 0


@pytest.mark.parametrize(
    ("sql", "parameters", "message"),
    [
        ("", None, "sql must be a text"),
        (" ", None, "sql must be a text"),
        (b"SELECT 1", None, "sql must be a text"),
        ("SELECT '\ud800'", None, "sql must be a text"),
        ("SELECT ?", "a", "parameters must be a list.*not str"),
        ("SELECT ?", 7, "parameters must be a list.*not int"),
        ("SELECT ?", {1, 2}, "parameters must be a list.*not set"),
    ],
)
async def test_a_wrong_argument_is_an_error(filled, sql, parameters, message):
    with pytest.raises(ValueError, match=message):
        await Store(filled).query(sql, parameters)
    with pytest.raises(ValueError, match=message):
        Store(filled).query_batches(sql, parameters)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELEC 1", 'Parser Error: syntax error at or near "SELEC"\n\nLINE 1: SELEC 1\n        ^'),
        ("SELECT *\nFROM nothing", "Table with name nothing does not exist!"),
        ("SELECT *\nFROM nothing", "LINE 2: FROM nothing\n             ^"),
        ("SELECT evnt FROM events", "LINE 1: SELECT evnt FROM events\n               ^"),
        ("SELECT event_name::INT\nFROM events", "Could not convert string 'a' to INT32"),
        ("SELECT event_name::INT\nFROM events", "LINE 1: "),
        ("SELECT ?", "Values were not provided"),
        ("SELECT CASE WHEN range = 90000 THEN 'x' ELSE '1' END::INT FROM range(100000)", "Conversion Error: Could not"),
    ],
)
async def test_an_error_names_the_place(filled, sql, message):
    with pytest.raises(StoreError) as raised:
        await Store(filled).query(sql)
    assert message in str(raised.value)
    assert "C Data" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert type(raised.value) is StoreError
    assert is_free(filled)


REFUSED = [
    "INSERT INTO events FROM events", "DELETE FROM events", "DROP TABLE events", "CREATE TABLE more (a INT)",
    "CREATE TEMP TABLE more (a INT)", "CREATE VIEW v AS FROM events", "SET threads = 1", "USE memory",
    "ATTACH ':memory:' AS other", "BEGIN", "COMMIT", "ROLLBACK", "CHECKPOINT", "PREPARE p AS SELECT 1",
    "COPY events TO '/nowhere/events.csv'", "LOAD json", "CALL pragma_version()", "SET VARIABLE a = 1", "VACUUM",
]  # fmt: skip


@pytest.mark.parametrize("sql", REFUSED)
async def test_a_statement_that_does_not_only_read_is_refused(filled, sql):
    with duckdb.connect(str(filled)) as connection:  # it could write
        for store in (Store(connection), Store(filled)):
            with pytest.raises(StoreError, match=r"A query only reads, and this is [A-Z]+: pass SELECT, FROM"):
                await store.query(sql)
        assert connection.execute("SELECT count(*) FROM events").fetchall() == [(ROWS,)]


@pytest.mark.parametrize(
    ("sql", "count"), [("SELECT 1; SELECT 2", "2 statements"), ("SELECT 1; DROP TABLE events", "2"), ("-- a", "no")]
)
async def test_it_takes_one_statement(filled, sql, count):
    with pytest.raises(StoreError, match=f"The SQL has {count}.*: pass one at a time"):
        await Store(filled).query(sql)
    assert (await Store(filled).query("SELECT 1; -- a comment\n;")).rows == 1


async def test_a_select_that_writes_is_refused_by_its_transaction(filled):
    with duckdb.connect(str(filled)) as connection:
        connection.execute("CREATE SEQUENCE numbers")
        with pytest.raises(StoreError, match="read-only mode"):
            await Store(connection).query("SELECT nextval('numbers')")


async def test_variables_of_python_are_not_tables(filled):
    frame = pd.DataFrame({"a": [1]})
    with pytest.raises(StoreError, match="Table with name frame does not exist"):
        await Store(filled).query("FROM frame")
    assert len(frame) == 1
    with pytest.raises(StoreError, match="Table with name schema does not exist"):
        await Store(filled).query("FROM schema")  # a variable where it is run


async def test_a_result_outlives_the_file(filled):
    result = await Store(filled).query("SELECT event_name, event_time, properties FROM events ORDER BY event_time")
    assert others_can_write(filled)
    assert is_free(filled)
    filled.unlink()
    assert [name for name, _, _ in result] == ["a"] * ROWS
    assert result.types == ("VARCHAR", "TIMESTAMP", "JSON")
    assert str(result.df().event_time.min()) == "2024-01-02 00:00:00"
    with pytest.raises(AttributeError):
        result.columns = ()


async def test_the_settings_of_a_connection_stay(filled):
    query = "SELECT name, value FROM duckdb_settings() ORDER BY name"
    with duckdb.connect(str(filled)) as connection:
        connection.execute("CREATE SCHEMA other; USE other")
        before = connection.execute(query).fetchall()
        result = await Store(connection).query("SELECT count(*) FROM events")
        assert result.fetchall() == [(ROWS,)]
        assert connection.execute(query).fetchall() == before
        assert connection.execute("SELECT current_schema()").fetchall() == [("other",)]
        assert [row[0] for row in connection.execute("SHOW ALL TABLES").fetchall() if row[2].startswith("arrow")] == []


async def test_a_missing_package_is_named(filled, monkeypatch):
    result = await Store(filled).query("SELECT 1 AS a")
    for missing, methods in (("pandas", ["df"]), ("polars", ["pl"]), ("pyarrow", ["pl", "arrow"])):
        with monkeypatch.context() as context:
            context.setitem(sys.modules, missing, None)
            for method in methods:
                with pytest.raises(ModuleNotFoundError, match=rf"^{method}\(\) needs {missing}: pip install "):
                    getattr(result, method)()


def test_it_needs_no_pyarrow(filled):
    code = (
        "import asyncio, sys; sys.modules['pyarrow'] = sys.modules['pandas'] = sys.modules['polars'] = None\n"
        "from mixpanel_async import Store\n"
        "result = asyncio.run(Store(sys.argv[1]).query('SELECT sum(1) AS n, ? AS x FROM events', ['$os']))\n"
        "print(result.fetchall(), result, result._repr_html_())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(filled)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"[({ROWS}, '$os')] ┌─")


# Cancel, and who else has the file


@pytest.mark.parametrize(("sql", "parameters"), [(ENDLESS, None), (f"{ENDLESS} WHERE a.range > ?", [1])])
@pytest.mark.parametrize("of_client", [False, True])
async def test_a_cancel_ends_a_query_of_minutes_within_a_second(filled, of_client, sql, parameters):
    async with MixpanelClient(ServiceAccount("user", "secret", project_id=1), database=filled) as client:
        store = client.store if of_client else Store(filled)
        query = asyncio.ensure_future(store.query(sql, parameters))
        await cancel_in_the_middle(query, filled)
        assert is_free(filled)
        assert others_can_write(filled)


async def test_a_query_does_not_hold_up_the_event_loop(filled):
    query, longest = asyncio.ensure_future(Store(filled).query(BUSY)), 0.0
    while not query.done():
        before = time.monotonic()
        await asyncio.sleep(0.001)
        longest = max(longest, time.monotonic() - before)
    assert (await query).fetchall() == [(19999 * 1499,)]
    assert longest < 0.25


async def test_eight_readers_in_three_processes(filled):
    code = (
        "import asyncio, sys; from mixpanel_async import Store\n"
        "async def main():\n"
        "    store = Store(sys.argv[1], lock_timeout=0)\n"
        "    found = await asyncio.gather(*(store.query('SELECT count(*) FROM events, range(100000)') for _ in range(3)))\n"
        "    print([each.fetchall()[0][0] for each in found])\n"
        "asyncio.run(main())"
    )
    command = [sys.executable, "-c", code, str(filled)]
    outputs = [asyncio.to_thread(subprocess.check_output, command, text=True) for _ in range(2)]
    mine = [Store(filled, lock_timeout=0).query("SELECT count(*) FROM events, range(100000)") for _ in range(2)]
    *told, one, two = await asyncio.gather(*outputs, *mine)
    expected = ROWS * 100_000
    assert told == [f"{[expected] * 3}\n"] * 2
    assert one.fetchall() == two.fetchall() == [(expected,)]


async def test_a_process_that_writes_is_waited_for(filled):
    with process_that_holds(filled), pytest.raises(StoreError, match="is held by"):
        await Store(filled, lock_timeout=0.1).query("SELECT 1")
    with process_that_holds(filled) as process:
        query = asyncio.ensure_future(Store(filled).query("SELECT count(*) FROM events"))
        await asyncio.wait({query}, timeout=0.1)
        assert not query.done()
        process.stdin.close()
        process.stdin = None
        assert (await query).fetchall() == [(ROWS,)]


# A client's


@pytest.mark.parametrize("kind", ["memory", "file", "connection"])
async def test_a_clients_store_reads_also_while_it_fetches(tmp_path, kind):
    connection = duckdb.connect()
    database = {"memory": ":memory:", "file": tmp_path / "a.duckdb", "connection": connection}[kind]
    async with FakeMixpanel(GeneratedEvents(per_day=20), today="2026-02-10", limits=None) as fake:
        account = fake.project.service_account
        credentials = ServiceAccount(account.username, account.secret, fake.project.id)
        async with MixpanelClient(credentials, database=database, base_url=fake.url) as client:
            counts = []

            async def count(progress):
                found = await client.store.query("SELECT count(*), any_value(properties) FROM events")
                counts.append(found.fetchall()[0][0])

            result = await client.fetch_events(
                from_date="2026-02-01", to_date="2026-02-04", parallel=True, chunk_days=1, on_batch_complete=count
            )
            total = await client.store.query("SELECT count(*) FROM events")
            assert total.fetchall() == [(result.total_rows,)]
            assert len(counts) == 4
            assert all(0 < each <= result.total_rows for each in counts)
    connection.close()
    with pytest.raises(RuntimeError, match="This client is closed"):
        await client.store.query("SELECT 1")
    assert total.fetchall() == [(result.total_rows,)]


async def test_a_clients_store_sees_the_tables_of_the_file(filled):
    async with MixpanelClient(ServiceAccount("user", "secret", project_id=1), database=filled) as client:
        assert (await client.store.query("SELECT count(*) FROM events")).fetchall() == [(ROWS,)]
        assert (await client.store.query("SELECT current_setting('memory_limit')")).fetchall() == [("183.1 MiB",)]


# It prints


async def test_a_box_of_many_rows_has_their_number_and_the_last_ones(store):
    result = await store.query("SELECT range AS n, 'text' AS t FROM range(1234567)")
    text = str(result)
    assert repr(result) == text
    assert len(text.splitlines()) <= 30
    assert re.search(r"│ +0 │ text +│", text)
    assert re.search(r"│ +1234566 │ text +│", text)
    assert "1234567 rows" in text
    assert "(20 shown)" in text
    assert "9999" not in text
    asked = await store.query("SELECT '? rows' AS t FROM range(20000)")
    assert str(asked).count("│ ? rows ") == 20
    assert "20000 rows" in str(asked)
    wide = await store.query("SELECT range AS n, repeat('word ', 50) AS a, repeat('word ', 50) AS b FROM range(20000)")
    assert "20000 rows (20 shown)" in str(wide)
    assert max(map(len, str(wide).splitlines())) <= 120


async def test_a_notebook_shows_a_bounded_table(store):
    columns = ", ".join(f"range AS c{number}" for number in range(30))
    result = await store.query(f"SELECT {columns}, repeat('é', 5000) AS long FROM range(1000)")
    shown = result._repr_html_()
    assert (shown.count("<tr>"), shown.count("<th "), shown.count("<td ")) == (21, 20, 400)
    assert "1,000 rows, 31 columns; 20 rows and 20 columns are shown" in shown
    assert len(shown) < 60_000


async def test_a_notebooks_table_is_escaped_and_has_no_formulas(store):
    result = await store.query(
        "SELECT '<script>alert(1)</script>' AS \"<b>\", '$browser and $os' AS d, NULL AS n, 1.5 AS x, chr(0) AS z"
    )
    shown = result._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
    assert "&lt;b&gt;" in shown
    assert 'class="mixpanel-async tex2jax_ignore mathjax_ignore"' in shown
    assert ">NULL</i>" in shown
    assert "\0" not in shown
    assert isinstance(result, QueryResult)


@pytest.mark.parametrize(
    "explain",
    [
        "EXPLAIN",
        "EXPLAIN ANALYZE",
        "explain analyze ",
        "EXPLAIN (FORMAT json)",
        "EXPLAIN (ANALYZE, FORMAT json)",
        "/* a */ EXPLAIN ANALYZE",
    ],
)
async def test_a_plan_of_what_writes_writes_nothing(filled, tmp_path, explain):
    target = tmp_path / "copied.csv"
    with pytest.raises(StoreError):
        await Store(filled).query(f"{explain} COPY (SELECT 1) TO '{target}'")
    assert not target.exists()
    if not explain.startswith("/*"):
        assert (await Store(filled).query(f"{explain} SELECT 1")).rows >= 1
