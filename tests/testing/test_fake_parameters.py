"""The parameters of an export."""

from __future__ import annotations

import json
from datetime import date

import pytest

from mixpanel_async.testing import FakeClock, FakeMixpanel, GeneratedEvents, GivenEvents, Project, Wording


@pytest.fixture
async def fake():
    async with FakeMixpanel(limits=None) as fake:
        yield fake


async def test_item_43_tomorrow(ask, fake):
    reply = await ask(fake, "2026-02-11")
    assert (reply.status, reply.body) == (400, b"to_date cannot be later than today")
    assert (await ask(fake, "2026-02-10")).status == 200


async def test_item_43_tomorrow_in_json(ask):
    async with FakeMixpanel(wording=Wording(future_date="json")) as fake:
        reply = await ask(fake, "2026-02-11")
    assert reply.status == 400
    assert b'"to_date cannot be later than today"' in reply.body


async def test_item_43_old_projects_reckon_in_their_own_time_zone(ask):
    old = Project(777, timezone="US/Pacific", created=date(2021, 5, 1))
    async with FakeMixpanel(clock=FakeClock("2026-02-10T04:00:00Z"), projects=[old]) as fake:
        assert (await ask(fake, "2026-02-09")).status == 200
        assert (await ask(fake, "2026-02-10")).status == 400


async def test_item_44_missing_dates(ask, fake):
    reply = await ask(fake, None, "2026-02-01")
    assert reply.status == 400
    assert b"from_date" in reply.body
    reply = await ask(fake, "2026-02-01", "")
    assert reply.status == 200  # the fixture then sends to_date = from_date
    reply = await ask(fake, None, None)
    assert reply.status == 400


@pytest.mark.parametrize(
    "day", ["2026-13-01", "20260201", "2026-2-1", "2026-02-01T00:00:00", "2026-02-30", "²026-01-01"]
)
async def test_item_45_garbled_date(ask, fake, day):
    reply = await ask(fake, day, "2026-02-01")
    assert reply.status == 400
    assert b"Error in from_date: invalid date" in reply.body


async def test_item_45_bad_year(ask, fake):
    assert b"bad year" in (await ask(fake, "1999-01-01", "2026-02-01")).body


async def test_item_46_backwards(ask, fake):
    assert (await ask(fake, "2026-02-02", "2026-02-01")).status == 400


@pytest.mark.parametrize("event", ["Signed up", '"Signed up"', "[1]", "{}", '["a"', "[" * 5000])
async def test_item_47_event_must_be_a_list_of_names(ask, fake, event):
    assert (await ask(fake, event=event)).status == 400


@pytest.mark.parametrize("limit", ["100001", "0", "-1", "abc", "", "1.5", "9" * 50, "²"])
async def test_item_47_limit_must_be_a_number_that_is_allowed(ask, fake, limit):
    assert (await ask(fake, limit=limit)).status == 400


async def test_item_47_a_high_limit_may_be_clamped(ask):
    async with FakeMixpanel(wording=Wording(high_limit="clamped")) as fake:
        assert (await ask(fake, limit=100_001)).status == 200
        assert (await ask(fake, limit=0)).status == 400


async def test_item_44_in_plain_text(ask):
    async with FakeMixpanel(wording=Wording(bad_parameter="plain")) as fake:
        reply = await ask(fake, None, None)
    assert (reply.status, reply.body) == (400, b"Error in from_date: required parameter is missing")


@pytest.mark.parametrize("text", ['properties["a"] = 1', "(" * 10_000, "not " * 10_000, '"' * 9999])
async def test_item_48_a_wrong_where_is_refused_whole(ask, text):
    async with FakeMixpanel(GeneratedEvents(per_day=100)) as fake:
        reply = await ask(fake, where=text)
    assert reply.status == 400
    assert "Error in where" in json.loads(reply.body)["error"]
    assert "at character" in json.loads(reply.body)["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/2.0/export", 405),
        ("PUT", "/api/2.0/export/", 405),
        ("HEAD", "/api/2.0/export", 405),
        ("GET", "/api/2.0/exports", 404),
        ("GET", "/", 404),
    ],
)
async def test_item_49_other_methods_and_paths(ask, fake, method, path, status):
    assert (await ask(fake, method=method, path=path)).status == status
    assert fake.requests[-1].status == status


@pytest.mark.parametrize("event", [{"event": "E", "properties": {}}, b'{"event":"E","properties":{"time":"x"}}'])
def test_given_events_need_a_time(event):
    with pytest.raises(ValueError, match="time"):
        GivenEvents([event])
