"""FakeMixpanel: an HTTP server on loopback that responds as Mixpanel does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, Self

from aiohttp import web

from mixpanel_async.testing.clock import FakeClock
from mixpanel_async.testing.data.catalog import Catalog
from mixpanel_async.testing.data.events import Event, EventSource
from mixpanel_async.testing.data.profiles import Profile, ProfileSource
from mixpanel_async.testing.export.event_reader import EventReader, split_lines
from mixpanel_async.testing.export.export_endpoint import ExportEndpoint
from mixpanel_async.testing.export.export_query import ExportQuery
from mixpanel_async.testing.faults.fault_plan import FaultPlan
from mixpanel_async.testing.http.error_wording import Wording
from mixpanel_async.testing.http.listener import Listener
from mixpanel_async.testing.http.request_log import RequestLog, RequestRecord, new_record
from mixpanel_async.testing.http.request_parameters import encode_parameters, read_parameters
from mixpanel_async.testing.http.response import RefusedError, Response
from mixpanel_async.testing.http.routes import Route, find_route
from mixpanel_async.testing.limits.rate_limiter import FakeLimits, RateLimiter
from mixpanel_async.testing.limits.too_many_requests import check_export, check_query, check_schemas
from mixpanel_async.testing.projects.authentication import Authenticator
from mixpanel_async.testing.projects.project import Project, Region
from mixpanel_async.testing.projects.project_data import ProjectData, event_source, profile_source
from mixpanel_async.testing.query.query_endpoints import QueryEndpoints
from mixpanel_async.testing.query.query_rules import QueryRules
from mixpanel_async.testing.sending.send_response import send_short

DEFAULT_LIMITS = FakeLimits()
DEFAULT_WORDING = Wording()
EMPTY_CATALOG = Catalog()
DEFAULT_QUERY_RULES = QueryRules()
DEFAULT_PROJECTS = (Project(),)
_THREADS = 4
"""Not the event loop's threads: a client on the same loop may block all of those until it gets bytes."""


