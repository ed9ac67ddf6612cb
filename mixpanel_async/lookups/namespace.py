"""Lookups: what analysts want beside events, each a coroutine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from mixpanel_async.dates import date_range
from mixpanel_async.duck.schema import check_table_name
from mixpanel_async.lookups.request import (
    ask_annotations,
    ask_cohorts,
    ask_event_names,
    ask_lexicon_schemas,
    ask_top_properties,
)

if TYPE_CHECKING:
    import datetime as dt

    from mixpanel_async.api.credentials import Credentials
    from mixpanel_async.catalog import Annotation, Cohort, LexiconSchema, TopProperty
    from mixpanel_async.lookups.request import Lookup

T = TypeVar("T")


class Ask(Protocol):
    """Asks Mixpanel, and saves the answer where a table is named."""

    async def __call__(self, lookup: Lookup[T], table: str | None) -> tuple[T, ...]:
        """Raises what the lookups' own coroutines do."""
        ...


class Lookups:
    """`client.lookups`: names, properties, cohorts, the lexicon and annotations, in Mixpanel's order.

    Each takes `save`: `True` puts the answer into a table that is called as the coroutine, a name into one of that
    name, in place of what a lookup of that kind had saved there, in one transaction. The columns are the fields, with
    what is nested as JSON, and `fetched_at`. A table that holds anything else is refused. A failure leaves the old
    table, a cancel the old or the new one. Without `save` the database is not opened.

    A plan without the query API is a `QueryError` with Mixpanel's 402.

    Raises:
        ValueError: an argument is out of its range; nothing was asked or written.
        StoreError: the table holds something else (nothing was asked), or cannot be written.
        ExportError: Mixpanel did not give it, as with `fetch_events`; a `ServerError` for an answer that is not of
            the documented shape.
        RuntimeError: the client is closed, or belongs to another event loop.
    """

    def __init__(self, credentials: Credentials, ask: Ask) -> None:
        self._credentials = credentials
        self._ask = ask

    async def event_names(
        self,
        *,
        type: Literal["general", "unique", "average"] = "general",  # noqa: A002 - Mixpanel's own name for it
        limit: int = 255,
        from_date: str | dt.date | None = None,
        to_date: str | dt.date | None = None,
        save: bool | str = False,
    ) -> tuple[str, ...]:
        """Names of events that came in the last 31 days, or between two dates.

        Args:
            type: what Mixpanel counts to choose them: `general` (events), `unique` (users) or `average`.
            limit: how many, 1 to 5000.
            from_date: first date, inclusive. Mixpanel takes the dates, but does not document them, and may refuse
                those that are older than the plan's history with a `QueryError` (403).
            to_date: last date, inclusive; both or neither.
            save: see the class. Table `event_names`: `event_name`, `fetched_at`.
        """
        asked = ask_event_names(type, limit, _dates(from_date, to_date))
        return await self._ask(asked, _table(save, asked))

    async def top_properties(self, event: str, *, limit: int = 10, save: bool | str = False) -> tuple[TopProperty, ...]:
        """The properties that an event has most often.

        Args:
            event: the event's name; Mixpanel gives nothing for one that it does not know.
            limit: how many.
            save: see the class. Table `top_properties`: `event_name`, `name`, `count`, `fetched_at`; only this
                event's rows are replaced.
        """
        asked = ask_top_properties(event, limit)
        return await self._ask(asked, _table(save, asked))

    async def cohorts(self, *, save: bool | str = False) -> tuple[Cohort, ...]:
        """The project's saved cohorts.

        Args:
            save: see the class. Table `cohorts`: `id`, `name`, `count`, `created_at`, `is_visible`, `description`,
                `data_group_id`, `fetched_at`.
        """
        asked = ask_cohorts()
        return await self._ask(asked, _table(save, asked))

    async def lexicon_schemas(
        self,
        entity_type: Literal["event", "profile"] | None = None,
        name: str | None = None,
        *,
        save: bool | str = False,
    ) -> tuple[LexiconSchema, ...]:
        """What the lexicon says of events and profiles. Mixpanel allows 5 of these requests a minute.

        Args:
            entity_type: `event` or `profile`; `None` for both.
            name: of one entry; only with an `entity_type`.
            save: see the class. Table `lexicon_schemas`: `entity_type`, `name`, `description`, `properties`,
                `metadata`, `fetched_at`.

        Raises:
            ConfigurationError: the credentials are a `ProjectSecret`, which does not say its project's number.
        """
        asked = ask_lexicon_schemas(self._credentials, entity_type, name)
        return await self._ask(asked, _table(save, asked))

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
            save: see the class. Table `annotations`: `id`, `date` (TIMESTAMPTZ), `description`, `user`, `tags`,
                `fetched_at`.

        Raises:
            ConfigurationError: the credentials are a `ProjectSecret`, which does not say its project's number.
        """
        asked = ask_annotations(self._credentials, _dates(from_date, to_date))
        return await self._ask(asked, _table(save, asked))


def _dates(first: str | dt.date | None, last: str | dt.date | None) -> tuple[dt.date, dt.date] | None:
    if first is None and last is None:
        return None
    if first is None or last is None:
        raise ValueError("from_date and to_date go together: pass both or neither.")
    return date_range(first, last)


def _table(save: bool | str, asked: Lookup[T]) -> str | None:  # noqa: FBT001 - the caller's own argument
    if save is False:
        return None
    return asked.kind if save is True else check_table_name(save)
