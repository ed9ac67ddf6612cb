"""A request's parameters: those of its query string, and those of its body."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from aiohttp import web


async def arguments(request: web.BaseRequest) -> dict[str, str]:
    """Return all parameters of a request; those of the body count where both name one.

    A body is read as JSON first and as a form next, whatever its Content-Type, as Mixpanel does; one that is
    neither adds nothing. What JSON holds besides strings is written as a form would hold it.
    """
    body = await request.content.read()
    return dict(request.query) | _of_body(body)


def as_parameters(values: dict[str, object]) -> dict[str, str]:
    """Write values as a query string holds them: text as it is, all else as JSON; None is left out."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in values.items()
        if value is not None
    }


def _of_body(body: bytes) -> dict[str, str]:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {}
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    return as_parameters(values) if isinstance(values, dict) else dict(parse_qsl(text))
