"""What a caller selects of a project: events or profiles. Checked once, then passed on as one value.

Two selections of the same events or profiles are equal, whatever the order of their lists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypeGuard

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

LIMIT_MAX = 100_000
"""Mixpanel's docs of the export: `limit` "cannot be over 100000"."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_BEHAVIORS = '[{"window": "30d", "name": "bought", "event_selectors": [{"event": "Purchase"}]}]'


@dataclass(frozen=True, slots=True)
class _Selection:
    """What both selections share: how a table's journal has them."""

    def to_json(self) -> str:
        """Return it as a table's journal has it."""
        return json.dumps(asdict(self), ensure_ascii=False)

    def differences(self, other: Self) -> tuple[str, str]:
        """Return in which arguments two selections differ, of each as a call has them: `events=['Sign Up']`."""
        ours, theirs = asdict(self), asdict(other)
        names = [name for name in ours if ours[name] != theirs[name] and name != "time_in_ms"]  # no call has that
        one, two = (", ".join(f"{name}={_written(of[name])}" for name in names) for of in (ours, theirs))
        return one, two

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError, TypeError: this version cannot have written it.
        """
        return cls._from_payload(json.loads(text))

    @classmethod
    def _from_payload(cls, payload: object) -> Self:
        if not isinstance(payload, dict):
            raise ValueError("a selection is a JSON object")  # noqa: TRY004 - as any other text it cannot have written
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in payload.items()})


@dataclass(frozen=True, slots=True)
class EventSelection(_Selection):
    """Which events of a range of dates; `of` checks a caller's arguments."""

    events: tuple[str, ...] | None = None
    """Names, sorted; `None` for all events."""
    where: str | None = None
    limit: int | None = None
    time_in_ms: bool = True
    """Whether `properties.time` is requested in milliseconds. It always is; an older version requested seconds."""

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote, in this version or an older one, which knew no `time_in_ms`.

        Raises:
            ValueError, TypeError: neither can have written it.
        """
        payload = json.loads(text)
        if isinstance(payload, dict):
            payload = {"time_in_ms": False} | payload
        return cls._from_payload(payload)

    def processed_since(self, moment: dt.datetime) -> EventSelection:
        """Return what selects those of the same events that Mixpanel processed at a moment (aware) or later.

        The property is in each row of an export (Mixpanel's docs); two clients of others filter by it in production.
        """
        since = f'properties["mp_processing_time_ms"] >= {int(moment.timestamp() * 1000)}'
        return replace(self, where=since if self.where is None else f"({self.where}) and {since}")

    @classmethod
    def of(cls, events: Iterable[str] | None = None, where: str | None = None, limit: int | None = None) -> Self:
        """Check a caller's arguments.

        Raises:
            ValueError: names the argument and what it must be.
        """
        names = _sorted_names("events", events, "names")
        check_where(where)
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LIMIT_MAX):
            raise ValueError(f"limit must be a whole number from 1 to {LIMIT_MAX}, or None.")
        return cls(names, where, limit)


@dataclass(frozen=True, slots=True)
class ProfileSelection(_Selection):
    """Which profiles, and which of their properties; `of` checks a caller's arguments."""

    where: str | None = None
    cohort_id: int | None = None
    output_properties: tuple[str, ...] | None = None
    """Names, sorted; `None` for all properties."""
    distinct_ids: tuple[str, ...] | None = None
    """Sorted; `None` for all profiles."""
    group_id: str | None = None
    behaviors: str | None = None
    """As JSON."""
    as_of_timestamp: int | None = None
    include_all_users: bool = False

    @classmethod
    def of(  # noqa: PLR0913 - Mixpanel's own parameters
        cls,
        *,
        where: str | None = None,
        cohort_id: int | None = None,
        output_properties: Iterable[str] | None = None,
        distinct_id: str | None = None,
        distinct_ids: Iterable[str] | None = None,
        group_id: int | str | None = None,
        behaviors: Sequence[Mapping[str, Any]] | None = None,
        as_of_timestamp: int | None = None,
        include_all_users: bool = False,
    ) -> Self:
        """Check a caller's arguments.

        Raises:
            ValueError: names the argument and what it must be.
        """
        check_where(where)
        if distinct_id is not None:
            if distinct_ids is not None:
                raise ValueError("distinct_id is one id and distinct_ids are several: pass one of them.")
            if not is_text(distinct_id):
                raise ValueError("distinct_id must be an id that is not empty and has no lone surrogate, or None.")
            distinct_ids = [distinct_id]
        if behaviors is not None and cohort_id is not None:
            raise ValueError("behaviors and cohort_id exclude each other (Mixpanel's docs): pass one of them.")
        if as_of_timestamp is not None and behaviors is None:
            raise ValueError("as_of_timestamp says up to when behaviors are counted: pass it with behaviors.")
        if include_all_users and cohort_id is None:
            raise ValueError("include_all_users adds a cohort's members without a profile: pass it with cohort_id.")
        return cls(
            where,
            _check_whole("cohort_id", cohort_id, least=1),
            _sorted_names("output_properties", output_properties, "names of properties"),
            _sorted_names("distinct_ids", distinct_ids, "ids"),
            _group_text(group_id),
            _behaviors_json(behaviors),
            _check_whole("as_of_timestamp", as_of_timestamp, least=0),
            bool(include_all_users),
        )


def check_where(where: str | None) -> None:
    """Check a filter expression. Raises ValueError, which says the rule."""
    if where is not None and not (is_text(where) and where.strip()):
        raise ValueError("where must be an expression of Mixpanel's with no lone surrogate, or None.")


def is_text(value: object) -> TypeGuard[str]:
    """Whether it is a text that is not empty and can be sent: UTF-8 has no lone surrogates."""
    return isinstance(value, str) and value != "" and _SURROGATE.search(value) is None


def _written(value: object) -> str:
    return repr(list(value) if isinstance(value, tuple) else value)


def _sorted_names(argument: str, names: Iterable[str] | None, what: str) -> tuple[str, ...] | None:
    if names is None:
        return None
    if isinstance(names, str):
        raise ValueError(f"{argument} must be a list, such as [{names!r}], not one text.")  # noqa: TRY004
    listed = tuple(names) if isinstance(names, Iterable) else (names,)  # an iterator can be read only once
    if not listed:
        raise ValueError(f"{argument} is empty, which selects nothing: pass {what}, or None for all.")
    if not all(map(is_text, listed)):
        raise ValueError(
            f"{argument} must be a list of {what} that are not empty and have no lone surrogate, or None for all."
        )
    return tuple(sorted(set(listed)))


def _check_whole(argument: str, value: int | None, *, least: int) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
        raise ValueError(f"{argument} must be a whole number, {least} or more, not {value!r}.")
    return value


def _group_text(group_id: int | str | None) -> str | None:
    """Return it as text: a double, as which most JSON parsers read numbers, cannot hold all of them."""
    if group_id is None:
        return None
    if isinstance(group_id, bool) or not re.fullmatch(r"[0-9]{1,20}", str(group_id), re.ASCII):
        raise ValueError(f"group_id must be a data group's number, such as 8453995111420155989, not {group_id!r}.")
    return str(group_id)


def _behaviors_json(behaviors: Sequence[Mapping[str, Any]] | None) -> str | None:
    if behaviors is None:
        return None
    is_list = isinstance(behaviors, (list, tuple)) and behaviors
    if not (is_list and all(isinstance(each, dict) for each in behaviors)):
        raise ValueError(f"behaviors must be a list such as {_BEHAVIORS}.")
    try:
        text = json.dumps(behaviors, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        text = ""
    if not is_text(text):
        raise ValueError(f"behaviors must be what JSON can hold, with no lone surrogate, such as {_BEHAVIORS}.")
    return text
