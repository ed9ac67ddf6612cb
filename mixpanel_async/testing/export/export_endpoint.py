"""The raw export endpoint."""

from __future__ import annotations

from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING

from mixpanel_async.testing.export.event_reader import Telling
from mixpanel_async.testing.export.export_query import judged
from mixpanel_async.testing.faults.fault import NOTHING
from mixpanel_async.testing.http.request_log import RequestRecord
from mixpanel_async.testing.http.response import Answer, RefusedError
from mixpanel_async.testing.limits.rate_limiter import Turnstile
from mixpanel_async.testing.projects.project import Gate
from mixpanel_async.testing.projects.project_data import Holdings
from mixpanel_async.testing.sending.body_encoding import Rendering, Shelf
from mixpanel_async.testing.sending.send_response import Pace, happen

if TYPE_CHECKING:
    from aiohttp import web

    from mixpanel_async.testing.server import FakeMixpanel


class ExportEndpoint:
    """Judges exports and lets them happen."""

    def __init__(
        self,
        fake: FakeMixpanel,
        gate: Gate,
        turnstile: Turnstile,
        holdings: Holdings,
        *,
        cache: bool,
    ) -> None:
        """Export what the projects hold; how fast and with which faults is read from ``fake`` at each request."""
        self._fake = fake
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
        fake = self._fake
        if request.method != "GET":
            raise RefusedError(Answer(405, headers=(("Allow", "GET"),)))
        project = self._gate.admit(request.headers.get("Authorization"), record.params, record.region)
        with self._turnstile.admit(project.id):
            query = judged(
                record.params,
                today=project.today(fake.clock.now),
                wording=self._gate.wording,
            )
            fault = fake.faults.due(query.from_date, query.to_date, record.attempt)
            record.fault = None if fault is NOTHING else fault.name
            order = len(fake.requests) if fake.shuffle else 0
            telling = Telling(self._holdings.of(project), fake.clock.now, order, project.zone, fake.profiles)
            rendering = Rendering(
                partial(telling.text, query),
                fault,
                threads,
                shelf=None if fake.shuffle or query.asks_profiles else self._shelf,
                key=(project.id, query, telling.now),
            )
            return await happen(request, record, rendering, Pace(fake.latency, fake.bytes_per_second))
