"""`stream events` and `stream profiles`: JSON Lines on stdout."""

from __future__ import annotations

import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import click

from mixpanel_async.cli import options
from mixpanel_async.cli.command import AsyncCommand
from mixpanel_async.cli.dates import resolve
from mixpanel_async.cli.fetch import as_behaviors

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from mixpanel_async.cli.options import Connection

WRITTEN = 1 << 16
"""Bytes of lines that are written together."""

_raw = click.option("--raw", is_flag=True, help="Mixpanel's own objects, which is faster.")


@click.group()
def stream() -> None:
    """Write events or profiles to stdout as JSON Lines."""


@stream.command(cls=AsyncCommand)
@options.options(
    options.first(required=True), options.last(required=True), options.events, options.limit, _raw,
    click.option("--parallel/--no-parallel", default=None, help="Read chunks ahead (the default, but with --limit)."),
    options.chunks, options.connecting,
)  # fmt: skip
async def events(*, connection: Connection, parallel: bool | None, first: Any, last: Any, **arguments: Any) -> None:
    """Write raw events, in the order of their dates."""
    if parallel is None:
        parallel = arguments["limit"] is None
    async with connection.client() as client:
        from_date, to_date = await resolve(client, first, last)
        arguments = options.given(from_date=from_date, to_date=to_date, parallel=parallel, **arguments)
        await _write(client.stream_events(**arguments))


@stream.command(cls=AsyncCommand)
@options.options(options.some_profiles, options.more_profiles, _raw, options.connecting)
async def profiles(*, connection: Connection, behaviors: str | None, **arguments: Any) -> None:
    """Write user or group profiles, each once."""
    async with connection.client() as client:
        arguments = options.given(behaviors=as_behaviors(behaviors), **arguments)
        await _write(client.stream_profiles(**arguments))


async def _write(rows: AsyncGenerator[dict[str, Any], None]) -> None:
    """Write a line a row. A slow reader of stdout holds the rows back, and the downloads with them."""
    import msgspec  # noqa: PLC0415 - help needs none

    from mixpanel_async.threads import finish_in_thread  # noqa: PLC0415 - as above

    encode = msgspec.json.Encoder(decimal_format="number").encode
    lines = bytearray()
    async with aclosing(rows):
        async for row in rows:
            lines += encode(row)
            lines += b"\n"
            if len(lines) >= WRITTEN:
                await finish_in_thread(sys.stdout.buffer.write, lines)
                lines = bytearray()
    sys.stdout.buffer.write(lines)
    sys.stdout.buffer.flush()
