"""`examples/webapp`: its routes by a real uvicorn on a real socket, and its page in headless Chromium.

`nox -s browser` runs these tests.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import re
import shutil
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import duckdb
import pytest

from mixpanel_async.testing import FakeMixpanel, Fault, GeneratedEvents

from .conftest import Gated, expected, journal, stored

for package in ("starlette", "uvicorn"):
    pytest.importorskip(package, reason=f"{package} is not installed: `nox -s browser` runs these tests")

ROOT = Path(__file__).parents[2]
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
TODAY = dt.datetime.now(dt.UTC).date()
FIRST, LAST = (TODAY - dt.timedelta(30)).isoformat(), (TODAY - dt.timedelta(1)).isoformat()
REFUSED = (TODAY - dt.timedelta(15)).isoformat()
CAUSE = "date range exceeds 90 days <img src=x onerror='document.title=1'>"
PER_DAY = "SELECT event_time::DATE::VARCHAR, count(*) FROM events GROUP BY ALL ORDER BY ALL"
PATIENCE = 300
"""Seconds, for a busy machine. A stream that does not end would hold the server for ever."""


@pytest.fixture
async def fake():
    """A fake whose last day waits for `fake.events.gate`, and which refuses one date once."""
    source = Gated(GeneratedEvents(per_day=lambda day: 20 + day.day, seed=7), LAST)
    async with FakeMixpanel(source, today=TODAY, limits=None) as server:
        server.faults.add(Fault.status(400, CAUSE), date=REFUSED, times=1)
        yield server
        source.gate.set()


@dataclass
class WebApp:
    """A process of uvicorn, and what a browser does with it."""

    process: asyncio.subprocess.Process
    url: str
    database: Path
    session: aiohttp.ClientSession

    async def get(self, path):
        async with self.session.get(self.url + path) as response:
            return response.status, await response.json() if response.status != 204 else None

    async def post(self, path, **headers):
        async with self.session.post(self.url + path, headers=headers) as response:
            return response.status

    @asynccontextmanager
    async def progress(self):
        """The states that `GET /progress` sends."""

        async def states(response):
            async for line in response.content:
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))

        async with self.session.get(f"{self.url}/progress", timeout=aiohttp.ClientTimeout(PATIENCE)) as response:
            assert response.content_type == "text/event-stream"
            yield states(response)

    async def stop(self, number=signal.SIGINT):
        """Send the signal, and wait until the process has ended; returns what it wrote on stderr."""
        self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            written = await self.process.stderr.read()
        await self.process.wait()
        return written.decode()


@asynccontextmanager
async def webapp(directory, fake, **environment):
    """Run it with the fake as its Mixpanel."""
    account = fake.project.service_account
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT), "--port", "0", "examples.webapp.app:app",
        cwd=directory, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        env={
            **os.environ, "MP_USERNAME": account.username, "MP_SECRET": account.secret,
            "MP_PROJECT_ID": str(fake.project.id), "MP_BASE_URL": fake.url, **environment,
        },
    )  # fmt: skip
    try:
        log = b""
        while not (found := re.search(rb"running on (http://127\S+)", log)):
            line = await process.stderr.readline()
            assert line, log.decode()
            log += line
        async with aiohttp.ClientSession() as session:
            yield WebApp(process, found[1].decode(), directory / "webapp.duckdb", session)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(states, is_reached):
    """The first state that the condition holds for."""
    async with asyncio.timeout(PATIENCE):
        async for state in states:
            if is_reached(state):
                return state
    raise AssertionError("the stream ended before")


def is_held_back(state):
    """Whether only the chunk that waits for the gate is missing."""
    progress = state["progress"]
    return progress is not None and progress["chunks"] == progress["total_chunks"] - 1


def is_over(state):
    return state["running"] is None and state["progress"] is not None


def per_day(database):
    with duckdb.connect(database, read_only=True) as connection:
        return [list(row) for row in connection.execute(PER_DAY).fetchall()]


async def test_before_the_first_sync(tmp_path, fake):
    async with webapp(tmp_path, fake) as app:
        assert await app.get("/coverage") == (204, None)
        assert await app.get("/events-per-day") == (204, None)
        async with app.progress() as states:
            assert await anext(states) == {"running": None, "progress": None, "failed": [], "error": None}
        for path, text in (("/", "<!doctype html>"), ("/page.js", "EventSource"), ("/page.css", ":root")):
            async with app.session.get(app.url + path) as response:
                assert text in await response.text()
                assert "default-src 'self'" in response.headers["Content-Security-Policy"]
        async with app.session.get(app.url, headers={"Host": "elsewhere.example"}) as response:
            assert response.status == 400


async def test_a_sync_as_several_browsers_see_it_and_a_chunk_that_is_mended(tmp_path, fake):
    async with webapp(tmp_path, fake) as app, app.progress() as one, app.progress() as other:
        assert await app.post("/sync") == 202
        held_back = await until(one, is_held_back)
        assert held_back["running"] == "all dates"
        [failed] = held_back["failed"]
        assert failed["from_date"] <= REFUSED <= failed["to_date"]
        assert CAUSE in failed["error"]
        async with app.progress() as late:
            assert is_held_back(await anext(late))

        assert await app.post("/sync") == 409
        status, coverage = await app.get("/coverage")
        assert (status, coverage["gaps"]) == (200, [[failed["from_date"], failed["to_date"]]])
        days = [day["date"] for day in coverage["days"]]
        assert FIRST in days
        assert LAST not in days
        assert await app.get("/events-per-day") == (200, [[day["date"], day["rows"]] for day in coverage["days"]])

        fake.events.gate.set()
        ended = await until(one, is_over)
        assert await until(other, is_over) == ended
        assert ended["failed"] == [failed]
        assert ended["progress"]["failed_chunks"] == 1

        assert await app.post(f"/failed/{FIRST}/{FIRST}") == 404
        assert await app.post(f"/failed/{failed['from_date']}/{failed['to_date']}") == 202
        mended = await until(one, lambda state: is_over(state) and not state["failed"])
        assert mended["progress"]["total_chunks"] == 1
        _, coverage = await app.get("/coverage")
        assert (coverage["gaps"], len(coverage["days"])) == ([], 30)
        assert stored(app.database) == expected(fake, FIRST, LAST)
        assert await app.get("/events-per-day") == (200, per_day(app.database))


FROM_ANOTHER_SITE = (
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://elsewhere.example"},
    {"Origin": "null"},
)


async def test_another_site_starts_nothing(tmp_path, fake):
    async with webapp(tmp_path, fake) as app:
        for headers in FROM_ANOTHER_SITE:
            assert await app.post("/sync", **headers) == 403
            assert await app.post(f"/failed/{FIRST}/{LAST}", **headers) == 403
        async with app.progress() as states:
            assert (await anext(states))["running"] is None
        assert await app.post("/sync", Origin=app.url) == 202


async def test_a_sync_that_ends_with_an_error_says_so_without_the_secret(tmp_path, fake):
    async with webapp(tmp_path, fake, MP_SECRET="wrong-secret") as app, app.progress() as states:
        assert await app.post("/sync") == 202
        ended = await until(states, lambda state: state["error"])
        assert "401" in ended["error"]
        assert "wrong-secret" not in json.dumps(ended)
        assert (await until(states, lambda state: state["running"] is None))["error"] == ended["error"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_stop_in_the_middle_leaves_whole_chunks_and_the_next_start_goes_on(tmp_path, fake, number):
    async with webapp(tmp_path, fake) as app, app.progress() as listening, app.progress() as states:
        assert await app.post("/sync") == 202
        await until(states, is_held_back)
        log = await app.stop(number)
        assert "Finished server process" in log
        assert not re.search("Traceback|ERROR|Exception", log), log
        assert [state async for state in listening][-1]["running"] == "all dates"  # the stream ended, and cleanly
    chunks = journal(app.database)
    assert len(chunks) == 8
    assert sum(rows for *_, rows, _ in chunks) == sum(stored(app.database).values())

    fake.events.gate.set()
    async with webapp(tmp_path, fake) as app, app.progress() as states:
        assert await app.post("/sync") == 202
        assert (await until(states, is_over))["failed"] == []
        assert stored(app.database) == expected(fake, FIRST, LAST)


# The page


@pytest.fixture
async def browser():
    """Debian's Chromium."""
    playwright = pytest.importorskip("playwright.async_api", reason="not installed: nox -s browser has it")
    if (chromium := shutil.which("chromium")) is None:
        pytest.skip("chromium is not installed: on Debian, apt-get install chromium")
    async with playwright.async_playwright() as running:
        browser = await running.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser
        await browser.close()


