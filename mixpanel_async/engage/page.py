"""A page of profiles: read as strictly as JSON is, each profile's properties left the text they came as."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from arro3.core import Array, DataType, RecordBatch

from mixpanel_async.api.ask import read_json
from mixpanel_async.decode.dicts import UNREADABLE, text_of
from mixpanel_async.decode.event import mend_surrogates
from mixpanel_async.duck.profiles_table import PAGE
from mixpanel_async.errors import ServerError

SIZE = 1000
"""Profiles on a page, where Mixpanel does not say."""

EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - Mixpanel's times of profiles have no zone
MICROSECOND = dt.timedelta(microseconds=1)

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}.*", re.ASCII)
_NONE = msgspec.Raw(b"{}")


_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Profile(msgspec.Struct, gc=False):
    distinct_id: Any = msgspec.field(name="$distinct_id")
    properties: msgspec.Raw = msgspec.field(name="$properties", default=_NONE)


class _Page(msgspec.Struct, gc=False):
    results: list[_Profile]
    status: str = "ok"
    session_id: str | None = None
    page: int | None = None
    page_size: _Count | None = None
    total: _Count | None = None


class _Properties(msgspec.Struct, gc=False):
    last_seen: Any = msgspec.field(name="$last_seen", default=None)


_read_page = msgspec.json.Decoder(_Page).decode
_read_properties = msgspec.json.Decoder(_Properties).decode


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile."""

    distinct_id: str
    last_seen: dt.datetime | None
    """Without a zone, as Mixpanel gives it; `None` where it gives none."""
    properties: bytes
    """JSON, as it came; only a lone surrogate became U+FFFD."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page."""

    session_id: str | None
    total: int | None
    """Profiles on all pages; Mixpanel tells it on the first page alone, if at all."""
    size: int
    """Profiles on a page that is full."""
    profiles: list[Profile]


def read_page(body: bytes, number: int) -> Page:
    """Read the page of this number.

    Raises:
        ServerError: it is no such page.
        QueryError: Mixpanel tells of an error that will stay.
    """
    try:
        told = _told(body)
        profiles = [_profile(each) for each in told.results]
    except UNREADABLE as error:
        read_json(body)  # it may say what is wrong
        raise ServerError(f"No page of profiles: {error}", status=200) from None
    if told.status != "ok":
        read_json(body)
        raise ServerError(f"The page says status {told.status[:40]!r}, which is not ok", status=200)
    if told.page not in (None, number):
        raise ServerError(f"Page {told.page} came instead", status=200)
    return Page(told.session_id or None, told.total, told.page_size or SIZE, profiles)


def batch(page: Page) -> RecordBatch:
    """A page's profiles as Arrow."""
    profiles = page.profiles
    seen = [None if each.last_seen is None else (each.last_seen - EPOCH) // MICROSECOND for each in profiles]
    columns = [
        _texts([each.distinct_id.encode() for each in profiles]),
        Array(seen, type=DataType.int64()),
        _texts([each.properties for each in profiles]),
    ]
    return RecordBatch.from_arrays(columns, schema=PAGE)


def _texts(values: list[bytes]) -> Array:
    """Texts as Arrow. Raises UnicodeError where one is not UTF-8."""
    array = Array(values, type=DataType.binary()).cast(DataType.utf8())
    if array.null_count:  # the cast makes a null of what is not UTF-8
        raise UnicodeError("not UTF-8")
    return array


def _told(body: bytes) -> _Page:
    text = body.decode()  # msgspec does not look whether the text that it leaves is UTF-8
    try:
        return _read_page(body)
    except msgspec.DecodeError:
        return _read_page(mend_surrogates(text))


def _profile(told: _Profile) -> Profile:
    distinct_id = text_of(told.distinct_id)
    if distinct_id is None:
        raise ValueError("a profile has no $distinct_id")
    properties = bytes(told.properties)
    if properties == b"null":  # a cohort's member that has no profile, perhaps
        properties = b"{}"
    return Profile(distinct_id, _time(_read_properties(properties).last_seen), properties)


def _time(text: object) -> dt.datetime | None:
    """`2008-06-09T23:08:40`, which has no zone; with one it is turned to UTC. Any other value is none."""
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        return None
    try:
        time = dt.datetime.fromisoformat(text)
        return time if time.tzinfo is None else time.astimezone(dt.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
