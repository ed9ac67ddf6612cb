"""OpenTelemetry: spans and metrics of calls, chunks, pages, requests and commits. Their names are in this file alone.

`opentelemetry` is never imported for its own sake: as long as the program has not imported it, nobody can have asked
for spans, and nothing here does anything. Spans and metrics tell no query string, header, credentials or event.
"""

from __future__ import annotations

import logging
import sys
import time
from contextlib import contextmanager, nullcontext
from functools import cache, wraps
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast
from urllib.parse import urlsplit

from mixpanel_async._version import __version__
from mixpanel_async.errors import DecodeError, MixpanelError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping
    from contextlib import AbstractContextManager

    from opentelemetry import metrics, trace

    Attributes = Mapping[str, str | int | float]

Method = TypeVar("Method", bound="Callable[..., Coroutine[Any, Any, Any]]")

logger = logging.getLogger(__name__)

SECONDS = (0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1200, 3600)
"""Bounds of the histograms' buckets: Mixpanel prepares large exports for minutes, and limits last up to an hour."""


class Recorder:
    """Where spans and metrics go."""

    def __init__(self, tracer: trace.Tracer, meter: metrics.Meter) -> None:
        def seconds(name: str, description: str) -> metrics.Histogram:
            return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=SECONDS)

        self.tracer = tracer
        self.seconds = {
            "request": seconds("http.client.request.duration", "Requests, from sending to the body's end"),
            "chunk": seconds("mixpanel.chunk.duration", "Chunks, from their first request to their commit"),
            "wait": seconds("mixpanel.limit.wait_time", "How long requests waited for the rate limits"),
        }
        self.retries = meter.create_counter("mixpanel.retries", "{request}", "Requests that are sent again")
        self.rows = meter.create_counter("mixpanel.rows", "{row}", "Rows that were committed")
        self.bytes = meter.create_counter("mixpanel.io", "By", "Bodies of chunks that were committed, or proven whole")


def recorder() -> Recorder | None:
    """Return where spans and metrics go; `None` if the program does not use OpenTelemetry."""
    return _recorder() if "opentelemetry" in sys.modules else None


@cache
def _recorder() -> Recorder | None:
    try:
        from opentelemetry import metrics, trace  # noqa: PLC0415 - see above
    except ImportError:
        return None
    # If the program sets its providers later, these use them from then on.
    return Recorder(trace.get_tracer("mixpanel_async", __version__), metrics.get_meter("mixpanel_async", __version__))


class Span:
    """A span, or nothing if the program does not use OpenTelemetry."""

    def __init__(self, span: trace.Span | None = None, labels: Attributes = MappingProxyType({})) -> None:
        """`labels` are attributes that the span's metric has, too."""
        self._span = span
        self.labels = dict(labels)

    def set(self, **attributes: str | int) -> None:
        """Set attributes; `mixpanel.` is put before their names."""
        if self._span is not None:
            self._span.set_attributes({f"mixpanel.{name}": value for name, value in attributes.items()})

    def responded(self, status: int) -> None:
        """Set a response's status."""
        self._label("http.response.status_code", status)

    def failed(self, error: BaseException) -> None:
        """Note what ended it. Only this library's own texts are told, and none that shows a line of a response."""
        self._label("error.type", _error_type(error))
        if self._span is not None:
            from opentelemetry.trace import StatusCode  # noqa: PLC0415 - there is a span, so it is imported already

            text = str(error) if isinstance(error, MixpanelError) and not isinstance(error, DecodeError) else ""
            self._span.set_status(StatusCode.ERROR, text or None)
            self._span.add_event("exception", {"exception.type": type(error).__qualname__, "exception.message": text})

    def current(self) -> AbstractContextManager[object]:
        """Make it the parent of spans that begin, and of tasks that are created, in the block.

        An async generator must not yield to its caller in the block: that would make it the parent of the caller's.
        """
        if self._span is None:
            return nullcontext()
        from opentelemetry.trace import use_span  # noqa: PLC0415 - as above

        current: AbstractContextManager[object] = use_span(
            self._span, record_exception=False, set_status_on_exception=False
        )
        return current

    def end(self) -> None:
        """End it."""
        if self._span is not None:
            self._span.end()

    def _label(self, name: str, value: str | int) -> None:
        self.labels[name] = value
        if self._span is not None:
            self._span.set_attribute(name, value)


