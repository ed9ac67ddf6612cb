"""A request to the query API, sent until its response is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from mixpanel_async.api.query import error_from_payload
from mixpanel_async.api.responses import raise_for_response
from mixpanel_async.api.source import Attempts
from mixpanel_async.decode.error_text import error_text
from mixpanel_async.decode.gunzip import gunzip
from mixpanel_async.decode.strict_json import parse
from mixpanel_async.errors import ExportError, QueryError, ServerError
from mixpanel_async.threads import finish_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixpanel_async.api.query import Query
    from mixpanel_async.api.source import Source

T = TypeVar("T")


async def send_query(source: Source, query: Query, read: Callable[[bytes], T]) -> T:
    """Send a query, with retries; return what `read` makes of the body's text, in a thread.

    `read` may raise an ExportError: it is treated as the response's.

    Raises:
        ExportError: of the last attempt; it names the query.
    """
    attempts = Attempts(source, query.name, counted=query.is_counted)
    while True:
        try:
            body = await _receive(source, query, attempts.number - 1)
            return await finish_in_thread(lambda body: read(b"".join(gunzip(body))), body)
        except ExportError as error:
            error.fatal |= isinstance(error, QueryError)  # each request of a query has the same dates
            await attempts.failed(error)


def read_json(body: bytes) -> Any:  # noqa: ANN401 - whatever the JSON holds
    """Parse a body; see `strict_json.parse` for numbers.

    Raises:
        ServerError: it is not JSON (it may have been cut), or holds an error.
        QueryError: it holds an error that a retry would meet again.
    """
    try:
        payload = parse(body)
    except ValueError:
        raise ServerError(f"The response is not whole JSON: {error_text(body)[:80]}", status=200) from None
    if (error := error_from_payload(payload)) is not None:
        raise error
    return payload


async def _receive(source: Source, query: Query, resends: int) -> list[bytes]:
    send = source.transport.post if query.is_post else source.transport.get
    async with (
        source.limiter.slot(counted=query.is_counted),
        send(source.url + query.path, query.parameters, source.credentials, resends=resends) as response,
    ):
        await raise_for_response(response)
        body = []
        async for data in response.iter_bytes():
            source.received(len(data))
            body.append(data)
        return body
