"""The small questions: what they ask, and what is made of the answers. No I/O."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from mixpanel_async.api.credentials import OAuthToken, ProjectSecret, ServiceAccount
from mixpanel_async.api.query import Query
from mixpanel_async.catalog import Annotation, AnnotationTag, AnnotationUser, Cohort, LexiconSchema, TopProperty
from mixpanel_async.errors import ConfigurationError, ServerError
from mixpanel_async.lookups import request as lookups

ACCOUNT = ServiceAccount("user", "secret", 77)
APP = "/api/app/projects/77"
DATES = dt.date(2026, 1, 1), dt.date(2026, 1, 31)
COHORT = {
    "id": 1000, "project_id": 1, "name": "Cohort One", "description": "...", "data_group_id": None, "count": 150,
    "is_visible": 1, "created": "2019-03-19 23:49:51",
}  # fmt: skip
SCHEMA = {"entityType": "event", "name": "Added To Cart", "schemaJson": {"properties": {"sku": {"type": "string"}}}}
NOTE = {
    "id": 1138193, "project_id": 2529987, "date": "2023-01-15T12:00:00+01:00", "description": "test",
    "user": {"id": 3440095, "first_name": "", "last_name": ""}, "tags": [{"id": 3, "name": "release"}],
}  # fmt: skip
CREATED = dt.datetime(2019, 3, 19, 23, 49, 51)  # noqa: DTZ001 - as Mixpanel has it


def ok(*results):
    return {"status": "ok", "results": list(results)}


NAMES = lookups.event_names_request("general", 255, None)
TOP = lookups.top_properties_request("Signed up", 10)
COHORTS = lookups.cohorts_request()
SCHEMAS = lookups.lexicon_schemas_request(ACCOUNT, None, None)
NOTES = lookups.annotations_request(ACCOUNT, None)


@pytest.mark.parametrize(
    ("lookup", "path", "parameters"),
    [
        (NAMES, "/api/query/events/names", {"type": "general", "limit": "255"}),
        (
            lookups.event_names_request("unique", 5000, DATES),
            "/api/query/events/names",
            {"type": "unique", "limit": "5000", "from_date": "2026-01-01", "to_date": "2026-01-31"},
        ),
        (TOP, "/api/query/events/properties/top", {"event": "Signed up", "limit": "10"}),
        (COHORTS, "/api/query/cohorts/list", {}),
        (SCHEMAS, f"{APP}/schemas", {}),
        (lookups.lexicon_schemas_request(ACCOUNT, "profile", None), f"{APP}/schemas/profile", {}),
        (
            lookups.lexicon_schemas_request(ACCOUNT, "event", "Signed up"),
            f"{APP}/schemas/event",
            {"entity_name": "Signed up"},
        ),
        (NOTES, f"{APP}/annotations", {}),
        (
            lookups.annotations_request(ACCOUNT, DATES),
            f"{APP}/annotations",
            {"fromDate": "2026-01-01", "toDate": "2026-01-31"},
        ),
    ],
)
def test_what_is_asked(lookup, path, parameters):
    query = lookup.query
    assert (query.path, query.parameters) == (path, parameters)
    assert query.is_post == path.endswith("cohorts/list")
    apps = "lexicon" if "/schemas" in path else "app"
    assert (query.limit, query.is_counted) == (apps if path.startswith(APP) else "queries", True)


def test_the_apps_api_needs_the_projects_number():
    assert lookups.annotations_request(OAuthToken("token", 78), None).query.path == "/api/app/projects/78/annotations"
    for ask, *arguments in ((lookups.lexicon_schemas_request, None, None), (lookups.annotations_request, None)):
        with pytest.raises(ConfigurationError, match="service account or an OAuth token"):
            ask(ProjectSecret("secret"), *arguments)


@pytest.mark.parametrize(
    ("lookup", "answer", "expected"),
    [
        (NAMES, ["b", "a", "$identify"], ["b", "a", "$identify"]),
        (NAMES, [], []),
        (
            TOP,
            {"ad version": {"count": 295}, "session": {}, "$os": {"count": 3, "more": 1}},
            [
                TopProperty("Signed up", "ad version", 295),
                TopProperty("Signed up", "session", None),
                TopProperty("Signed up", "$os", 3),
            ],
        ),
        (COHORTS, [COHORT], [Cohort(1000, "Cohort One", 150, CREATED, True, "...", None)]),
        (
            COHORTS,
            [{**COHORT, "is_visible": False, "description": None, "data_group_id": 8453995111420155989}],
            [Cohort(1000, "Cohort One", 150, CREATED, False, None, "8453995111420155989")],
        ),
        (SCHEMAS, ok(SCHEMA), [LexiconSchema("event", "Added To Cart", None, {"sku": {"type": "string"}}, {})]),
        (
            SCHEMAS,
            ok({"entityType": "profile", "name": "$user", "schemaJson": {"description": "d", "metadata": {"a": 1}}}),
            [LexiconSchema("profile", "$user", "d", {}, {"a": 1})],
        ),
        (
            NOTES,
            ok(NOTE, {"id": 1, "date": "2023-01-15T11:00:00Z", "description": ""}),
            [
                Annotation(
                    1138193,
                    dt.datetime(2023, 1, 15, 12, tzinfo=dt.timezone(dt.timedelta(hours=1))),
                    "test",
                    AnnotationUser(3440095, "", ""),
                    (AnnotationTag(3, "release"),),
                ),
                Annotation(1, dt.datetime(2023, 1, 15, 11, tzinfo=dt.UTC), "", None, ()),
            ],
        ),
    ],
)
def test_what_is_made_of_an_answer(lookup, answer, expected):
    assert lookups.read_response(lookup, answer) == expected


def without(whole, name):
    return {key: value for key, value in whole.items() if key != name}


def test_an_annotation_keeps_the_offset_of_its_project():
    [note] = lookups.read_response(NOTES, ok(NOTE))
    assert note.date.isoformat() == "2023-01-15T12:00:00+01:00"


@pytest.mark.parametrize(
    ("lookup", "answer", "says"),
    [
        (
            NAMES,
            {"names": []},
            "Event names: the response has another shape than documented: Expected `array`, got `object`",
        ),
        (NAMES, ["a", None], r"Expected `str`, got `null` - at `\$\[1\]`"),
        (TOP, [], "Top properties: the response has another shape"),
        (TOP, {"a": {"count": "3"}}, "Expected `int"),
        *((COHORTS, [without(COHORT, name)], f"`{name}`") for name in ("id", "name", "count", "created", "is_visible")),
        (COHORTS, [{**COHORT, "id": "7"}], r"Expected `int`, got `str` - at `\$\[0\].id`"),
        (COHORTS, [{**COHORT, "created": "yesterday"}], r"datetime"),
        (COHORTS, {"status": "ok", "results": []}, "Expected `array`"),
        *((SCHEMAS, ok(without(SCHEMA, name)), f"`{name}`") for name in SCHEMA),
        (SCHEMAS, {"status": "ok"}, "missing required field `results`"),
        (SCHEMAS, ok({**SCHEMA, "schemaJson": []}), "schemaJson"),
        *((NOTES, ok(without(NOTE, name)), f"`{name}`") for name in ("id", "date", "description")),
        (NOTES, ok({**NOTE, "date": "2023-01-15 12:00:00"}), "with a timezone"),
        (NOTES, ok({**NOTE, "tags": [{"id": 3}]}), "`name`"),
        (NOTES, {"annotations": []}, "`results`"),
        (NOTES, None, "got `null`"),
    ],
)
def test_an_answer_of_another_shape_is_said_to_be_one(lookup, answer, says):
    with pytest.raises(ServerError, match=says) as caught:
        lookups.read_response(lookup, answer)
    assert caught.value.status == 200


QUERY = Query("/api/app/projects/77/annotations", {"fromDate": "2026-01-01"}, "Annotations", limit="annotations")


def page(cursor):
    return {"status": "ok", "results": [], "pagination": {"page_size": 100, "next_cursor": cursor}}


@pytest.mark.parametrize("answer", [ok(), [], {"results": [], "pagination": None}, page(None), page("")])
def test_the_last_page(answer):
    assert lookups.next_page(QUERY, answer, ()) is None


def test_the_next_page_is_the_same_question_at_a_cursor():
    second = lookups.next_page(QUERY, page("abc"), ())
    assert second == dataclasses.replace(QUERY, parameters={"fromDate": "2026-01-01", "cursor": "abc"})
    third = lookups.next_page(second, page("def"), {"abc"})
    assert third.parameters == {"fromDate": "2026-01-01", "cursor": "def"}
    for earlier in ("abc", "def"):
        with pytest.raises(ServerError, match=f"the next page is '{earlier}', which was read before"):
            lookups.next_page(third, page(earlier), {"abc", "def"})
