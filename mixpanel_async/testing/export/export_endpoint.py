"""ExportEndpoint: responds to requests to ``/api/2.0/export``."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from mixpanel_async.testing.clock import FakeClock
from mixpanel_async.testing.data.profiles import ProfileSource
from mixpanel_async.testing.export.event_reader import EventReader
from mixpanel_async.testing.export.export_query import parse_export_query
from mixpanel_async.testing.faults.fault import NOTHING
from mixpanel_async.testing.faults.fault_plan import FaultPlan
from mixpanel_async.testing.http.request_log import RequestRecord
from mixpanel_async.testing.http.response import RefusedError, Response
from mixpanel_async.testing.limits.rate_limiter import RateLimiter
from mixpanel_async.testing.projects.authentication import Authenticator
from mixpanel_async.testing.projects.project_data import ProjectData
from mixpanel_async.testing.sending.body_cache import BodyCache
from mixpanel_async.testing.sending.body_encoder import BodyEncoder
from mixpanel_async.testing.sending.send_response import Pace, send_body

if TYPE_CHECKING:
    from aiohttp import web


class ExportSettings(Protocol):
    """The server's settings that exports depend on. They are read at each request, so a test may change them."""

    clock: FakeClock
    faults: FaultPlan
    ignores_time_in_ms: bool
    shuffle: bool
    latency: float
    bytes_per_second: float | None

    @property
    def profiles(self) -> ProfileSource:
        """The profiles that ``user[...]`` in a ``where`` reads."""

    @property
    def requests(self) -> Sequence[RequestRecord]:
        """All requests so far."""


class ExportEndpoint:
    """Checks export requests and sends the events."""

    def __init__(
        self,
        settings: ExportSettings,
        authenticator: Authenticator,
        rate_limiter: RateLimiter,
        data: ProjectData,
        *,
        cache: bool,
    ) -> None:
        """Export the events in ``data``. If ``cache`` is true, encoded bodies stay in memory and are sent again."""
        self._settings = settings
        self._authenticator = authenticator
        self._rate_limiter = rate_limiter
        self._data = data
        self._cache = BodyCache() if cache else None

    def clear_cache(self) -> None:
        """Delete the cached bodies, because the events have changed."""
        if self._cache is not None:
            self._cache = BodyCache()

    async def respond(self, request: web.BaseRequest, record: RequestRecord, threads: Executor) -> web.StreamResponse:
        """Respond to an export request; raises RefusedError. Bodies are made on ``threads``."""
        settings = self._settings
        if request.method != "GET":
            raise RefusedError(Response(405, headers=(("Allow", "GET"),)))
        project = self._authenticator.authorize(request.headers.get("Authorization"), record.params, record.region)
        with self._rate_limiter.admit(project.id):
            query = parse_export_query(
                record.params,
                today=project.today(settings.clock.now),
                wording=self._authenticator.wording,
            )
            if settings.ignores_time_in_ms:
                query = replace(query, time_in_ms=False)
            fault = settings.faults.due(query.from_date, query.to_date, record.attempt)
            record.fault = None if fault is NOTHING else fault.name
            order = len(settings.requests) if settings.shuffle else 0
            source = self._data.events_of(project)
            reader = EventReader(source, settings.clock.now, order, project.zone, settings.profiles)
            encoder = BodyEncoder(
                partial(reader.pieces, query),
                fault,
                threads,
                cache=None if settings.shuffle or query.needs_profiles else self._cache,
                cache_key=(project.id, query, reader.now),
            )
            return await send_body(request, record, encoder, Pace(settings.latency, settings.bytes_per_second))
