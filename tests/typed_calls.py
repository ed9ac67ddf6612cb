"""What a type checker says of a caller's code; checked by the `types` session, never run."""

from collections.abc import AsyncGenerator
from datetime import date
from typing import Any, assert_type

from mixpanel_async import (
    BatchProgress,
    Coverage,
    DecodeError,
    Description,
    FetchResult,
    MixpanelClient,
    ParallelFetchResult,
    ParallelProfileFetchResult,
    ProfileBatchProgress,
    QueryResult,
    SchemaChange,
    Store,
    TableInfo,
    Verification,
    ViewInfo,
)
from mixpanel_async.catalog import Annotation, LexiconSchema, TopProperty


async def async_hook(progress: BatchProgress) -> None: ...


def plain_hook(progress: BatchProgress) -> None: ...


def returning_hook(progress: BatchProgress) -> int:
    return progress.rows


def rejected(error: DecodeError) -> None:
    assert_type(error.line_number, int | None)


async def streams(client: MixpanelClient, parallel: bool) -> None:
    stream = client.stream_events(
        from_date="2026-01-01", to_date="2026-01-02", raw=True, parallel=parallel, on_rejected=rejected
    )
    assert_type(stream, AsyncGenerator[dict[str, Any], None])
    async for event in stream:
        assert_type(event, dict[str, Any])
    await stream.aclose()
    async for batch in client.stream_batches(from_date="2026-01-01", to_date="2026-01-02"):
        assert batch.num_rows


async def lookups(client: MixpanelClient) -> None:
    assert_type(await client.lookups.event_names(limit=5000, save="names"), tuple[str, ...])
    assert_type(await client.lookups.top_properties("Signed up", save=True), tuple[TopProperty, ...])
    assert_type((await client.lookups.cohorts())[0].description, str | None)
    assert_type(await client.lookups.lexicon_schemas("event"), tuple[LexiconSchema, ...])
    assert_type(await client.lookups.annotations("2026-01-01", date(2026, 1, 2)), tuple[Annotation, ...])


async def calls(client: MixpanelClient, parallel: bool) -> None:
    one = await client.fetch_events(from_date="2026-01-01", to_date="2026-01-02", limit=10)
    assert_type(one, FetchResult)
    assert_type(
        await client.fetch_events(
            from_date="2026-01-01", to_date="2026-01-02", parallel=False, on_batch_complete=plain_hook
        ),
        FetchResult,
    )
    assert_type(
        await client.fetch_events(
            from_date="2026-01-01", to_date="2026-01-02", parallel=True, on_batch_complete=async_hook
        ),
        ParallelFetchResult,
    )
    assert_type(
        await client.fetch_events(from_date="2026-01-01", to_date="2026-01-02", parallel=parallel),
        FetchResult | ParallelFetchResult,
    )


async def refused(client: MixpanelClient) -> None:
    """What a checker must refuse: mypy warns of an ignore that is not needed."""
    await client.fetch_events(from_date="2026-01-01", to_date="2026-01-02", parallel=True)
    await client.fetch_events(  # type: ignore[call-overload]
        from_date="2026-01-01", to_date="2026-01-02", parallel=True, limit=5
    )
    await client.fetch_events(  # type: ignore[call-overload]
        from_date="2026-01-01", to_date="2026-01-02", events="Signed up"
    )
    await client.fetch_events(from_date="2026-01-01", to_date="2026-01-02", wehre="x")  # type: ignore[call-overload]
    client.stream_events(from_date="2026-01-01", to_date="2026-01-02", events="Signed up")  # type: ignore[arg-type]
    MixpanelClient(region="de")  # type: ignore[arg-type]


async def any_hook(client: MixpanelClient) -> None:
    await client.fetch_events(from_date="2026-01-01", to_date="2026-01-02", on_batch_complete=returning_hook)


def page_hook(progress: ProfileBatchProgress) -> None: ...


async def profiles(client: MixpanelClient, parallel: bool) -> None:
    assert_type(await client.fetch_profiles("people", where="true", distinct_ids=["a"]), FetchResult)
    assert_type(await client.fetch_profiles(parallel=False, append=True, on_batch_complete=page_hook), FetchResult)
    behaviors = [{"window": "30d", "name": "n", "event_selectors": [{"event": "X"}]}]
    assert_type(
        await client.fetch_profiles(parallel=True, max_workers=3, behaviors=behaviors, as_of_timestamp=1, resume=True),
        ParallelProfileFetchResult,
    )
    assert_type(
        await client.fetch_profiles(parallel=parallel, group_id="7", output_properties=("a",)),
        FetchResult | ParallelProfileFetchResult,
    )
    assert_type(await client.sync_profiles(output_properties=["a"], group_id=7), ParallelProfileFetchResult)
    stream = client.stream_profiles(cohort_id=7, include_all_users=True, raw=True)
    assert_type(stream, AsyncGenerator[dict[str, Any], None])
    await client.fetch_profiles(cohort="7")  # type: ignore[call-overload]


async def looking(client: MixpanelClient) -> None:
    assert_type(client.store, Store)
    assert_type(await client.store.coverage(), Coverage)
    assert_type(await Store("a.duckdb", lock_timeout=1).coverage("others"), Coverage)
    result = await client.store.query("SELECT ?", [1])
    assert_type(result, QueryResult)
    assert_type(result.fetchall(), list[tuple[Any, ...]])
    assert_type(list(result), list[tuple[Any, ...]])
    await Store("a.duckdb").query("SELECT $a", {"a": 1})
    tables: tuple[TableInfo, ...] = await client.store.tables()
    assert_type(tables[0].rows, int | None)
    async for batch in client.store.query_batches("SELECT ?", (1,)):
        assert batch is not None
    assert_type(await client.store.describe(event="a", sample=None), Description)
    assert_type(await client.store.create_view("v", properties=["$os"], timezone="UTC"), ViewInfo)
    assert_type(await client.store.create_view("v", "events", properties={"$os": "VARCHAR"}), ViewInfo)
    changes: tuple[SchemaChange, ...] = await client.store.schema_changes("events", "2024-01-05")
    assert_type(changes[0].property, str | None)
    assert_type(await client.verify_events(from_date="2026-01-01"), Verification)
    await client.verify_events(where="true")  # type: ignore[call-arg]
