"""What a type checker says of a caller's code; checked by the `types` session, never run."""

from typing import assert_type

from mixpanel_async import BatchProgress, FetchResult, MixpanelClient, ParallelFetchResult


async def async_hook(progress: BatchProgress) -> None: ...


def plain_hook(progress: BatchProgress) -> None: ...


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
