"""A plain client for the tests of the fake server. It keeps the encoded body, and the error if there was one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from isal import isal_zlib

from mixpanel_async.testing import FakeMixpanel

DAY = "2026-02-01"


@dataclass(frozen=True)
class Reply:
    """A response: the encoded body, and the error that ended it."""

    status: int | None
    headers: dict[str, str]
    body: bytes
    error: Exception | None

    @property
    def text(self) -> bytes:
        """The decoded body; raises EOFError if the gzip stream is not complete."""
        if self.headers.get("content-encoding") != "gzip":
            return self.body
        left, text = self.body, b""
        while left:
            member = isal_zlib.decompressobj(31)
            text += member.decompress(left)
            if not member.eof:
                raise EOFError
            left = member.unused_data
        return text

    @property
    def json(self) -> Any:
        """The body, parsed as JSON."""
        return json.loads(self.text)

    @property
    def lines(self) -> list[bytes]:
        """The lines, without their newlines."""
        return self.text.removesuffix(b"\n").split(b"\n") if self.text else []

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines, parsed as JSON."""
        return [json.loads(line) for line in self.lines]


Ask = Callable[..., Awaitable[Reply]]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that does not decode bodies."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


async def _reply(request: AbstractAsyncContextManager[aiohttp.ClientResponse]) -> Reply:
    """Read the whole response, and the error that ended it."""
    body, status, shown = b"", None, {}
    try:
        async with request as response:
            status = response.status
            shown = {name.lower(): value for name, value in response.headers.items()}
            async for part in response.content.iter_any():
                body += part
    except aiohttp.ClientError as error:
        return Reply(status, shown, body, error)
    return Reply(status, shown, body, None)


@pytest.fixture
def ask(session: aiohttp.ClientSession) -> Ask:
    """Send an export request; by default for one day, from the first service account, without gzip."""

    async def ask(
        fake: FakeMixpanel,
        from_date: str | None = DAY,
        to_date: str | None = None,
        *,
        authorization: str | None = "default",
        encoding: str = "identity",
        path: str = "/api/2.0/export",
        method: str = "GET",
        **params: str | int | None,
    ) -> Reply:
        if authorization == "default":
            authorization = fake.project.service_account.authorization()
            params = {"project_id": fake.project.id} | params
        params |= {"from_date": from_date, "to_date": to_date or from_date}
        given = {name: str(value) for name, value in params.items() if value is not None}
        headers = {"Accept-Encoding": encoding} | ({"Authorization": authorization} if authorization else {})
        return await _reply(
            session.request(method, fake.url + path, params=given, headers=headers, allow_redirects=False)
        )

    return ask


@pytest.fixture
def query(session: aiohttp.ClientSession) -> Ask:
    """Send a query from the first service account; by default a POST."""

    async def query(
        fake: FakeMixpanel,
        path: str,
        *,
        method: str = "POST",
        authorization: str | None = "default",
        encoding: str = "identity",
        params: dict[str, Any] | None = None,
        form: dict[str, Any] | None = None,
        json: Any = None,
        data: bytes | None = None,
    ) -> Reply:
        if authorization == "default":
            authorization = fake.project.service_account.authorization()
            params = {"project_id": str(fake.project.id)} | (params or {})
        headers = {"Accept-Encoding": encoding} | ({"Authorization": authorization} if authorization else {})
        given = {"params": params, "data": form if data is None else data, "json": json}
        return await _reply(session.request(method, fake.url + path, headers=headers, **given))

    return query
