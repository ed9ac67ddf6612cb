"""Reads a request's parameters from its query string and its body."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from aiohttp import web


async def read_parameters(request: web.BaseRequest) -> dict[str, str]:
    """Return all parameters of a request. A parameter in the body overrides one in the query string.

    The body is parsed as JSON first and as a form second, whatever its Content-Type, as Mixpanel does. A body that
    is neither adds no parameters. Values in JSON that are not strings become JSON text, as a form would send them.
    """
    body = await request.content.read()
    return dict(request.query) | _parse_body(body)


def encode_parameters(values: dict[str, object]) -> dict[str, str]:
    """Return the values as a query string sends them: strings unchanged, others as JSON. None is left out."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in values.items()
        if value is not None
    }


def _parse_body(body: bytes) -> dict[str, str]:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {}
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    return encode_parameters(values) if isinstance(values, dict) else dict(parse_qsl(text))
