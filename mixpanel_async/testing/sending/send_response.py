"""Sends a response: a body with its fault, or a short response such as a refusal."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import NamedTuple

from aiohttp import web

from mixpanel_async.testing.http.request_log import RequestRecord
from mixpanel_async.testing.http.response import RefusedError, Response
from mixpanel_async.testing.sending.body_encoder import BodyEncoder
from mixpanel_async.testing.sending.streaming import break_off, prefetch, stream


class Pace(NamedTuple):
    """The speed of responses, unless a fault sets another speed."""

    latency: float
    """Seconds before the headers."""
    bytes_per_second: float | None
    """The speed of each body; None for no limit."""


async def send_body(
    request: web.BaseRequest, record: RequestRecord, encoder: BodyEncoder, pace: Pace
) -> web.StreamResponse:
    """Send a 200 with the encoder's body and fault, and update ``record``.

    Raises RefusedError if the fault is another response.
    """
    fault = encoder.fault
    await asyncio.sleep(pace.latency + fault.delay)
    if fault.reset_before_headers:
        await break_off(request, reset=True)
        return web.Response()
    if fault.response is not None:
        raise RefusedError(fault.response)
    pieces, delivery = await encoder.encode(accepts_gzip=_accepts_gzip(request))
    if delivery.bytes_per_second is None:
        delivery = replace(delivery, bytes_per_second=pace.bytes_per_second)
    record.status = 200
    sent = await stream(request, prefetch(pieces, encoder.threads), delivery, record)
    record.finished = delivery.ending == "clean"
    return sent


async def send_short(request: web.BaseRequest, record: RequestRecord, response: Response) -> web.StreamResponse:
    """Send a response that fits in memory, and update ``record``."""
    body = response.body_for(request.path_qs)
    headers = {"Content-Type": response.content_type, **dict(response.headers)}
    sent = web.Response(status=response.status, body=body, headers=headers)
    record.status = response.status
    await sent.prepare(request)
    await sent.write_eof()
    record.bytes_sent = len(body)
    record.finished = True
    return sent


def _accepts_gzip(request: web.BaseRequest) -> bool:
    """Return whether the client accepts gzip, the only encoding that Mixpanel uses (its docs)."""
    for offer in request.headers.get("Accept-Encoding", "").lower().split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        if name in {"gzip", "x-gzip", "*"}:
            return not any(re.fullmatch(r"q=0(\.0*)?", parameter) for parameter in parameters)
    return False
