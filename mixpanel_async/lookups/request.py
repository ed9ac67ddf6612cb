"""The small questions beside export and engage: what to ask, and how to read what is answered. No I/O here.

Source: Mixpanel's docs of each path, and what its clients have met in the field. The first three belong to the query
API and its limits; the lexicon and annotations to the app's, whose paths name the project and whose lists may come
in pages.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct

from mixpanel_async.api.query import Query, app_path
from mixpanel_async.catalog import Annotation, AnnotationTag, AnnotationUser, Cohort, LexiconSchema, TopProperty
from mixpanel_async.errors import ServerError
from mixpanel_async.export.request import is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from mixpanel_async.api.credentials import Credentials

T = TypeVar("T")

NAMES_MAX = 5000
"""The server lowers a higher `limit` of event names to this without saying so (seen by its clients)."""
TYPES = ("general", "unique", "average")
ENTITY_TYPES = ("event", "profile")


@dataclass(frozen=True, slots=True)
class Lookup(Generic[T]):
    """One question, and how to read its answer."""

    kind: str
    """What it asks for: the name of its coroutine and of its table."""
    query: Query
    read: Callable[[object], Sequence[T]]
    """Of a decoded answer, or a page of it. Raises `msgspec.ValidationError`."""
    event_name: str | None = None
    """The one event that it is about."""


def ask_event_names(kind: str, limit: int, dates: tuple[dt.date, dt.date] | None) -> Lookup[str]:
    """Ask for the names of events: `GET /api/query/events/names`. The dates are not in Mixpanel's docs."""
    if kind not in TYPES:
        raise ValueError(f"type must be one of {', '.join(TYPES)}, not {kind!r}.")
    parameters = {"type": kind, "limit": _limit(limit, NAMES_MAX)}
    if dates is not None:
        parameters |= {"from_date": dates[0].isoformat(), "to_date": dates[1].isoformat()}
    return Lookup("event_names", Query("/api/query/events/names", parameters, "Event names"), _names)


def ask_top_properties(event: str, limit: int) -> Lookup[TopProperty]:
    """Ask for an event's most frequent properties: `GET /api/query/events/properties/top`."""
    if not is_text(event):
        raise ValueError("event must be an event's name, with no lone surrogate.")
    query = Query("/api/query/events/properties/top", {"event": event, "limit": _limit(limit)}, "Top properties")
    return Lookup("top_properties", query, partial(_properties, event), event)


def ask_cohorts() -> Lookup[Cohort]:
    """Ask for the saved cohorts: `POST /api/query/cohorts/list`."""
    return Lookup("cohorts", Query("/api/query/cohorts/list", name="Cohorts", posted=True), _cohorts)


def ask_lexicon_schemas(credentials: Credentials, entity_type: str | None, name: str | None) -> Lookup[LexiconSchema]:
    """Ask for entries of the lexicon: `GET /api/app/projects/{id}/schemas[/{entity_type}[?entity_name=]]`.

    Raises:
        ConfigurationError: the credentials do not say which project they are of.
    """
    if entity_type is not None and entity_type not in ENTITY_TYPES:
        raise ValueError(f"entity_type must be one of {', '.join(ENTITY_TYPES)}, or None, not {entity_type!r}.")
    if name is not None and (entity_type is None or not is_text(name)):
        raise ValueError("name must be one entry's name, with no lone surrogate, or None; it goes with an entity_type.")
    path = app_path(credentials, "schemas") + (f"/{entity_type}" if entity_type else "")
    parameters = {"entity_name": name} if name else {}
    return Lookup("lexicon_schemas", Query(path, parameters, "Lexicon schemas", counted=False), _schemas)


def ask_annotations(credentials: Credentials, dates: tuple[dt.date, dt.date] | None) -> Lookup[Annotation]:
    """Ask for the annotations of some dates, or all: `GET /api/app/projects/{id}/annotations`.

    Raises:
        ConfigurationError: the credentials do not say which project they are of.
    """
    parameters = {"fromDate": dates[0].isoformat(), "toDate": dates[1].isoformat()} if dates else {}
    path = app_path(credentials, "annotations")
    return Lookup("annotations", Query(path, parameters, "Annotations", counted=False), _annotations)


def read(lookup: Lookup[T], answer: object) -> Sequence[T]:
    """Read an answer.

    Raises:
        ServerError: it is not of the shape that Mixpanel documents; the message names the field.
    """
    try:
        return lookup.read(answer)
    except msgspec.ValidationError as error:
        said = f"{lookup.query.name}: an answer of another shape than documented: {error}"
        raise ServerError(said, status=200) from None


def next_page(query: Query, answer: object, asked: Collection[str]) -> Query | None:
    """Ask for the page after this one; `None` at the end. Lists of the app's API may come in pages.

    `asked` are the cursors of the pages that were asked for.

    Raises:
        ServerError: it is one of these again, or no text: an unread rest of a list must not look like its end.
    """
    pagination = answer.get("pagination") if isinstance(answer, dict) else None
    cursor = pagination.get("next_cursor") if isinstance(pagination, dict) else None
    if cursor is None or cursor == "":
        return None
    if not isinstance(cursor, str):
        raise ServerError(f"{query.name}: next_cursor is {cursor!r} where a text is expected", status=200)
    if cursor in asked:
        raise ServerError(f"{query.name}: the page at {cursor!r} follows a page that came after it", status=200)
    return replace(query, parameters={**query.parameters, "cursor": cursor})


# The answers, as they come. What has a default may be left out; what Mixpanel adds is ignored.


class _Count(Struct):
    count: int | None = None


class _Cohort(Struct):
    id: int
    name: str
    count: int
    created: Annotated[dt.datetime, Meta(tz=False)]
    is_visible: bool | int
    description: str | None = None
    data_group_id: str | int | None = None


class _SchemaJson(Struct):
    description: str | None = None
    properties: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


class _Schema(Struct, rename="camel"):
    entity_type: str
    name: str
    schema_json: _SchemaJson


class _Annotation(Struct):
    id: int
    date: Annotated[dt.datetime, Meta(tz=True)]
    description: str
    user: AnnotationUser | None = None
    tags: tuple[AnnotationTag, ...] | None = None


class _Schemas(Struct):
    results: list[_Schema]


class _Annotations(Struct):
    results: list[_Annotation]


def _names(answer: object) -> list[str]:
    return msgspec.convert(answer, list[str])


def _properties(event: str, answer: object) -> list[TopProperty]:
    counts = msgspec.convert(answer, dict[str, _Count])
    return [TopProperty(event, name, told.count) for name, told in counts.items()]


def _cohorts(answer: object) -> list[Cohort]:
    return [
        Cohort(
            told.id, told.name, told.count, told.created, bool(told.is_visible), told.description,
            None if told.data_group_id is None else str(told.data_group_id),
        )
        for told in msgspec.convert(answer, list[_Cohort])
    ]  # fmt: skip


def _schemas(answer: object) -> list[LexiconSchema]:
    return [
        LexiconSchema(told.entity_type, told.name, said.description, said.properties or {}, said.metadata or {})
        for told in msgspec.convert(answer, _Schemas).results
        for said in [told.schema_json]
    ]


def _annotations(answer: object) -> list[Annotation]:
    return [
        Annotation(told.id, told.date, told.description, told.user, told.tags or ())
        for told in msgspec.convert(answer, _Annotations).results
    ]


def _limit(limit: int, most: int | None = None) -> str:
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1 or (most is not None and limit > most):
        raise ValueError(f"limit must be a whole number from 1{'' if most is None else f' to {most}'}.")
    return str(limit)
