"""What clients by other authors send and rely on, as `tests/contract` found. Each test names its client."""

from __future__ import annotations

import json

import pytest

from mixpanel_async.testing import Annotation, Catalog, FakeMixpanel, GeneratedEvents, GeneratedProfiles

NOTES = (Annotation(1, "2026-02-02 12:00:00", "in"), Annotation(2, "2026-02-09 12:00:00", "out"))


@pytest.fixture
async def fake():
    events, profiles = GeneratedEvents(per_day=50), GeneratedProfiles(count=20)
    catalog = Catalog(annotations=NOTES)
    async with FakeMixpanel(events, profiles=profiles, catalog=catalog, limits=None) as fake:
        yield fake


@pytest.fixture
def look_up(session, fake):
    async def look_up(path, **params):
        headers = {"Authorization": fake.project.service_account.authorization(), "Accept-Encoding": "identity"}
        params |= {"project_id": str(fake.project.id)}
        async with session.get(f"{fake.url}{path}", params=params, headers=headers) as response:
            assert response.status == 200, await response.text()
            return json.loads(await response.read())

    return look_up


async def test_tap_mixpanel_asks_for_the_properties_of_all_events(look_up, fake):
    found = await look_up("/api/2.0/events/properties/top", limit="2000")
    assert set(found) == {name for event in fake.truth("2026-01-11", "2026-02-10") for name in event["properties"]}


async def test_tap_mixpanel_reads_profile_properties_only_with_a_status(look_up, fake):
    found = await look_up("/api/2.0/engage/properties", limit="2000")
    assert found["status"] == "ok"
    assert set(found["results"]) == {name for profile in fake.truth_profiles() for name in profile["$properties"]}
    assert any(profile["$properties"]["$city"] is None for profile in fake.truth_profiles())
    assert found["results"]["$city"]["type"] == "string"


async def test_tap_mixpanel_asks_for_annotations_by_the_dates_of_exports(look_up):
    found = await look_up("/api/2.0/annotations", from_date="2026-02-01", to_date="2026-02-05")
    assert [note["description"] for note in found["annotations"]] == ["in"]
