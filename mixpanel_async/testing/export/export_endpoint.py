"""The raw export endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, Protocol

from mixpanel_async.testing.clock import FakeClock
from mixpanel_async.testing.data.profiles import ProfileSource
from mixpanel_async.testing.export.event_reader import Telling
from mixpanel_async.testing.export.export_query import judged
from mixpanel_async.testing.faults.fault import NOTHING
from mixpanel_async.testing.faults.fault_plan import FaultPlan
from mixpanel_async.testing.http.request_log import RequestRecord
from mixpanel_async.testing.http.response import Answer, RefusedError
from mixpanel_async.testing.limits.rate_limiter import Turnstile
from mixpanel_async.testing.projects.authentication import Gate
from mixpanel_async.testing.projects.project_data import Holdings
from mixpanel_async.testing.sending.body_cache import Shelf
from mixpanel_async.testing.sending.body_encoder import Rendering
from mixpanel_async.testing.sending.send_response import Pace, happen

if TYPE_CHECKING:
    from aiohttp import web


class ExportSettings(Protocol):
    """The server's settings that exports depend on. They are read at each request, so a test may change them."""

    clock: FakeClock
    faults: FaultPlan
    shuffle: bool
    latency: float
    bytes_per_second: float | None

    @property
    def profiles(self) -> ProfileSource:
        """The profiles that ``user[...]`` in a ``where`` refers to."""

    @property
    def requests(self) -> Sequence[RequestRecord]:
        """All requests so far."""


class ExportEndpoint:
    """Judges exports and lets them happen."""

    def __init__(
        self,
        settings: ExportSettings,
        gate: Gate,
        turnstile: Turnstile,
        holdings: Holdings,
        *,
        cache: bool,
    ) -> None:
        """Export what the projects hold; how fast and with which faults is read from ``settings`` at each request."""
        self._settings = settings
        self._gate = gate
        self._turnstile = turnstile
        self._holdings = holdings
        self._shelf = Shelf() if cache else None

    def forget_bodies(self) -> None:
        """Forget the bodies that were kept: the events are others now."""
        if self._shelf is not None:
            self._shelf = Shelf()

    async def answered(self, request: web.BaseRequest, record: RequestRecord, threads: Executor) -> web.StreamResponse:
        """Answer one export; raises RefusedError."""
        settings = self._settings
        if request.method != "GET":
            raise RefusedError(Answer(405, headers=(("Allow", "GET"),)))
        project = self._gate.admit(request.headers.get("Authorization"), record.params, record.region)
        with self._turnstile.admit(project.id):
            query = judged(
                record.params,
                today=project.today(settings.clock.now),
                wording=self._gate.wording,
            )
            fault = settings.faults.due(query.from_date, query.to_date, record.attempt)
            record.fault = None if fault is NOTHING else fault.name
            order = len(settings.requests) if settings.shuffle else 0
            telling = Telling(self._holdings.of(project), settings.clock.now, order, project.zone, settings.profiles)
            rendering = Rendering(
                partial(telling.text, query),
                fault,
                threads,
                shelf=None if settings.shuffle or query.asks_profiles else self._shelf,
                key=(project.id, query, telling.now),
            )
            return await happen(request, record, rendering, Pace(settings.latency, settings.bytes_per_second))