async def opened(browser, app, **settings):
    """The app's page, once the stream has begun."""
    page = await browser.new_page(**settings)
    page.set_default_timeout(1000 * PATIENCE)
    await page.goto(app.url)
    await page.get_by_text("Nothing runs.").wait_for()
    return page


BARS = """() => [...document.querySelectorAll("#chart rect")]
    .map(rect => [rect.dataset.day, rect.getBoundingClientRect().height])"""
"""In one step: a chart that is redrawn between two has bars without height."""
KEEP_VALUES = """() => {
    const bar = document.getElementById("bar");
    window.values = [];
    const keep = () => window.values.push([bar.value, bar.max]);
    new MutationObserver(keep).observe(bar, {attributes: true});
}"""


async def test_the_page(tmp_path, fake, browser):
    async with webapp(tmp_path, fake) as app:
        page, complaints = await opened(browser, app), []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.reload()
        await page.get_by_text("Nothing runs.").wait_for()
        await page.evaluate(KEEP_VALUES)

        await page.get_by_role("button", name="Sync now").click()
        await page.get_by_text("9 of 10 chunks …").wait_for()
        failed = page.get_by_role("region", name="Failed")
        assert CAUSE in await failed.inner_text()
        assert await failed.locator("img").count() == 0
        await page.locator("#chart rect").nth(20).wait_for()  # the chart grows meanwhile
        fake.events.gate.set()
        await page.get_by_text("Ended, and one range has failed.").wait_for()
        await page.get_by_text("Gaps: ").wait_for()

        await failed.get_by_role("button", name="Fetch again").focus()
        await page.keyboard.press("Enter")
        await page.get_by_text("Up to date.").wait_for()
        await page.get_by_text("30 days, ").wait_for()
        assert await page.locator("#coverage [aria-label$='not held']").count() == 0
        assert not await failed.is_visible()
        assert await page.evaluate("document.activeElement.id") == "sync"
        assert complaints == []

        values = await page.evaluate("window.values")
        first, mend = values[: values.index([10, 10]) + 1], values[values.index([10, 10]) + 1 :]
        assert len({value for value, _ in first}) > 3
        assert [value for value, _ in first] == sorted(value for value, _ in first)
        assert mend[-1] == [1, 1]

        bars = await page.evaluate(BARS)
        counted = per_day(app.database)
        top = max(rows for _, rows in counted)
        highest = max(height for _, height in bars)
        assert [day for day, _ in bars] == [day for day, _ in counted]
        assert [height / highest for _, height in bars] == pytest.approx([rows / top for _, rows in counted], rel=1e-3)


async def test_the_page_on_a_phone_by_keyboard(tmp_path, fake, browser):
    fake.events.gate.set()
    async with webapp(tmp_path, fake) as app:
        page = await opened(browser, app, viewport={"width": 390, "height": 800})
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Fetch again").wait_for()
        await page.get_by_text("Gaps: ").wait_for()
        assert await page.evaluate("document.scrollingElement.scrollWidth") == 390
        assert (
            await page.evaluate(
                "(({scrollWidth, clientWidth}) => scrollWidth - clientWidth)(document.getElementById('coverage'))"
            )
            == 0
        )
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            back = await page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (sum(map(int, re.findall(r"\d+", back))) < 3 * 128) == (scheme == "dark")


async def test_the_page_says_that_the_server_is_gone(tmp_path, fake, browser):
    async with webapp(tmp_path, fake) as app:
        page = await opened(browser, app)
        assert "ERROR" not in await app.stop()
        await page.get_by_text("The server does not answer; trying again …").wait_for()
