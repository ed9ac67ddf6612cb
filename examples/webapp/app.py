"""A web app that syncs a project's events and shows how far it is, with one client for all of it.

    python -m uvicorn examples.webapp.app:app    # then open http://127.0.0.1:8000

Needs `pip install starlette uvicorn`. README.md says how it works.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypedDict
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from mixpanel_async import MixpanelClient, StoreError, TableNotFoundError

from .demo import project
from .runs import RunningError, Runs

HERE = Path(__file__).parent
HOSTS = ["127.0.0.1", "localhost"]
"""The names that browsers may call this app by. A page of another name that leads to this machine gets nothing."""
HEADERS = {
    "Cache-Control": "no-cache",
    # scripts and styles only from these files; the calendar has style attributes; no other page may frame this one
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src-attr 'unsafe-inline'; "
    "frame-ancestors 'none'",
}
EVENTS_PER_DAY = "SELECT event_time::DATE::VARCHAR, count(*) FROM events GROUP BY ALL ORDER BY ALL"

Handler = Callable[[Request], Awaitable[Response]]


class AppState(TypedDict):
    """What handlers find in `request.state`."""

    client: MixpanelClient
    runs: Runs


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[AppState]:
    """Hold one client while the app runs. At its end the running call is cancelled: whole chunks stay."""
    async with project() as settings, MixpanelClient(**settings, database="webapp.duckdb") as client:
        runs = Runs(client)
        with before_shutdown(runs.end_streams):
            try:
                yield {"client": client, "runs": runs}
            finally:
                await runs.close()


@contextmanager
def before_shutdown(call: Callable[[], None]) -> Iterator[None]:
    """Make the call when SIGINT or SIGTERM comes, and then what the server does.

    uvicorn ends the lifespan only after the last response has ended, which a stream of progress never would.
    """
    loop = asyncio.get_running_loop()
    servers: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def heed(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(call)
        servers[number](number, frame)

    if threading.current_thread() is threading.main_thread():  # others get no signals
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        servers = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in servers:
        signal.signal(number, heed)
    try:
        yield
    finally:
        for number, handler in servers.items():
            signal.signal(number, handler)


def is_cross_site(request: Request) -> bool:
    """Whether a page of another site makes a browser send this. Browsers say so; a program that is none may post."""
    if (site := request.headers.get("sec-fetch-site")) is not None:
        return site not in {"same-origin", "none"}
    origin = request.headers.get("origin")  # browsers of before 2023
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")


def starts_a_call(start: Callable[[Request], None]) -> Handler:
    """Return the handler of a POST that starts a call: 202, or why it did not start."""

    async def handler(request: Request) -> Response:
        if is_cross_site(request):
            return JSONResponse({"error": "Only this app's own page may post."}, 403)
        try:
            start(request)
        except RunningError:
            return JSONResponse({"error": "A sync runs already."}, 409)
        except KeyError:
            return JSONResponse({"error": "These dates have not failed."}, 404)
        return Response(status_code=202)

    return handler


@starts_a_call
def sync(request: Request) -> None:
    """POST /sync: start a sync."""
    request.state.runs.sync()


@starts_a_call
def fetch_again(request: Request) -> None:
    """POST /failed/{from_date}/{to_date}: fetch a chunk that has failed."""
    request.state.runs.fetch_again((request.path_params["from_date"], request.path_params["to_date"]))


async def progress(request: Request) -> Response:
    """GET /progress: Server-Sent Events, each a `State`; the first one at once."""

    async def events() -> AsyncIterator[str]:
        async for state in request.state.runs.states():
            yield f"data: {state.to_json()}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def coverage(request: Request) -> Response:
    """GET /coverage: `Coverage.to_dict()`, and the calendar as HTML of this library's, in which all text is escaped."""
    held = await request.state.client.store.coverage()
    return JSONResponse({**held.to_dict(), "calendar": held._repr_html_()})


async def events_per_day(request: Request) -> Response:
    """GET /events-per-day: `[["2026-01-31", 1234], ...]`, the dates that have events."""
    store = request.state.client.store
    await store.coverage()  # raises TableNotFoundError before the first sync
    return JSONResponse((await store.query(EVENTS_PER_DAY)).fetchall())


async def nothing_yet(_: Request, __: Exception) -> Response:
    """Return 204: there is no table before the first sync has committed a chunk."""
    return Response(status_code=204)


async def unavailable(_: Request, error: Exception) -> Response:
    """Return 503: another program holds the file, for example."""
    return JSONResponse({"error": str(error)}, 503)


def file(path: str, name: str) -> Route:
    """Return the route of a file beside this one."""

    async def handler(_: Request) -> Response:
        return FileResponse(HERE / name, headers=HEADERS)

    return Route(path, handler)


app = Starlette(
    routes=[
        file("/", "page.html"),
        file("/page.js", "page.js"),
        file("/page.css", "page.css"),
        Route("/sync", sync, methods=["POST"]),
        Route("/failed/{from_date}/{to_date}", fetch_again, methods=["POST"]),
        Route("/progress", progress),
        Route("/coverage", coverage),
        Route("/events-per-day", events_per_day),
    ],
    middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)],
    exception_handlers={TableNotFoundError: nothing_yet, StoreError: unavailable},
    lifespan=lifespan,
)
