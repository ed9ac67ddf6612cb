"""Make the picture of the progress bar in JupyterLab: `python docs/pictures/notebook.py`.

It runs a notebook in headless Chromium, and takes the picture while the second cell runs. With `--text` ipywidgets
cannot be imported, and the picture is notebook-text.png. It needs jupyterlab, ipywidgets, playwright and Chromium.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from fake import environment
from playwright.async_api import Page, async_playwright

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HERE = Path(__file__).parent
CHROMIUM = shutil.which("chromium")
CELLS = (
    """\
from mixpanel_async import MixpanelClient

client = MixpanelClient(database="mixpanel.duckdb")
await client.fetch_profiles(parallel=True, progress=True)""",
    """\
dates = {"from_date": "2026-01-01", "to_date": "2026-03-31"}
await client.fetch_events(**dates, parallel=True, progress=True)""",
)
WITHOUT_IPYWIDGETS = "c = get_config()\nc.IPKernelApp.exec_lines = ['import sys; sys.modules[\"ipywidgets\"] = None']\n"
PATIENCE = 300_000
"""Milliseconds."""


def prepare(folder: Path) -> None:
    """Write the notebook, and the settings of its kernel."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "events.ipynb")
    settings = folder / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    (folder / "profile_default").mkdir()
    if "--text" in sys.argv:
        (folder / "profile_default" / "ipython_kernel_config.py").write_text(WITHOUT_IPYWIDGETS)


@contextlib.asynccontextmanager
async def jupyter(folder: Path, env: dict[str, str]) -> AsyncIterator[str]:
    """Run JupyterLab, and yield the notebook's URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--IdentityProvider.token=",
        f"--port={port}", f"--notebook-dir={folder}",
        env={**env, "IPYTHONDIR": str(folder), "JUPYTERLAB_SETTINGS_DIR": str(folder), "HOME": str(folder)},
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while True:
            with contextlib.suppress(OSError):
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
                break
            await asyncio.sleep(0.2)
        yield f"http://127.0.0.1:{port}/lab/tree/events.ipynb?reset"
    finally:
        process.terminate()
        await process.wait()


async def take(page: Page, url: str, picture: Path) -> None:
    """Run the notebook, and take the picture when a third of the events has come."""
    page.set_default_timeout(PATIENCE)
    await page.goto(url)
    await page.locator(".jp-Notebook .jp-Cell").nth(1).wait_for()
    await page.get_by_text("| Idle").first.wait_for()  # the kernel is there
    await page.keyboard.press("Control+b")  # hides the list of files
    await page.get_by_role("menuitem", name="Run", exact=True).click()
    await page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    await page.get_by_text(re.compile(r"1\d/30")).first.wait_for()
    await page.locator(".jp-Notebook").first.screenshot(path=picture)


async def main() -> None:
    """Make the picture."""
    name = "notebook-text.png" if "--text" in sys.argv else "notebook.png"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        prepare(Path(folder))
        async with environment() as env, jupyter(Path(folder), env) as url, async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=CHROMIUM,
                args=["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"] if os.geteuid() == 0 else [],
            )
            page = await browser.new_page(viewport={"width": 1000, "height": 560}, device_scale_factor=1.5)
            try:
                await take(page, url, HERE / name)
            except BaseException:
                await page.screenshot(path=HERE / "failed.png")
                raise


if __name__ == "__main__":
    asyncio.run(main())
