"""Make the picture of `examples/webapp`, on a desktop and in the dark on a phone: `python docs/pictures/webapp.py`.

Two pages show the same sync of the app's fake, when a chunk of it has failed. It needs starlette, uvicorn, playwright,
pillow and Chromium.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from playwright.async_api import Browser, async_playwright

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HERE = Path(__file__).parent
PATIENCE = 300_000
"""Milliseconds."""
CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextlib.asynccontextmanager
async def webapp(folder: str) -> AsyncIterator[str]:
    """Run the app with its fake, and yield its URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "uvicorn", "--app-dir", str(HERE.parents[1]), "--port", "0", "examples.webapp.app:app",
        cwd=folder, env={name: value for name, value in os.environ.items() if not name.startswith("MP_")},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    if process.stderr is None:  # for type checkers
        raise AssertionError
    try:
        while not (found := re.search(rb"running on (http://\S+)", line := await process.stderr.readline())):
            if not line:
                raise RuntimeError("uvicorn did not start.")
        yield found[1].decode()
    finally:
        process.terminate()
        await process.wait()


async def take(browser: Browser, url: str) -> list[Image.Image]:
    """Start a sync, and take a picture of both pages when a chunk has failed."""
    desktop = await browser.new_page(viewport={"width": 1280, "height": 900})
    phone = await browser.new_page(viewport={"width": 390, "height": 900}, color_scheme="dark")
    for page in (desktop, phone):
        page.set_default_timeout(PATIENCE)
        await page.goto(url)
    await desktop.get_by_role("button", name="Sync now").click()
    for page in (desktop, phone):
        await page.get_by_role("button", name="Fetch again").wait_for()
        await page.locator("#chart rect").nth(17).wait_for()  # most of the dates have come
        await page.get_by_text("Gaps: ").wait_for()
    on_the_phone = Image.open(io.BytesIO(await phone.screenshot(full_page=True)))
    await desktop.set_viewport_size({"width": 1280, "height": on_the_phone.height})
    return [Image.open(io.BytesIO(await desktop.screenshot())), on_the_phone]


def put_together(pictures: list[Image.Image], target: Path) -> None:
    """Make one small picture of pictures of the same height, side by side."""
    whole = Image.new("RGB", (sum(picture.width for picture in pictures), pictures[0].height))
    left = 0
    for picture in pictures:
        whole.paste(picture, (left, 0))
        left += picture.width
    whole.quantize().save(target, optimize=True)


async def main() -> None:
    """Make the picture."""
    with tempfile.TemporaryDirectory() as folder:
        async with webapp(folder) as url, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            put_together(await take(browser, url), HERE / "webapp.png")


if __name__ == "__main__":
    asyncio.run(main())
