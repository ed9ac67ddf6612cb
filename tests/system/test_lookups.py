"""Lookups over real sockets: what they give, what goes wrong, and what is saved."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import astuple
from itertools import count

import duckdb
import pytest

from mixpanel_async import (
    AuthenticationError,
    ConfigurationError,
    DatabaseLockedError,
    MixpanelClient,
    ProjectSecret,
    QueryError,
    RateLimitError,
    ServerError,
    StoreError,
)
from mixpanel_async.catalog import AnnotationTag, LexiconSchema, TopProperty
from mixpanel_async.testing import Annotation, Catalog, Cohort, FakeMixpanel, Fault, QueryRules, Schema
from tests.cancellation.stepping import Steps

from .conftest import AT_ONCE, UNHURRIED

DAY = 1769904000  # 2026-02-01


def event(name, seconds=DAY, **properties):
    return {"event": name, "properties": {"time": seconds, "distinct_id": "a"} | properties}


EVENTS = [event("Signed up", plan="pro"), event("Signed up"), event("Größe\u2028"), event("Old", DAY - 60 * 86400)]
COHORTS = (
    Cohort(1000, "Cohort One", ("a", "b"), description="first"),
    Cohort(1001, "Hidden", is_visible=False, data_group_id="8453995111420155989"),
)
CATALOG = Catalog(
    cohorts=COHORTS,
    schemas=(
        Schema("Added To Cart", {"sku": {"type": "string"}}, description="in the cart"),
        Schema("$user", {"plan": {"type": "string"}}, entity_type="profile"),
        Schema("Signed up", metadata={"com.mixpanel": {"hidden": True}}),
    ),
    annotations=(
        Annotation(1, "2026-01-15 12:00:00", "launch", ((3, "release"),)),
        Annotation(2, "2026-07-15 12:00:00", "summer"),
    ),
)
PATHS = {
    "event_names": "events/names",
    "top_properties": "events/properties/top",
    "cohorts": "cohorts/list",
    "lexicon_schemas": "schemas",
    "annotations": "annotations",
}
every = pytest.mark.parametrize("name", PATHS)


@pytest.fixture
async def fake():
    async with FakeMixpanel(EVENTS, catalog=CATALOG, today="2026-02-10", limits=None) as server:
        yield server


@pytest.fixture
def client(fake, client_of):
    return client_of(fake)


def ask(client, name, **options):
    arguments = ["Signed up"] if name == "top_properties" else []
    return getattr(client.lookups, name)(*arguments, **options)


def rows(path, query):
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(query).fetchall()


# what they give


async def test_event_names(client):
    assert await client.lookups.event_names() == ("Signed up", "Größe\u2028")
    assert await client.lookups.event_names(limit=1, type="unique") == ("Signed up",)
    assert await client.lookups.event_names(from_date="2025-12-01", to_date=dt.date(2025, 12, 31)) == ("Old",)


async def test_top_properties(client):
    assert await client.lookups.top_properties("Signed up") == (
        TopProperty("Signed up", "time", 2),
        TopProperty("Signed up", "distinct_id", 2),
        TopProperty("Signed up", "plan", 1),
    )
    assert len(await client.lookups.top_properties("Signed up", limit=1)) == 1
    assert await client.lookups.top_properties("none such") == ()


async def test_cohorts(client):
    one, hidden = await client.lookups.cohorts()
    created = dt.datetime(2019, 3, 19, 23, 49, 51)  # noqa: DTZ001 - as Mixpanel has it
    assert astuple(one) == (1000, "Cohort One", 2, created, True, "first", None)
    assert (hidden.is_visible, hidden.data_group_id) == (False, "8453995111420155989")


async def test_lexicon_schemas(client):
    lexicon = await client.lookups.lexicon_schemas()
    assert lexicon == (
        LexiconSchema("event", "Added To Cart", "in the cart", {"sku": {"type": "string"}}, {}),
        LexiconSchema("profile", "$user", "", {"plan": {"type": "string"}}, {}),
        LexiconSchema("event", "Signed up", "", {}, {"com.mixpanel": {"hidden": True}}),
    )
    assert await client.lookups.lexicon_schemas("profile") == lexicon[1:2]
    assert await client.lookups.lexicon_schemas("event", "Signed up") == lexicon[2:]


async def test_annotations(client):
    launch, summer = await client.lookups.annotations()
    assert launch.date == dt.datetime(2026, 1, 15, 12, tzinfo=dt.UTC)
    assert (launch.description, launch.tags) == ("launch", (AnnotationTag(3, "release"),))
    assert await client.lookups.annotations("2026-07-01", "2026-07-31") == (summer,)


@pytest.mark.parametrize("name", ["lexicon_schemas", "annotations"])
async def test_lists_in_pages_are_read_to_their_end(client, fake, name):
    whole = await ask(client, name)
    fake.query_rules = QueryRules(entries=1)
    fake.forget_requests()
    assert await ask(client, name) == whole
    assert len(fake.requests) == len(whole)


async def test_a_list_whose_pages_go_in_a_circle_ends(client, fake):
    for attempt in range(1, 5):
        answer = f'{{"results":[],"pagination":{{"next_cursor":"{"ab"[attempt % 2]}"}}}}'
        fake.faults.add(
            Fault.status(200, answer, content_type="application/json"), endpoint="annotations", attempts=[attempt]
        )
    with pytest.raises(ServerError, match="Annotations: the next page is 'b', which was read before"):
        await client.lookups.annotations()
    assert len(fake.requests) == 3


async def test_a_list_that_goes_on_in_an_unknown_way_is_not_taken_for_a_whole_one(client, fake):
    answer = '{"results":[],"pagination":{"next_cursor":2}}'
    fake.faults.add(Fault.status(200, answer, content_type="application/json"), endpoint="annotations", attempts=[1])
    with pytest.raises(ServerError, match="Annotations: next_cursor is 2 instead of a text"):
        await client.lookups.annotations()


async def test_nothing_there(client_of):
    async with FakeMixpanel(today="2026-02-10", limits=None) as empty:
        client = client_of(empty)
        assert [await ask(client, name) for name in PATHS] == [()] * 5


async def test_a_project_secret(fake, path):
    settings = {"base_url": fake.url, "limits": UNHURRIED, "retry": AT_ONCE, "database": path}
    async with MixpanelClient(ProjectSecret(fake.project.api_secret), **settings) as client:
        assert len(await client.lookups.cohorts()) == 2
        fake.forget_requests()
        for name in ("lexicon_schemas", "annotations"):
            with pytest.raises(ConfigurationError, match="service account or an OAuth token"):
                await ask(client, name, save=True)
    assert fake.requests == []
    assert not path.exists()


@every
async def test_without_save_no_database_is_opened(client, path, name):
    await ask(client, name)
    assert not path.exists()


# what goes wrong


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda look: look.event_names(type="total"), "type must be one of general, unique, average"),
        (lambda look: look.event_names(limit=0), "limit must be a whole number from 1 to 5000"),
        (lambda look: look.event_names(limit=5001), "from 1 to 5000"),
        (lambda look: look.event_names(limit=True), "from 1 to 5000"),
        (lambda look: look.event_names(from_date="2026-01-01"), "both or neither"),
        (lambda look: look.event_names(from_date="2026-01-02", to_date="2026-01-01"), "swap them"),
        (lambda look: look.top_properties(""), "event must be an event's name"),
        (lambda look: look.top_properties(None), "event must be an event's name"),
        (lambda look: look.top_properties("\ud800"), "event must be an event's name, with no lone surrogate"),
        (lambda look: look.top_properties("a", limit="10"), "limit must be a whole number from 1"),
        (lambda look: look.lexicon_schemas("group"), "entity_type must be one of event, profile, or None"),
        (lambda look: look.lexicon_schemas(name="a"), "goes with an entity_type"),
        (lambda look: look.lexicon_schemas("event", ""), "goes with an entity_type"),
        (lambda look: look.annotations(None, "2026-01-01"), "both or neither"),
        (lambda look: look.annotations("1/1/2026", "2026-01-01"), "from_date must be a date"),
        (lambda look: look.cohorts(save=""), "cannot be a table's name"),
        (lambda look: look.cohorts(save="_mixpanel_chunks"), "the library's own"),
        (lambda look: look.cohorts(save=None), "save must be True, False or a table's name"),
    ],
)
async def test_bad_arguments_raise_before_a_byte_is_sent_or_a_file_made(client, fake, path, call, says):
    with pytest.raises(ValueError, match=says):
        await call(client.lookups)
    assert fake.requests == []
    assert not path.exists()


@every
async def test_a_plan_without_the_query_api(client, fake, name):
    fake.plan_has_queries = False
    with pytest.raises(QueryError, match=r"402.*plan") as caught:
        await ask(client, name)
    assert (caught.value.status, len(fake.requests)) == (402, 1)


@every
async def test_credentials_that_expired(client, fake, name):
    fake.revoke(fake.project.service_account.username)
    with pytest.raises(AuthenticationError, match="401"):
        await ask(client, name)
    assert len(fake.requests) == 1


PASSING = {"429": Fault.rate_limited(0), "a web page": Fault.html(), "cut": Fault.cut(after_fraction=0.5)}


@every
@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
async def test_what_passes_is_asked_for_again(client, fake, name, fault):
    whole = await ask(client, name)
    fake.forget_requests()
    fake.faults.add(fault, endpoint=PATHS[name], attempts=[1])
    assert await ask(client, name) == whole
    assert len(fake.requests) == 2


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.rate_limited(0), RateLimitError),
        (Fault.html(), ServerError),
        (Fault.status(500), ServerError),
        (Fault.status(200, "[", content_type="application/json"), ServerError),
        (Fault.error_in_200(), ServerError),
    ],
    ids=["429", "html", "500", "no JSON", "an error in a 200"],
)
async def test_what_does_not_pass_leaves_the_old_table(client, fake, path, fault, error):
    await client.lookups.cohorts(save=True)
    before = rows(path, "FROM cohorts")
    fake.forget_requests()
    fake.faults.add(fault, endpoint="cohorts/list")
    with pytest.raises(error) as caught:
        await client.lookups.cohorts(save=True)
    assert caught.value.attempts == len(fake.requests) == 3
    assert rows(path, "FROM cohorts") == before


@pytest.mark.parametrize("body", ['[{"id":1}]', '{"cohorts":[]}', '[{"id":"1","name":"n"}]', "[1e400]"])
async def test_an_answer_of_another_shape_is_a_server_error(client, fake, path, body):
    fake.faults.add(Fault.status(200, body, content_type="application/json"), endpoint="cohorts/list")
    with pytest.raises(ServerError, match="Cohorts: the response has another shape"):
        await client.lookups.cohorts(save=True)
    assert "cohorts" not in [name for (name,) in rows(path, "SHOW TABLES")]


async def test_a_day_too_far_back_is_a_rejected_query(client, fake):
    fake.query_rules = QueryRules(history_days=90)
    with pytest.raises(QueryError, match="90 days into the past"):
        await client.lookups.event_names(from_date="2025-01-01", to_date="2025-01-02")


# what is saved


@every
async def test_saved_and_saved_again(client, fake, path, name):
    found = await ask(client, name, save=True)
    once = rows(path, f"FROM {name}")
    assert len(once) == len(found) > 0
    assert {row[-1].tzinfo for row in once} == {None}
    assert await ask(client, name, save=True) == found
    again = rows(path, f"FROM {name}")
    assert [row[:-1] for row in again] == [row[:-1] for row in once]
    assert min(row[-1] for row in again) > max(row[-1] for row in once)
    kinds = rows(path, "SELECT table_name, type FROM _mixpanel_selections")
    assert kinds == [(name, name)]


async def test_what_is_gone_at_mixpanels_is_gone_in_the_table(client, fake, path):
    await client.lookups.cohorts(save=True)
    fake.catalog = Catalog(cohorts=COHORTS[1:])
    await client.lookups.cohorts(save=True)
    assert rows(path, "SELECT id, data_group_id FROM cohorts") == [(1001, "8453995111420155989")]


async def test_columns_have_the_types_that_the_values_have(client, path):
    for name in PATHS:
        await ask(client, name, save=True)
    assert rows(path, "SELECT event_name FROM event_names") == [("Signed up",), ("Größe\u2028",)]
    assert rows(path, "SELECT name FROM top_properties WHERE count = 1") == [("plan",)]
    assert rows(path, "SELECT name FROM cohorts WHERE NOT is_visible AND created_at < '2020-01-01'") == [("Hidden",)]
    lexicon = "SELECT name, properties->>'$.sku.type', metadata->>'$.\"com.mixpanel\".hidden' FROM lexicon_schemas"
    assert rows(path, lexicon) == [
        ("Added To Cart", "string", None),
        ("$user", None, None),
        ("Signed up", None, "true"),
    ]
    notes = "SELECT date = TIMESTAMP '2026-01-15 12:00:00', tags->>'$[0].name' FROM annotations ORDER BY id"
    assert rows(path, notes) == [(True, "release"), (False, None)]


async def test_top_properties_of_several_events_share_a_table(client, fake, path):
    await client.lookups.top_properties("Signed up", save=True)
    await client.lookups.top_properties("Größe\u2028", save=True)
    await client.lookups.top_properties("Signed up", limit=1, save=True)
    assert rows(path, "SELECT event_name, count(*) FROM top_properties GROUP BY ALL ORDER BY ALL") == [
        ("Größe\u2028", 2),
        ("Signed up", 1),
    ]


async def test_a_name_of_ones_own(client, path):
    await client.lookups.cohorts(save="segments")
    assert rows(path, "SELECT id FROM segments") == [(1000,), (1001,)]
    assert rows(path, "SELECT table_name, type FROM _mixpanel_selections") == [("segments", "cohorts")]


async def test_somebody_elses_table_is_refused_before_anything_is_asked(client, fake, path):
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE cohorts AS SELECT 42 AS mine")
    with pytest.raises(StoreError, match="'cohorts' was not made by this library: pass another name as save="):
        await client.lookups.cohorts(save=True)
    assert fake.requests == []
    assert rows(path, "FROM cohorts") == [(42,)]


async def test_a_table_of_events_is_refused_and_so_is_a_fetch_into_a_lookups(client, fake, path):
    days = {"from_date": "2026-02-01", "to_date": "2026-02-01"}
    await client.fetch_events(**days)
    await client.lookups.event_names(save=True)
    fake.forget_requests()
    with pytest.raises(StoreError, match="'Events' holds events"):
        await client.lookups.event_names(save="Events")
    for how in ("append", "resume"):
        with pytest.raises(StoreError, match="events need"):
            await client.fetch_events("event_names", **days, **{how: True})
    assert fake.requests == []
    assert rows(path, "SELECT count(*) FROM events") == [(3,)]


async def test_a_file_that_this_process_only_reads_is_refused_before_anything_is_asked(client_of, fake, path):
    duckdb.connect(str(path)).close()
    with duckdb.connect(str(path), read_only=True), pytest.raises(DatabaseLockedError):
        await client_of(fake, lock_timeout=0).lookups.cohorts(save=True)
    assert fake.requests == []


@pytest.mark.parametrize("where", ["memory", "connection"])
async def test_a_database_that_is_no_path(fake, client_of, where):
    connection = duckdb.connect()
    client = client_of(fake, database=connection if where == "connection" else ":memory:")
    for name in PATHS:
        await ask(client, name, save=True)
        await ask(client, name, save=True)
    if where == "connection":
        assert connection.execute("SELECT id FROM cohorts").fetchall() == [(1000,), (1001,)]
        await client.close()
        connection.execute("SELECT 1")
    connection.close()


async def test_two_at_once_that_save_into_one_table(client, fake, path):
    async with asyncio.TaskGroup() as group:
        for limit in (1, 2):
            group.create_task(client.lookups.event_names(limit=limit, save=True))
        group.create_task(client.lookups.top_properties("Signed up", save=True))
        group.create_task(client.lookups.top_properties("Größe\u2028", save=True))
    assert rows(path, "SELECT count(*) FROM event_names")[0][0] in (1, 2)
    assert rows(path, "SELECT count(DISTINCT event_name) FROM top_properties") == [(2,)]


async def cancelled_at(step, client):
    """Save the cohorts, cancel that at this step; gives whether it came so far."""
    loop = asyncio.get_running_loop()

    def cancel():
        task.cancel()

    steps = Steps({step}, cancel)
    loop.set_task_factory(steps.factory)
    try:
        task = loop.create_task(client.lookups.cohorts(save=True))
        await asyncio.wait({task}, timeout=20)
    finally:
        loop.set_task_factory(None)
    assert task.done()
    return steps.taken >= step


async def test_cancelled_at_any_step_it_leaves_the_old_table_or_the_new(client, fake, path):
    old, new, left = [(1001, 1)], [(2999, 1000)], []
    for step in count(1):
        fake.catalog = Catalog(cohorts=COHORTS[1:])
        await client.lookups.cohorts(save=True)
        fake.catalog = Catalog(cohorts=[Cohort(number, "x") for number in range(2000, 3000)])
        came = await cancelled_at(step, client)
        left.append(rows(path, "SELECT max(id), count(*) FROM cohorts"))  # nobody holds the file
        if not came:
            break
    assert all(each in (old, new) for each in left)  # a step is not the same place each time
    assert left.count(old) > 5
    assert left.count(new) > 1


async def test_a_cancel_that_comes_while_mixpanel_is_slow(client, fake, path):
    await client.lookups.cohorts(save=True)
    before = rows(path, "FROM cohorts")
    fake.faults.add(Fault.stall(), endpoint="cohorts/list")
    task = asyncio.ensure_future(client.lookups.cohorts(save=True))
    await fake.until(lambda: fake.open_queries == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await fake.until(lambda: fake.open_queries == 0)
    assert rows(path, "FROM cohorts") == before  # the file is free


async def test_close_ends_a_lookup_that_runs(client, fake):
    fake.faults.add(Fault.stall(), endpoint="cohorts/list")
    task = asyncio.ensure_future(client.lookups.cohorts())
    await fake.until(lambda: fake.open_queries == 1)
    await client.close()
    with pytest.raises(RuntimeError, match="closed while this call ran"):
        await task


@every
async def test_a_closed_client(client, fake, path, name):
    await client.close()
    for save in (False, True):
        with pytest.raises(RuntimeError, match="is closed"):
            await ask(client, name, save=save)
    assert fake.requests == []
    assert not path.exists()
