"""How a request that was let through is answered, and how one that was not is told so."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import NamedTuple

from aiohttp import web

from mixpanel_async.testing.http.request_log import RequestRecord
from mixpanel_async.testing.http.response import Answer, RefusedError
from mixpanel_async.testing.sending.body_encoder import Rendering
from mixpanel_async.testing.sending.streaming import ahead, break_off, send


class Pace(NamedTuple):
    """Seconds before the headers, and how fast a body is sent if no fault says otherwise."""

    latency: float
    bytes_per_second: float | None


async def happen(
    request: web.BaseRequest,
    record: RequestRecord,
    rendering: Rendering,
    pace: Pace,
) -> web.StreamResponse:
    """Send the rendering, or what its fault puts in its place."""
    fault = rendering.fault
    await asyncio.sleep(pace.latency + fault.delay)
    if fault.reset_first:
        await break_off(request, reset=True)
        return web.Response()
    if fault.answer is not None:
        raise RefusedError(fault.answer)
    pieces, delivery = await rendering.rendered(accepts_gzip=_accepts_gzip(request))
    if delivery.bytes_per_second is None:
        delivery = replace(delivery, bytes_per_second=pace.bytes_per_second)
    record.status = 200
    response = await send(request, ahead(pieces, rendering.threads), delivery, record)
    record.finished = delivery.ending == "clean"
    return response


async def told(request: web.BaseRequest, record: RequestRecord, answer: Answer) -> web.StreamResponse:
    """Send a short answer."""
    body = answer.filled(request.path_qs)
    headers = {"Content-Type": answer.content_type, **dict(answer.headers)}
    response = web.Response(status=answer.status, body=body, headers=headers)
    record.status = answer.status
    await response.prepare(request)
    await response.write_eof()
    record.bytes_sent = len(body)
    record.finished = True
    return response


def _accepts_gzip(request: web.BaseRequest) -> bool:
    """Say whether the client takes gzip; no other encoding is ever used (Mixpanel's docs)."""
    for offer in request.headers.get("Accept-Encoding", "").lower().split(","):
        name, *parameters = (part.strip() for part in offer.split(";"))
        if name in {"gzip", "x-gzip", "*"}:
            return not any(re.fullmatch(r"q=0(\.0*)?", parameter) for parameter in parameters)
    return False
