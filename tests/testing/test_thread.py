"""The fake server in a thread."""

from __future__ import annotations

import asyncio
import socket
import threading
import urllib.error
import urllib.request

import pytest

from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents, running

DAY = "2026-02-01"


def export(fake):
    url = f"{fake.url}/api/2.0/export?project_id={fake.project.id}&from_date={DAY}&to_date={DAY}"
    request = urllib.request.Request(url, headers={"Authorization": fake.project.service_account.authorization()})
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.read()


@pytest.fixture
def fake():
    with running(FakeMixpanel(GeneratedEvents(per_day=50), limits=None)) as fake:
        yield fake


def test_it_serves_a_client_that_blocks(fake):
    assert export(fake).split(b"\n")[:-1] == list(fake.truth_lines(DAY, DAY))
    fake.wait_until(lambda: fake.open == 0)
    assert fake.requests[-1].finished


def test_faults_are_planned_from_any_thread(fake):
    fake.faults.add(Fault.status(503), times=1)
    with pytest.raises(urllib.error.HTTPError) as caught:
        export(fake)
    caught.value.close()
    assert export(fake)
    assert [record.status for record in fake.requests] == [503, 200]


async def test_until_may_be_awaited_on_another_loop(fake):
    fake.faults.add(Fault.stall())
    with socket.create_connection(("127.0.0.1", int(fake.url.rpartition(":")[2]))) as client:
        authorization = fake.project.service_account.authorization()
        path = f"/api/2.0/export?project_id={fake.project.id}&from_date={DAY}&to_date={DAY}"
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: fake\r\nAuthorization: {authorization}\r\n\r\n".encode())
        await fake.until(lambda: fake.open == 1)
    await asyncio.wait_for(fake.until(lambda: fake.open == 0), 30)


def test_a_wait_in_vain_ends(fake):
    with pytest.raises(TimeoutError):
        fake.wait_until(lambda: False, timeout=0.01)


def test_nothing_is_left_behind_after_an_error():
    threads = set(threading.enumerate())
    fake = FakeMixpanel(limits=None)
    with pytest.raises(ZeroDivisionError), running(fake):
        _ = 1 / 0
    assert set(threading.enumerate()) == threads
    with pytest.raises(urllib.error.URLError, match="refused"):
        export(fake)


def test_a_port_in_use_is_an_error_and_leaves_nothing_behind(fake):
    threads = set(threading.enumerate())
    port = int(fake.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"), running(FakeMixpanel(port=port)):
        pass
    assert set(threading.enumerate()) == threads
