"""The requests of lookups, and how to read their responses. No I/O.

Source: Mixpanel's docs of each path, and what its clients have met in the field. The first three belong to the query
API and its limit. The lexicon and annotations belong to the app's API, whose paths name the project and whose lists may
have pages; each has a limit of its own (`api.limits`).
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
from mixpanel_async.selections import is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from mixpanel_async.api.credentials import Credentials

T = TypeVar("T")

NAMES_MAX = 5000
"""The server lowers a higher `limit` of event names to this without saying so (seen by its clients)."""
TYPES = ("general", "unique", "average")
ENTITY_TYPES = ("event", "profile")


@dataclass(frozen=True, slots=True)
class LookupRequest(Generic[T]):
    """One request, and how to read its response."""

    kind: str
    """The name of its coroutine and of its table."""
    query: Query
    read: Callable[[object], Sequence[T]]
    """Reads a parsed response, or a page of it. Raises `msgspec.ValidationError`."""
    event_name: str | None = None
    """The event that it is limited to."""


def event_names_request(kind: str, limit: int, dates: tuple[dt.date, dt.date] | None) -> LookupRequest[str]:
    """Names of events: `GET /api/query/events/names`. The dates are not in Mixpanel's docs."""
    if kind not in TYPES:
        raise ValueError(f"type must be one of {', '.join(TYPES)}, not {kind!r}.")
    parameters = {"type": kind, "limit": _limit(limit, NAMES_MAX)}
    if dates is not None:
        parameters |= {"from_date": dates[0].isoformat(), "to_date": dates[1].isoformat()}
    return LookupRequest("event_names", Query("/api/query/events/names", parameters, "Event names"), _names)


def top_properties_request(event: str, limit: int) -> LookupRequest[TopProperty]:
    """An event's most frequent properties: `GET /api/query/events/properties/top`."""
    if not is_text(event):
        raise ValueError("event must be an event's name, with no lone surrogate.")
    query = Query("/api/query/events/properties/top", {"event": event, "limit": _limit(limit)}, "Top properties")
    return LookupRequest("top_properties", query, partial(_properties, event), event)


def cohorts_request() -> LookupRequest[Cohort]:
    """The saved cohorts: `POST /api/query/cohorts/list`."""
    return LookupRequest("cohorts", Query("/api/query/cohorts/list", name="Cohorts", is_post=True), _cohorts)


def lexicon_schemas_request(
    credentials: Credentials, entity_type: str | None, name: str | None
) -> LookupRequest[LexiconSchema]:
    """Entries of the lexicon: `GET /api/app/projects/{id}/schemas[/{entity_type}[?entity_name=]]`.

    Raises:
        ConfigurationError: the credentials do not tell the project's id.
    """
    if entity_type is not None and entity_type not in ENTITY_TYPES:
        raise ValueError(f"entity_type must be one of {', '.join(ENTITY_TYPES)}, or None, not {entity_type!r}.")
    if name is not None and (entity_type is None or not is_text(name)):
        raise ValueError("name must be one entry's name, with no lone surrogate, or None; it goes with an entity_type.")
    path = app_path(credentials, "schemas") + (f"/{entity_type}" if entity_type else "")
    parameters = {"entity_name": name} if name else {}
    return LookupRequest("lexicon_schemas", Query(path, parameters, "Lexicon schemas", limit="lexicon"), _schemas)


def annotations_request(credentials: Credentials, dates: tuple[dt.date, dt.date] | None) -> LookupRequest[Annotation]:
    """The annotations of some dates, or all: `GET /api/app/projects/{id}/annotations`.

    Raises:
        ConfigurationError: the credentials do not tell the project's id.
    """
    parameters = {"fromDate": dates[0].isoformat(), "toDate": dates[1].isoformat()} if dates else {}
    path = app_path(credentials, "annotations")
    return LookupRequest("annotations", Query(path, parameters, "Annotations", limit="app"), _annotations)


def read_response(lookup: LookupRequest[T], payload: object) -> Sequence[T]:
    """Read a parsed response.

    Raises:
        ServerError: it has another shape than Mixpanel documents; the message names the field.
    """
    try:
        return lookup.read(payload)
    except msgspec.ValidationError as error:
        message = f"{lookup.query.name}: the response has another shape than documented: {error}"
        raise ServerError(message, status=200) from None


def next_page(query: Query, payload: object, seen: Collection[str]) -> Query | None:
    """Return the request for the next page; `None` at the end. Lists of the app's API may have pages.

    `seen` are the cursors of the pages that were requested.

    Raises:
        ServerError: the cursor was seen before, or is not a text: a list that was not read to its end must not look
            whole.
    """
    pagination = payload.get("pagination") if isinstance(payload, dict) else None
    cursor = pagination.get("next_cursor") if isinstance(pagination, dict) else None
    if cursor is None or cursor == "":
        return None
    if not isinstance(cursor, str):
        raise ServerError(f"{query.name}: next_cursor is {cursor!r} instead of a text", status=200)
    if cursor in seen:
        raise ServerError(f"{query.name}: the next page is {cursor!r}, which was read before", status=200)
    return replace(query, parameters={**query.parameters, "cursor": cursor})


# The responses' shapes. A field with a default may be missing; fields that Mixpanel adds are ignored.


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


def _names(payload: object) -> list[str]:
    return msgspec.convert(payload, list[str])


def _properties(event: str, payload: object) -> list[TopProperty]:
    counts = msgspec.convert(payload, dict[str, _Count])
    return [TopProperty(event, name, item.count) for name, item in counts.items()]


def _cohorts(payload: object) -> list[Cohort]:
    return [
        Cohort(
            item.id, item.name, item.count, item.created, bool(item.is_visible), item.description,
            None if item.data_group_id is None else str(item.data_group_id),
        )
        for item in msgspec.convert(payload, list[_Cohort])
    ]  # fmt: skip


def _schemas(payload: object) -> list[LexiconSchema]:
    return [
        LexiconSchema(item.entity_type, item.name, schema.description, schema.properties or {}, schema.metadata or {})
        for item in msgspec.convert(payload, _Schemas).results
        for schema in [item.schema_json]
    ]


def _annotations(payload: object) -> list[Annotation]:
    return [
        Annotation(item.id, item.date, item.description, item.user, item.tags or ())
        for item in msgspec.convert(payload, _Annotations).results
    ]


def _limit(limit: int, most: int | None = None) -> str:
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1 or (most is not None and limit > most):
        raise ValueError(f"limit must be a whole number from 1{'' if most is None else f' to {most}'}.")
    return str(limit)