class FakeMixpanel:
    """A fake Mixpanel on ``127.0.0.1``: all endpoints, with events, profiles, a clock and faults of your choice.

    Use it as ``async with FakeMixpanel(...) as fake``, or call ``start()`` and ``close()``; without an event loop, use
    ``running``. It runs on the event loop that started it, makes bodies on threads, and keeps only a few pieces of a
    body in memory. Attributes may be read and changed while it runs, from any thread; a change applies to later
    requests.
    """

    def __init__(  # noqa: PLR0913 - each is one independent matching_profiles of the caller's, with a default
        self,
        events: EventSource | Iterable[Event | bytes] = (),
        *,
        profiles: ProfileSource | Iterable[Profile] = (),
        groups: Mapping[str, ProfileSource | Iterable[Profile]] | None = None,
        catalog: Catalog = EMPTY_CATALOG,
        query_rules: QueryRules = DEFAULT_QUERY_RULES,
        today: date | str | None = None,
        clock: FakeClock | None = None,
        projects: Sequence[Project] = DEFAULT_PROJECTS,
        limits: FakeLimits | None = DEFAULT_LIMITS,
        wording: Wording = DEFAULT_WORDING,
        latency: float = 0.0,
        bytes_per_second: float | None = None,
        shuffle: bool = False,
        cache: bool = False,
        port: int = 0,
    ) -> None:
        """Prepare a server; ``start()`` makes it listen.

        Args:
            events: a source such as GeneratedEvents, or events as GivenEvents accepts them. All projects without
                events of their own have these events.
            profiles: a source such as GeneratedProfiles, or profiles as GivenProfiles accepts them. All projects have
                them.
            groups: the same for group profiles, by their ``data_group_id``.
            catalog: cohorts, lexicon and annotations.
            query_rules: how query endpoints behave where Mixpanel's docs say little.
            today: the present day; the clock stands at noon UTC. 2026-02-10 if neither ``today`` nor ``clock`` is
                given.
            clock: the clock, instead of ``today``.
            projects: the projects. There is one URL for each of their regions.
            limits: the rate limits, counted for each project; None for no limits. The defaults are those of Mixpanel's
                docs: 3 exports a second, 60 an hour, 100 at the same time; 60 queries an hour, 5 at the same time; 5
                requests for the lexicon's schemas a minute.
            wording: the wording of errors, where several are known.
            latency: seconds from the arrival of an admitted request to the headers of its response.
            bytes_per_second: the speed of each body, in bytes of the encoded body; None for no limit.
            shuffle: whether each response has its lines in another order. Days stay in order.
            cache: whether encoded bodies are kept in memory, so that the same request at the same clock time is cheap.
            port: the port of the first project's region; 0 for any free port, which other regions always get.

        Raises ValueError if both ``today`` and ``clock`` are given, or if an event or a profile is invalid.

        """
        if clock is not None and today is not None:
            msg = "give either today or clock, not both"
            raise ValueError(msg)
        self.clock = clock or FakeClock(today or "2026-02-10")
        """The server's clock. Move it forward to let late events arrive or rate limits reset."""
        self.latency = latency
        self.bytes_per_second = bytes_per_second
        self.shuffle = shuffle
        self.faults = FaultPlan()
        """The planned faults; see FaultPlan.add."""
        self.projects = tuple(projects)
        self.catalog = catalog
        self.query_rules = query_rules
        self.plan_has_queries = True
        """Whether the projects' plan has the query API. If false, all endpoints except export respond with 402."""
        self.ignores_time_in_ms = False
        """Whether exports have times in seconds whatever a request asks for, as if something in between dropped the
        parameter ``time_in_ms``."""
        self._data = ProjectData(events, projects, profiles, groups)
        self._authenticator = Authenticator(projects, wording)
        self._rate_limiter = RateLimiter(check_export, limits, self.clock, wording)
        self._query_rate_limiter = RateLimiter(check_query, limits, self.clock, wording)
        self._schemas_rate_limiter = RateLimiter(check_schemas, limits, self.clock, wording)
        self._log = RequestLog()
        self._export = ExportEndpoint(self, self._authenticator, self._rate_limiter, self._data, cache=cache)
        self._queries = QueryEndpoints(
            self, self._authenticator, self._query_rate_limiter, self._schemas_rate_limiter, self._data
        )
        regions = list(dict.fromkeys(project.region for project in projects)) or ["us"]
        self._listener = Listener(self._handle, regions, port, self.faults.should_hang_up)
        self._is_open = False
        self._loop: asyncio.AbstractEventLoop
        self._threads: ThreadPoolExecutor
        self._open_tasks: set[asyncio.Task[Any]] = set()

    # start and close

    async def start(self) -> None:
        """Start to listen; after a close, at the same URL again. Raises OSError if the port is in use."""
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(_THREADS, "fake-mixpanel")
        self._is_open = True
        try:
            await self._listener.start()
        except OSError:
            await self.close()
            raise

    async def close(self) -> None:
        """Break off open requests and stop listening. Leaves no task or thread behind. May be called twice."""
        if not self._is_open:
            return
        self._is_open = False
        for task in (open_tasks := list(self._open_tasks)):
            task.cancel()
        if open_tasks:
            await asyncio.wait(open_tasks)
        await self._listener.stop()
        self._threads.shutdown()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close."""
        await self.close()

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """Refuse new connections while the block runs. Open connections stay open.

        Use it on the event loop that the server runs on.
        """
        await self._listener.close_ports()
        try:
            yield
        finally:
            await self._listener.open_ports()

    # what a test reads and changes

    @property
    def url(self) -> str:
        """The base URL of the first project's region. The export endpoint is ``{url}/api/2.0/export``."""
        return self.url_of(self.project.region)

    def url_of(self, region: Region) -> str:
        """Return the base URL of a region; raises KeyError if no project belongs to it."""
        return self._listener.url(region)

    @property
    def events(self) -> EventSource:
        """The events of all projects without events of their own. May be set, also to an iterable of events."""
        return self._data.shared_events

    @events.setter
    def events(self, events: EventSource | Iterable[Event | bytes]) -> None:
        self._data.shared_events = event_source(events)
        self._export.clear_cache()

    @property
    def profiles(self) -> ProfileSource:
        """The user profiles. May be set, also to an iterable of profiles. Open sessions keep the old profiles."""
        return self._data.profiles

    @profiles.setter
    def profiles(self, profiles: ProfileSource | Iterable[Profile]) -> None:
        self._data.profiles = profile_source(profiles)

    @property
    def project(self) -> Project:
        """The first project."""
        return self.projects[0]

    @property
    def limits(self) -> FakeLimits | None:
        """The rate limits; None for no limits. May be set."""
        return self._rate_limiter.limits

    @limits.setter
    def limits(self, limits: FakeLimits | None) -> None:
        for rate_limiter in (self._rate_limiter, self._query_rate_limiter, self._schemas_rate_limiter):
            rate_limiter.limits = limits

    @property
    def requests(self) -> list[RequestRecord]:
        """All requests so far, in order of arrival, with those to unknown paths."""
        return self._log.records

    @property
    def open(self) -> int:
        """How many exports are open: they have arrived, and their response has not ended."""
        return self._log.exports.now

    @property
    def max_open(self) -> int:
        """The highest number of exports that were open at the same time, including refused ones."""
        return self._log.exports.most

    @property
    def open_queries(self) -> int:
        """How many requests to other endpoints are open."""
        return self._log.queries.now

    @property
    def max_open_queries(self) -> int:
        """The highest number of requests to other endpoints that were open at the same time, including refused ones."""
        return self._log.queries.most

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once ``condition()`` is true, for example ``await fake.until(lambda: fake.open == 0)``.

        The condition is checked now, and whenever a request arrives or ends, on the server's event loop. ``until`` may
        be awaited on any asyncio loop. It has no timeout.
        """
        waiting = self._log.until(condition)
        if self._loop is asyncio.get_running_loop():
            await waiting
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(waiting, self._loop))

    def wait_until(self, condition: Callable[[], bool], timeout: float = 30.0) -> None:
        """Block until ``condition()`` is true, as ``until`` does. Not for the thread that the server runs on.

        Raises TimeoutError after ``timeout`` seconds.
        """
        waiting = asyncio.run_coroutine_threadsafe(self._log.until(condition), self._loop)
        try:
            waiting.result(timeout)
        finally:
            waiting.cancel()

    def forget_requests(self) -> None:
        """Delete the records of all requests; attempts and highest counts start again. Rate limits still count them."""
        self._log.forget()

    def revoke(self, name: str) -> None:
        """Make a credential expire: a service account's user name, a project secret or an OAuth token."""
        self._authenticator.revoke(name)

    def restore(self, name: str) -> None:
        """Make a revoked credential valid again."""
        self._authenticator.restore(name)

    def truth_lines(
        self,
        from_date: date | str,
        to_date: date | str,
        *,
        project: Project | None = None,
        time_in_ms: bool = False,
    ) -> Iterator[bytes]:
        r"""Yield the lines, without ``\n``, that an export of these dates (inclusive) returns now.

        Duplicates are included, faults are not applied, and the order is the source's. The project is the first one,
        unless another is given. ``time_in_ms`` is the export's parameter: this library asks for milliseconds.
        """
        project = project or self.project
        reader = EventReader(self._data.events_of(project), self.clock.now, zone=project.zone)
        query = ExportQuery(_as_date(from_date), _as_date(to_date), time_in_ms=time_in_ms)
        return split_lines(reader.pieces(query))

    def truth(
        self,
        from_date: date | str,
        to_date: date | str,
        *,
        project: Project | None = None,
        time_in_ms: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Yield the events of ``truth_lines`` as dicts; raises ValueError at a line that is not JSON."""
        lines = self.truth_lines(from_date, to_date, project=project, time_in_ms=time_in_ms)
        return (json.loads(line) for line in lines)

    def truth_profiles(self, *, project: Project | None = None, **params: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401
        """Yield the profiles that a download of all pages returns now, each ``{"$distinct_id", "$properties"}``.

        ``params`` are the parameters of the request, as text or as the values that their JSON encodes:
        ``where='properties["n"] > 1'``, ``distinct_ids=["a"]``, ``filter_by_cohort={"id": 7}``,
        ``output_properties=["$email"]``. Faults are not applied, and the order is the source's. Raises ValueError if
        the request would be refused.
        """
        try:
            profiles = self._queries.profiles(project or self.project, encode_parameters(params))
        except RefusedError as refused:
            raise ValueError(refused.response.body.decode()) from None
        return map(json.loads, profiles)

    # responding

    async def _handle(self, request: web.BaseRequest, region: str) -> web.StreamResponse:
        """Respond to a request and log it."""
        if (task := asyncio.current_task()) is not None:
            self._open_tasks.add(task)
            task.add_done_callback(self._open_tasks.discard)
        route = find_route(request.path)
        record = new_record(request, region, route.endpoint if route else None, await read_parameters(request))
        with self._log.track(record):
            try:
                return await self._respond(request, record, route)
            except ConnectionResetError:  # the client has disconnected
                return web.Response()

    async def _respond(
        self, request: web.BaseRequest, record: RequestRecord, route: Route | None
    ) -> web.StreamResponse:
        """Send the response of the request's endpoint, or the refusal."""
        try:
            if route is None:
                raise RefusedError(Response(404))  # noqa: TRY301 - all refusals are sent in one place
            if route.endpoint == "export":
                return await self._export.respond(request, record, self._threads)
            return await self._queries.respond(request, record, route, self._threads)
        except RefusedError as refused:
            return await send_short(request, record, refused.response)


def _as_date(day: date | str) -> date:
    return date.fromisoformat(day) if isinstance(day, str) else day
