"""No secret ever shows: not in reprs, logs, errors, tracebacks with locals, results or pickles."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import logging
import pickle
import traceback
from dataclasses import asdict

import pytest

from mixpanel_async import MixpanelClient, OAuthToken, ProjectSecret, ServiceAccount, Timeouts
from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents, Project
from mixpanel_async.testing import ServiceAccount as FakeAccount
from tests.system.conftest import AT_ONCE, UNHURRIED

SECRET = "hunter2hunter2hunter2"
ACCOUNT = ServiceAccount("user", SECRET, 12345)
SIGNS = (
    SECRET,
    base64.b64encode(f"user:{SECRET}".encode()).decode(),
    base64.b64encode(f"{SECRET}:".encode()).decode(),
    base64.b64encode(SECRET.encode()).decode().rstrip("="),
)

FAULTS = {
    "401": Fault.auth_expired(401),
    "500": Fault.status(500),
    "reset": Fault.reset(),
    "reset in the body": Fault.reset(after_bytes=100),
    "cut": Fault.cut(after_fraction=0.5, framing="content-length"),
    "stall before headers": Fault.first_byte_delay(60),
    "stall in the body": Fault.stall(after_bytes=100),
    "a redirect": Fault.redirect("https://user:pass@elsewhere.example/"),
    "a web page": Fault.html(),
}


def shows(text):
    return [sign for sign in SIGNS if sign in text]


def whole_traceback(error):
    """As error trackers print it: with locals, and with all that led to it, suppressed or not."""
    told, seen = [], set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        told += traceback.TracebackException.from_exception(error, capture_locals=True).format()
        told += [repr(error), str(error), str(vars(error))]
        error = error.__cause__ or error.__context__
    return "".join(told)


@pytest.fixture
async def server():
    projects = [Project(service_accounts=(FakeAccount("user", SECRET),))]
    async with FakeMixpanel(GeneratedEvents(per_day=30), today="2026-06-01", limits=None, projects=projects) as fake:
        yield fake


def client_of(server, path):
    timeouts = Timeouts(first_byte=0.3, idle=0.3)
    return MixpanelClient(
        ACCOUNT, database=path, base_url=server.url, limits=UNHURRIED, retry=AT_ONCE, timeouts=timeouts
    )


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_not_when_something_goes_wrong(server, tmp_path, caplog, fault):
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    server.faults.add(fault)
    async with client_of(server, tmp_path / "x.duckdb") as client:
        with pytest.raises(Exception) as caught:
            await client.fetch_events(from_date="2026-01-01", to_date="2026-01-01")

    assert shows(whole_traceback(caught.value)) == []
    assert shows(caplog.text) == []
    assert "user:pass" not in str(caught.value)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_not_when_something_goes_wrong_with_profiles(server, tmp_path, caplog, fault):
    caplog.set_level(logging.DEBUG)
    server.profiles = [{"$distinct_id": "x", "$properties": {"note": "y" * 1000}}]
    server.faults.add(fault, endpoint="engage")
    async with client_of(server, tmp_path / "x.duckdb") as client:
        with pytest.raises(Exception) as caught:
            await client.fetch_profiles(parallel=True)

    assert shows(whole_traceback(caught.value)) == []
    assert shows(caplog.text) == []


@pytest.mark.parametrize("fault", [Fault.first_byte_delay(60), Fault.stall(after_bytes=100)])
async def test_not_when_it_is_cancelled(server, tmp_path, fault):
    server.faults.add(fault)
    async with client_of(server, tmp_path / "x.duckdb") as client:
        task = asyncio.ensure_future(client.fetch_events(from_date="2026-01-01", to_date="2026-01-01"))
        await server.until(lambda: server.open == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task

    assert shows(whole_traceback(caught.value)) == []


async def test_not_when_all_is_well(server, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    heard = []
    async with client_of(server, tmp_path / "x.duckdb") as client:
        result = await client.fetch_events(
            from_date="2026-01-01", to_date="2026-01-02", parallel=True, on_batch_complete=heard.append
        )
        shown = [
            client,
            vars(client),
            vars(client._core),
            client._core._sources,
            result,
            result.to_dict(),
            heard[0].to_dict(),
        ]
    assert shows("".join(f"{each!r}{each!s}" for each in shown)) == []
    assert shows(caplog.text) == []
    assert SECRET.encode() not in (tmp_path / "x.duckdb").read_bytes()


@pytest.mark.parametrize("credentials", [ACCOUNT, ProjectSecret(SECRET), OAuthToken(SECRET, 1)])
def test_not_by_the_credentials_themselves(credentials):
    shown = f"{credentials} {credentials!r} {credentials:} {asdict(credentials)} {copy.deepcopy(credentials)}"
    assert shows(shown) == []
    assert "***" in shown
    with pytest.raises(TypeError):
        pickle.dumps(credentials)
    with pytest.raises(TypeError):
        json.dumps(asdict(credentials))
    with pytest.raises(ValueError) as caught:
        raise ValueError(credentials)
    assert shows(whole_traceback(caught.value)) == []


@pytest.mark.parametrize("bad", [f"{SECRET} ", f"{SECRET}\n", f"{SECRET}é", ""])
def test_not_when_it_is_refused(bad):
    with pytest.raises(Exception) as caught:
        ServiceAccount("user", bad, 1)
    assert shows(str(caught.value)) == []