@contextmanager
def _span(
    name: str,
    attributes: Attributes = MappingProxyType({}),
    *,
    labels: Attributes = MappingProxyType({}),
    seconds: Literal["request", "chunk"] | None = None,
    is_current: bool = True,
) -> Iterator[Span]:
    """Run the block in a span, and record its `seconds`. What ends the block marks the span as failed."""
    if (otel := recorder()) is None:
        yield Span()
        return
    from opentelemetry.trace import SpanKind  # noqa: PLC0415 - as above

    kind = SpanKind.CLIENT if seconds == "request" else SpanKind.INTERNAL
    span = Span(otel.tracer.start_span(name, kind=kind, attributes={**labels, **attributes}), labels)
    began = time.monotonic()
    try:
        with span.current() if is_current else nullcontext():
            yield span
    except GeneratorExit:  # the caller left the loop over a stream
        raise
    except BaseException as error:
        span.failed(error)
        raise
    finally:
        span.end()
        if seconds is not None:
            otel.seconds[seconds].record(time.monotonic() - began, span.labels)


@contextmanager
def call(name: str, *, is_current: bool = True) -> Iterator[Span]:
    """A call of the client's. If it yields to its caller in the block, its span must not be current; see `Span`."""
    began, how = time.monotonic(), ""
    try:
        with _span(f"mixpanel.{name}", is_current=is_current) as span:
            yield span
    except BaseException as error:
        how = "" if isinstance(error, GeneratorExit) else f" with {type(error).__name__}"
        raise
    finally:
        logger.info("%s ended%s after %.1f s.", name, how, time.monotonic() - began)


def traced(method: Method) -> Method:
    """Make each call of a coroutine method a `call`."""

    @wraps(method)
    async def run(*arguments: object, **options: object) -> object:
        with call(method.__name__):
            return await method(*arguments, **options)

    return cast("Method", run)


def describe_call(**attributes: str | int) -> None:
    """Set attributes of the call that runs, as `Span.set`."""
    if recorder() is not None:
        from opentelemetry.trace import get_current_span  # noqa: PLC0415 - as above

        Span(get_current_span()).set(**attributes)


def chunk(dates: tuple[str, str]) -> AbstractContextManager[Span]:
    """A chunk: from its first request to its commit, or in a stream to the proof that it is whole."""
    attributes = {"mixpanel.from_date": dates[0], "mixpanel.to_date": dates[1]}
    return _span("mixpanel.chunk", attributes, seconds="chunk")


def page(part: int, number: int) -> AbstractContextManager[Span]:
    """A page of profiles, with its retries."""
    return _span("mixpanel.page", {"mixpanel.part": part, "mixpanel.page": number})


def attempt(method: str, url: str, resends: int) -> AbstractContextManager[Span]:
    """One attempt at a request, to the end of its body. `resends`: how many came before it."""
    parts = urlsplit(url)
    labels: Attributes = {
        "http.request.method": method,
        "server.address": parts.hostname or "",
        "server.port": parts.port or (80 if parts.scheme == "http" else 443),
    }
    more = {"http.request.resend_count": resends} if resends else {}
    return _span(f"{method} {parts.path}", {"url.path": parts.path, **more}, labels=labels, seconds="request")


def commit() -> AbstractContextManager[Span]:
    """A transaction, in the thread that commits it; call `committed` in the block."""
    return _span("mixpanel.commit")


def committed(span: Span, kind: Literal["events", "profiles"], *, rows: int, **more: int) -> None:
    """Count what a transaction has committed. `more` are attributes of its span."""
    span.set(rows=rows, **more)
    if (otel := recorder()) is not None:
        otel.rows.add(rows, {"mixpanel.type": kind})


def received(size: int) -> None:
    """Count bytes that came over the wire for a chunk, once it is whole."""
    if (otel := recorder()) is not None:
        otel.bytes.add(size)


def retried(error: Exception) -> None:
    """Count a request that is sent again, by what ended the one before."""
    if (otel := recorder()) is not None:
        otel.retries.add(1, {"error.type": _error_type(error)})


def waited(seconds: float, requests: str) -> None:
    """Count how long a request waited for the limits of such requests."""
    if (otel := recorder()) is not None:
        otel.seconds["wait"].record(seconds, {"mixpanel.limit": requests})


def _error_type(error: BaseException) -> str:
    status = getattr(error, "status", None) or 0
    return str(status) if status >= 400 else type(error).__name__
