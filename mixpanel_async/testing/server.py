"""FakeMixpanel: an HTTP server on loopback that exports raw events as Mixpanel does."""

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
from mixpanel_async.testing.export.event_reader import Telling, lines_of
from mixpanel_async.testing.export.export_endpoint import ExportEndpoint
from mixpanel_async.testing.export.export_query import ExportQuery
from mixpanel_async.testing.faults.fault_plan import FaultPlan
from mixpanel_async.testing.http.error_wording import Wording
from mixpanel_async.testing.http.listener import Listener
from mixpanel_async.testing.http.request_log import RequestLog, RequestRecord, record_of
from mixpanel_async.testing.http.request_parameters import arguments, as_parameters
from mixpanel_async.testing.http.response import Answer, RefusedError
from mixpanel_async.testing.http.routes import Route, route_of
from mixpanel_async.testing.limits.rate_limiter import FakeLimits, Turnstile
from mixpanel_async.testing.limits.too_many_requests import export_refusal, query_refusal
from mixpanel_async.testing.projects.authentication import Gate
from mixpanel_async.testing.projects.project import Project, Region
from mixpanel_async.testing.projects.project_data import Holdings, profiles_of, source_of
from mixpanel_async.testing.query.query_endpoints import QueryEndpoints
from mixpanel_async.testing.query.query_rules import QueryRules
from mixpanel_async.testing.sending.send_response import told

MIXPANELS_LIMITS = FakeLimits()
COMMON_WORDING = Wording()
EMPTY_CATALOG = Catalog()
USUAL_RULES = QueryRules()
DEFAULT_PROJECTS = (Project(),)
_THREADS = 4  # its own, lest a client that fills the loop's threads and waits for bytes waits for ever


