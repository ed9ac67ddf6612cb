"""A page of profiles: parsed strictly, each profile's properties left as the text they came as."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

import msgspec
from arro3.core import Array, DataType, RecordBatch

from mixpanel_async.api.send_query import read_json
from mixpanel_async.decode.event import id_text
from mixpanel_async.decode.layout import PROFILES
from mixpanel_async.decode.strict_json import mend_surrogates
from mixpanel_async.errors import ServerError

EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - Mixpanel's times of profiles have no zone
MICROSECOND = dt.timedelta(microseconds=1)

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}.*", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,15}(?:\.0+)?", re.ASCII)
_NOT_A_PAGE = (msgspec.MsgspecError, ValueError, RecursionError)
_EMPTY = msgspec.Raw(b"{}")
_NULL = msgspec.Raw(b"null")


class _Profile(msgspec.Struct, gc=False):
    distinct_id: msgspec.Raw = msgspec.field(name="$distinct_id", default=_NULL)
    properties: msgspec.Raw = msgspec.field(name="$properties", default=_EMPTY)


class _Payload(msgspec.Struct, gc=False):
    results: list[_Profile]
    status: str | None = None
    session_id: msgspec.Raw = _NULL
    page: msgspec.Raw = _NULL
    page_size: msgspec.Raw = _NULL
    total: msgspec.Raw = _NULL


class _Properties(msgspec.Struct, gc=False):
    last_seen: msgspec.Raw = msgspec.field(name="$last_seen", default=_NULL)


_parse_payload = msgspec.json.Decoder(_Payload).decode
_parse_properties = msgspec.json.Decoder(_Properties).decode


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile."""

    distinct_id: str
    """As text; an id that is another JSON value is the JSON text it came as."""
    last_seen: dt.datetime | None
    """Without a zone, as Mixpanel returns it; `None` where it returns none."""
    properties: bytes
    """JSON text, as it came; only a lone surrogate became U+FFFD."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page."""

    session_id: str | None
    total: int | None
    """Profiles on all pages, as Mixpanel counted them; it sends this on the first page alone, if at all."""
    size: int | None
    """Profiles on a full page; `None` if Mixpanel does not say."""
    profiles: list[Profile]


def read_page(body: bytes, number: int) -> Page:
    """Read the page of this number. A field beside the profiles that cannot be read counts as missing.

    Raises:
        ServerError: it is not this page.
        QueryError: it holds an error that a retry would meet again.
    """
    try:
        payload = _parse(body)
        profiles = [_profile(each) for each in payload.results]
    except _NOT_A_PAGE as error:
        read_json(body)  # raises the error that it may hold
        raise ServerError(f"The response is not a page of profiles: {error}", status=200) from None
    if payload.status not in (None, "ok"):
        read_json(body)
        raise ServerError(f"The page has the status {payload.status[:40]!r}, which is not ok", status=200)
    if (came := _count(payload.page)) not in (None, number):
        raise ServerError(f"Page {came} came instead", status=200)
    session_id = id_text(bytes(payload.session_id).decode()) or None
    return Page(session_id, _count(payload.total), _count(payload.page_size) or None, profiles)


def profiles_batch(page: Page) -> RecordBatch:
    """Return a page's profiles as Arrow, with the columns `layout.PROFILES`."""
    profiles = page.profiles
    seen = [None if each.last_seen is None else (each.last_seen - EPOCH) // MICROSECOND for each in profiles]
    columns = [
        _texts([each.distinct_id.encode() for each in profiles]),
        Array(seen, type=DataType.int64()),
        _texts([each.properties for each in profiles]),
    ]
    return RecordBatch.from_arrays(columns, schema=PROFILES)


def _texts(values: list[bytes]) -> Array:
    """Return texts as Arrow. Raises UnicodeError where one is not UTF-8."""
    array = Array(values, type=DataType.binary()).cast(DataType.utf8())
    if array.null_count:  # the cast makes a null of what is not UTF-8
        raise UnicodeError("not UTF-8")
    return array


def _parse(body: bytes) -> _Payload:
    text = body.decode()  # msgspec does not check that the text of a Raw is UTF-8
    try:
        return _parse_payload(body)
    except msgspec.DecodeError:
        return _parse_payload(mend_surrogates(text))


def _count(value: msgspec.Raw) -> int | None:
    """Read a count: `2345`, `"2345"` or `2345.0`; anything else is `None`."""
    text = (id_text(bytes(value).decode()) or "").strip()
    return int(text.partition(".")[0]) if _COUNT.fullmatch(text) else None


def _profile(payload: _Profile) -> Profile:
    distinct_id = id_text(bytes(payload.distinct_id).decode())
    if distinct_id is None:
        raise ValueError("a profile has no $distinct_id")
    properties = bytes(payload.properties)
    if properties == b"null":  # perhaps a cohort's member without a profile
        properties = b"{}"
    return Profile(distinct_id, _time(id_text(bytes(_parse_properties(properties).last_seen).decode())), properties)


def _time(text: str | None) -> dt.datetime | None:
    """Read `2008-06-09T23:08:40`, which has no zone; a time with a zone becomes UTC, any other text `None`."""
    if text is None or not _TIME.fullmatch(text):
        return None
    try:
        time = dt.datetime.fromisoformat(text)
        return time if time.tzinfo is None else time.astimezone(dt.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
