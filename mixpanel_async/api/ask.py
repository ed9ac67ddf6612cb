"""Queries: asked, judged, and asked again until their JSON is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from mixpanel_async.api.query import judge_told
from mixpanel_async.api.responses import what_it_says
from mixpanel_async.decode.arrow_blocks import gunzip
from mixpanel_async.decode.dicts import UNREADABLE, parse
from mixpanel_async.errors import ExportError, ServerError
from mixpanel_async.export.download import check
from mixpanel_async.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixpanel_async.api.query import Query
    from mixpanel_async.api.source import Source

T = TypeVar("T")


async def ask(source: Source, query: Query, read: Callable[[bytes], T]) -> T:
    """Have an answer to a query, as `read` makes it of the body's text, in a thread.

    An ExportError that `read` raises is the answer's, and it is asked for again as often as the policy says.

    Raises:
        ExportError: what ended the last attempt; it names the query.
    """
    attempt = 1
    while True:
        try:
            pieces = await _receive(source, query)
            return await finish_in_thread(lambda pieces: read(b"".join(gunzip(pieces))), pieces)
        except ExportError as error:
            if not error.passing or attempt >= source.retry.attempts:
                raise _named(error, query.name, attempt) from None
            await source.wait(query.name, attempt, error)
            attempt += 1


def read_json(body: bytes) -> Any:  # noqa: ANN401 - whatever the JSON holds
    """Parse an answer; no number is rounded but to a double.

    Raises:
        ServerError: it is no JSON (it may have been cut), or tells of an error.
        QueryError: it tells of an error that will stay.
    """
    try:
        told = parse(body)
    except UNREADABLE:
        raise ServerError(f"An answer that is no whole JSON: {what_it_says(body)[:80]}", status=200) from None
    if (error := judge_told(told)) is not None:
        raise error
    return told


async def _receive(source: Source, query: Query) -> list[bytes]:
    send = source.transport.post if query.posted else source.transport.get
    async with (
        source.limiter.slot(counted=query.counted),
        send(source.url + query.path, query.parameters, source.credentials) as answer,
    ):
        await check(answer)
        return [piece async for piece in answer.pieces()]


def _named(error: ExportError, name: str, attempts: int) -> ExportError:
    error.attempts = attempts
    tries = f" (after {attempts} attempts)" if attempts > 1 else ""
    error.args = (f"{name}: {error}{tries}",)
    return error
