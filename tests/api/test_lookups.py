"""The small questions: what they ask, and what is made of the answers. No I/O."""

from __future__ import annotations

import datetime as dt

import pytest

from mixpanel_async.api import lookups
from mixpanel_async.catalog import Annotation, AnnotationTag, AnnotationUser, Cohort, LexiconSchema, TopProperty
from mixpanel_async.errors import ServerError

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


NAMES = lookups.ask_event_names("general", 255, None)
TOP = lookups.ask_top_properties("Signed up", 10)
COHORTS = lookups.ask_cohorts()
SCHEMAS = lookups.ask_lexicon_schemas(None, None)
NOTES = lookups.ask_annotations(None)


@pytest.mark.parametrize(
    ("lookup", "path", "parameters"),
    [
        (NAMES, "events/names", {"type": "general", "limit": "255"}),
        (
            lookups.ask_event_names("unique", 5000, DATES),
            "events/names",
            {"type": "unique", "limit": "5000", "from_date": "2026-01-01", "to_date": "2026-01-31"},
        ),
        (TOP, "events/properties/top", {"event": "Signed up", "limit": "10"}),
        (COHORTS, "cohorts/list", {}),
        (SCHEMAS, "schemas", {}),
        (lookups.ask_lexicon_schemas("profile", None), "schemas/profile", {}),
        (lookups.ask_lexicon_schemas("event", "Signed up"), "schemas/event", {"entity_name": "Signed up"}),
        (NOTES, "annotations", {}),
        (lookups.ask_annotations(DATES), "annotations", {"fromDate": "2026-01-01", "toDate": "2026-01-31"}),
    ],
)
def test_what_is_asked(lookup, path, parameters):
    assert (lookup.path, lookup.parameters) == (path, parameters)


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
    assert lookups.read(lookup, answer) == expected


def without(whole, name):
    return {key: value for key, value in whole.items() if key != name}


def test_an_annotation_keeps_the_offset_of_its_project():
    [note] = lookups.read(NOTES, ok(NOTE))
    assert note.date.isoformat() == "2023-01-15T12:00:00+01:00"


@pytest.mark.parametrize(
    ("lookup", "answer", "says"),
    [
        (NAMES, {"names": []}, r"event names never have: Expected `array`, got `object`"),
        (NAMES, ["a", None], r"Expected `str`, got `null` - at `\$\[1\]`"),
        (TOP, [], "top properties never have"),
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
        lookups.read(lookup, answer)
    assert caught.value.status == 200


@pytest.mark.parametrize(
    ("answer", "cursor"),
    [
        (ok(), None),
        ([], None),
        ({"results": [], "pagination": None}, None),
        ({"results": [], "pagination": {"page_size": 100, "next_cursor": None}}, None),
        ({"results": [], "pagination": {"page_size": 100, "next_cursor": "abc"}}, "abc"),
    ],
)
def test_where_the_next_page_begins(answer, cursor):
    assert lookups.next_page(answer) == cursor