class FakeMixpanel:
    """Mixpanel's raw export endpoint on ``127.0.0.1``, with events, a clock and faults of your choice.

    Use it as ``async with FakeMixpanel(...) as fake``, or call ``start()`` and ``close()``; without a loop of
    your own, use ``running``. It runs on the event loop that started it, makes bodies on threads, and holds
    only some pieces of a body in memory. Attributes may be read and changed while it runs, from any thread;
    what is changed holds for later requests.
    """

    def __init__(  # noqa: PLR0913 - each is one independent choice of the caller's, with a default
        self,
        events: EventSource | Iterable[Event | bytes] = (),
        *,
        profiles: ProfileSource | Iterable[Profile] = (),
        groups: Mapping[str, ProfileSource | Iterable[Profile]] | None = None,
        catalog: Catalog = EMPTY_CATALOG,
        query_rules: QueryRules = USUAL_RULES,
        today: date | str | None = None,
        clock: FakeClock | None = None,
        projects: Sequence[Project] = DEFAULT_PROJECTS,
        limits: FakeLimits | None = MIXPANELS_LIMITS,
        wording: Wording = COMMON_WORDING,
        latency: float = 0.0,
        bytes_per_second: float | None = None,
        shuffle: bool = False,
        cache: bool = False,
        port: int = 0,
    ) -> None:
        """Prepare a server; nothing listens before ``start()``.

        Args:
            events: a source such as GeneratedEvents, or events as GivenEvents takes them. All projects
                hold them that have no events of their own.
            profiles: a source such as GeneratedProfiles, or profiles as GivenProfiles takes them. All projects
                hold them.
            groups: the same for groups, by their ``data_group_id``.
            catalog: cohorts, lexicon and annotations.
            query_rules: how queries behave where several things are known or nothing is.
            today: the day it is taken to be, at noon UTC; 2026-02-10 if neither this nor ``clock`` is given.
            clock: the clock to go by, instead of ``today``.
            projects: the projects there are. There is one URL for each region that one of them lives in.
            limits: rate limits, counted for each project; None for none. The default is what Mixpanel's
                docs say: exports 3 a second, 60 an hour, 100 at once; queries 60 an hour, 5 at once.
            wording: which of several known wordings refusals have.
            latency: seconds from the arrival of a request that is let through to its headers.
            bytes_per_second: how fast each body is sent, as it travels; None for as fast as it goes.
            shuffle: send every answer in an order of its own. Days still follow one another.
            cache: keep bodies after they were made (compressed, if they were), so that the same question,
                asked again with the clock unmoved, costs little. They stay in memory.
            port: where to listen for the first project's region; 0 for any free port, as for other regions.

        Raises ValueError if both ``today`` and ``clock`` are given, or an event or a profile cannot be read.

        """
        if clock is not None and today is not None:
            msg = "give either today or clock"
            raise ValueError(msg)
        self.clock = clock or FakeClock(today or "2026-02-10")
        """Tells the server what time it is. Move it to let late events arrive, or limits pass."""
        self.latency = latency
        self.bytes_per_second = bytes_per_second
        self.shuffle = shuffle
        self.faults = FaultPlan()
        """What shall go wrong; see FaultPlan.add."""
        self.projects = tuple(projects)
        self.catalog = catalog
        self.query_rules = query_rules
        self.plan_has_queries = True
        """Whether the projects' plan has the query API; without it all but exports is answered with 402."""
        self._holdings = Holdings(events, projects, profiles, groups)
        self._gate = Gate(projects, wording)
        self._turnstile = Turnstile(export_refusal, limits, self.clock, wording)
        self._query_turnstile = Turnstile(query_refusal, limits, self.clock, wording)
        self._log = RequestLog()
        self._export = ExportEndpoint(self, self._gate, self._turnstile, self._holdings, cache=cache)
        self._queries = QueryEndpoints(self, self._gate, self._query_turnstile, self._holdings)
        regions = list(dict.fromkeys(project.region for project in projects)) or ["us"]
        self._listener = Listener(self._answered, regions, port, self.faults.hangs_up)
        self._is_open = False
        self._loop: asyncio.AbstractEventLoop
        self._threads: ThreadPoolExecutor
        self._open_tasks: set[asyncio.Task[Any]] = set()

    # its life

    async def start(self) -> None:
        """Listen; after a close, at the same URL again. Raises OSError if the port is in use."""
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(_THREADS, "fake-mixpanel")
        self._is_open = True
        try:
            await self._listener.start()
        except OSError:
            await self.close()
            raise

    async def close(self) -> None:
        """Break off what is open and stop listening; leaves no task or thread behind. May be called twice."""
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
        """Let new connections be refused while the block runs; those that stand go on.

        For the loop that the server runs on.
        """
        await self._listener.close_ports()
        try:
            yield
        finally:
            await self._listener.open_ports()

    # what a test looks at

    @property
    def url(self) -> str:
        """The base URL of the first project's region; exports are at ``{url}/api/2.0/export``."""
        return self.url_of(self.project.region)

    def url_of(self, region: Region) -> str:
        """Return the base URL of a region; raises KeyError if no project lives there."""
        return self._listener.url(region)

    @property
    def events(self) -> EventSource:
        """What all projects hold that have no events of their own; may be set, as ``events`` is given."""
        return self._holdings.shared

    @events.setter
    def events(self, events: EventSource | Iterable[Event | bytes]) -> None:
        self._holdings.shared = source_of(events)
        self._export.forget_bodies()

    @property
    def profiles(self) -> ProfileSource:
        """The profiles; may be set, as ``profiles`` is given. Downloads that have begun do not see it."""
        return self._holdings.profiles

    @profiles.setter
    def profiles(self, profiles: ProfileSource | Iterable[Profile]) -> None:
        self._holdings.profiles = profiles_of(profiles)

    @property
    def project(self) -> Project:
        """The first project."""
        return self.projects[0]

    @property
    def limits(self) -> FakeLimits | None:
        """The rate limits; may be set."""
        return self._turnstile.limits

    @limits.setter
    def limits(self, limits: FakeLimits | None) -> None:
        self._turnstile.limits = self._query_turnstile.limits = limits

    @property
    def requests(self) -> list[RequestRecord]:
        """All requests so far, in the order in which they came, those to unknown paths too."""
        return self._log.records

    @property
    def open(self) -> int:
        """How many exports are open: arrived, and neither answered in full nor given up by the client."""
        return self._log.exports.now

    @property
    def max_open(self) -> int:
        """The highest number of exports that were open at once, refused ones included."""
        return self._log.exports.most

    @property
    def open_queries(self) -> int:
        """How many requests to other endpoints are open."""
        return self._log.queries.now

    @property
    def max_open_queries(self) -> int:
        """The highest number of requests to other endpoints that were open at once, refused ones included."""
        return self._log.queries.most

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once ``condition()`` is true; it is called when a request arrives and when one ends.

        For example ``await fake.until(lambda: fake.open == 0)``. It waits for as long as that takes, on
        whichever loop it is awaited; the condition is called on the server's.
        """
        waiting = self._log.until(condition)
        if self._loop is asyncio.get_running_loop():
            await waiting
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(waiting, self._loop))

    def wait_until(self, condition: Callable[[], bool], timeout: float = 30.0) -> None:
        """Do as ``until`` does, where there is no loop: not on the thread that the server runs on.

        Raises TimeoutError after ``timeout`` seconds.
        """
        waiting = asyncio.run_coroutine_threadsafe(self._log.until(condition), self._loop)
        try:
            waiting.result(timeout)
        finally:
            waiting.cancel()

    def forget_requests(self) -> None:
        """Forget requests, attempts and how many were open, as if none had come. Rate limits still count them."""
        self._log.forget()

    def revoke(self, name: str) -> None:
        """Let a credential expire: a service account's user name, a project secret, or a token."""
        self._gate.revoke(name)

    def restore(self, name: str) -> None:
        """Let a revoked credential work again."""
        self._gate.restore(name)

    def truth_lines(
        self, from_date: date | str, to_date: date | str, *, project: Project | None = None
    ) -> Iterator[bytes]:
        r"""Yield the lines, without ``\n``, that an export of these days holds as of the clock now.

        Rows that Mixpanel repeats are repeated here. Faults do not show here. The order is the source's.
        The export is the first project's, unless another is given.
        """
        project = project or self.project
        telling = Telling(self._holdings.of(project), self.clock.now, zone=project.zone)
        return lines_of(telling.text(ExportQuery(_day(from_date), _day(to_date))))

    def truth(
        self, from_date: date | str, to_date: date | str, *, project: Project | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the events of ``truth_lines`` as dicts; raises ValueError at a line that is no JSON."""
        return (json.loads(line) for line in self.truth_lines(from_date, to_date, project=project))

    def truth_profiles(self, *, project: Project | None = None, **params: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401
        """Yield the profiles that a whole download holds as of now, each ``{"$distinct_id", "$properties"}``.

        ``params`` are those of the request, as text or as what their JSON says: ``where='properties["n"] > 1'``,
        ``distinct_ids=["a"]``, ``filter_by_cohort={"id": 7}``, ``output_properties=["$email"]``. The order is
        the source's. Faults do not show here. Raises ValueError if the request would be refused.
        """
        try:
            profiles = self._queries.profiles(project or self.project, as_parameters(params))
        except RefusedError as refused:
            raise ValueError(refused.answer.body.decode()) from None
        return map(json.loads, profiles)

    # answering

    async def _answered(self, request: web.BaseRequest, region: str) -> web.StreamResponse:
        """Answer a request and keep the log of it."""
        if (task := asyncio.current_task()) is not None:
            self._open_tasks.add(task)
            task.add_done_callback(self._open_tasks.discard)
        route = route_of(request.path)
        record = record_of(request, region, route.endpoint if route else None, await arguments(request))
        with self._log.entry(record):
            try:
                return await self._replied(request, record, route)
            except ConnectionResetError:  # who asked is gone
                return web.Response()

    async def _replied(
        self, request: web.BaseRequest, record: RequestRecord, route: Route | None
    ) -> web.StreamResponse:
        """Send what was asked for, or say why not."""
        try:
            if route is None:
                raise RefusedError(Answer(404))  # noqa: TRY301 - refusals have one way out
            if route.endpoint == "export":
                return await self._export.answered(request, record, self._threads)
            return await self._queries.answered(request, record, route, self._threads)
        except RefusedError as refused:
            return await told(request, record, refused.answer)


def _day(day: date | str) -> date:
    return date.fromisoformat(day) if isinstance(day, str) else day
