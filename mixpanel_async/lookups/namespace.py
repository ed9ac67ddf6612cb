"""`client.lookups`: a coroutine for each lookup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from mixpanel_async.dates import date_range
from mixpanel_async.duck.schema import check_table_name
from mixpanel_async.lookups.request import (
    annotations_request,
    cohorts_request,
    event_names_request,
    lexicon_schemas_request,
    top_properties_request,
)

if TYPE_CHECKING:
    import datetime as dt

    from mixpanel_async.api.credentials import Credentials
    from mixpanel_async.catalog import Annotation, Cohort, LexiconSchema, TopProperty
    from mixpanel_async.lookups.request import LookupRequest

T = TypeVar("T")


class FetchLookup(Protocol):
    """Fetches a lookup, and saves it if a table is named."""

    async def __call__(self, lookup: LookupRequest[T], table: str | None) -> tuple[T, ...]:
        """Raises what the lookups' own coroutines do."""
        ...


class Lookups:
    """`client.lookups`: names, properties, cohorts, the lexicon and annotations, in Mixpanel's order.

    Each takes `save`: `True` saves the result in a table with the coroutine's name, a text in a table of that name. It
    replaces, in one transaction, what the same lookup had saved there. The columns are the fields, nested values as
    JSON, and `fetched_at`. A table that holds anything else, or is of another project, is refused. A failure leaves the
    old table, a cancel the old or the new one. Without `save` the database is not opened.

    A project whose plan has no query API is a `QueryError` (402).

    Raises:
        ValueError: an argument is out of its range; nothing was requested or written.
        StoreError: the table holds something else or is of another project (nothing was requested), or it cannot be
            written.
        ExportError: the request failed, as with `fetch_events`; a `ServerError` for a response of another shape than
            documented.
        RuntimeError: the client is closed, or belongs to another event loop.
    """

    def __init__(self, credentials: Credentials, fetch: FetchLookup) -> None:
        self._credentials = credentials
        self._fetch = fetch

    async def event_names(
        self,
        *,
        type: Literal["general", "unique", "average"] = "general",  # noqa: A002 - Mixpanel's own name for it
        limit: int = 255,
        from_date: str | dt.date | None = None,
        to_date: str | dt.date | None = None,
        save: bool | str = False,
    ) -> tuple[str, ...]:
        """Names of events of the last 31 days, or between two dates.

        Args:
            type: what Mixpanel counts to rank them: `general` (events), `unique` (users) or `average`.
            limit: how many, 1 to 5000.
            from_date: first date, inclusive. Mixpanel takes the dates, but does not document them, and may refuse
                those that are older than the plan's history with a `QueryError` (403).
            to_date: last date, inclusive; both or neither.
            save: see the class. Table `event_names`: `event_name`, `fetched_at`.
        """
        request = event_names_request(type, limit, _dates(from_date, to_date))
        return await self._fetch(request, _table(save, request))

    async def top_properties(self, event: str, *, limit: int = 10, save: bool | str = False) -> tuple[TopProperty, ...]:
        """The properties that an event has most often.

        Args:
            event: the event's name; the result is empty for one that Mixpanel does not know.
            limit: how many.
            save: see the class. Table `top_properties`: `event_name`, `name`, `count`, `fetched_at`; only this
                event's rows are replaced.
        """
        request = top_properties_request(event, limit)
        return await self._fetch(request, _table(save, request))

    async def cohorts(self, *, save: bool | str = False) -> tuple[Cohort, ...]:
        """The project's saved cohorts.

        Args:
            save: see the class. Table `cohorts`: `id`, `name`, `count`, `created_at`, `is_visible`, `description`,
                `data_group_id`, `fetched_at`.
        """
        request = cohorts_request()
        return await self._fetch(request, _table(save, request))

    async def lexicon_schemas(
        self,
        entity_type: Literal["event", "profile"] | None = None,
        name: str | None = None,
        *,
        save: bool | str = False,
    ) -> tuple[LexiconSchema, ...]:
        """The lexicon's schemas of events and profiles. Mixpanel allows 5 requests a minute; a sixth waits.

        Args:
            entity_type: `event` or `profile`; `None` for both.
            name: of one entry; only with an `entity_type`.
            save: see the class. Table `lexicon_schemas`: `entity_type`, `name`, `description`, `properties`,
                `metadata`, `fetched_at`.

        Raises:
            ConfigurationError: the credentials are a `ProjectSecret`, which does not tell the project's id.
        """
        request = lexicon_schemas_request(self._credentials, entity_type, name)
        return await self._fetch(request, _table(save, request))

    async def annotations(
        self,
        from_date: str | dt.date | None = None,
        to_date: str | dt.date | None = None,
        *,
        save: bool | str = False,
    ) -> tuple[Annotation, ...]:
        """Annotations between two dates, or all.

        Args:
            from_date: first date, inclusive, in the project's days.
            to_date: last date, inclusive; both or neither.
            save: see the class. Table `annotations`: `id`, `date` (TIMESTAMP, UTC), `description`, `user`, `tags`,
                `fetched_at`.

        Raises:
            ConfigurationError: the credentials are a `ProjectSecret`, which does not tell the project's id.
        """
        request = annotations_request(self._credentials, _dates(from_date, to_date))
        return await self._fetch(request, _table(save, request))


def _dates(first: str | dt.date | None, last: str | dt.date | None) -> tuple[dt.date, dt.date] | None:
    if first is None and last is None:
        return None
    if first is None or last is None:
        raise ValueError("from_date and to_date go together: pass both or neither.")
    return date_range(first, last)


def _table(save: bool | str, request: LookupRequest[T]) -> str | None:  # noqa: FBT001 - the caller's own argument
    if save is False:
        return None
    if not isinstance(save, (bool, str)):
        raise ValueError(f"save must be True, False or a table's name, not {save!r}.")  # noqa: TRY004
    return request.kind if save is True else check_table_name(save, "save")
