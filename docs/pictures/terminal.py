"""Make the pictures of the progress bar in terminals of 80 and 40 columns: `python docs/pictures/terminal.py`.

A user's script runs in tmux, until it waits for the limit of 60 exports an hour. It needs tmux and rich.
"""

from __future__ import annotations

import asyncio
import io
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fake import environment
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

HERE = Path(__file__).parent
SCRIPT = """\
import asyncio

from mixpanel_async import MixpanelClient


async def main():
    async with MixpanelClient(database="mixpanel.duckdb") as client:
        dates = {"from_date": "2026-01-01", "to_date": "2026-03-31"}
        await client.fetch_events(**dates, parallel=True, chunk_days=1, progress=True)


asyncio.run(main())
"""
MOMENTS = {"running": r"4\d/90", "waiting": r"[56]\d/90.*waiting until"}
"""What the screen shows then."""


async def captures(columns: int, moments: Sequence[str], folder: Path) -> AsyncIterator[str]:
    """Yield what a terminal shows at these moments, with its colours."""
    (folder / "fetch.py").write_text(SCRIPT, encoding="utf-8")

    def tmux(*arguments: str, env: dict[str, str] | None = None) -> str:
        command = ["tmux", "-L", f"mixpanel-async-{columns}", "-f", "/dev/null", *arguments]
        return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=True).stdout

    async def until(pattern: str) -> None:
        while not re.search(pattern, tmux("capture-pane", "-p")):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.5)

    async with environment() as env:
        shell = shlex.join(["env", f"PATH={Path(sys.executable).parent}:/usr/bin:/bin", "PS1=$ ", "sh", "-i"])
        tmux("new-session", "-d", "-x", str(columns), "-y", "12", shell, env={**env, "TERM": "xterm-256color"})
        try:
            await until(r"\$")
            tmux("send-keys", "python fetch.py", "Enter")
            for moment in moments:
                await until(MOMENTS[moment])
                yield tmux("capture-pane", "-p", "-e").rstrip()
        finally:
            tmux("kill-server")


def as_svg(screen: str, columns: int, name: str) -> str:
    """Draw what a terminal shows, in a font of the reader's machine: nothing is loaded from elsewhere."""
    console = Console(record=True, width=columns, file=io.StringIO())
    console.print(Text.from_ansi(screen))
    return re.sub(r"\s*@font-face \{.*?\}", "", console.export_svg(title="", unique_id=name), flags=re.DOTALL)


async def main() -> None:
    """Make the pictures."""
    for columns, moments in ((80, ("running", "waiting")), (40, ("waiting",))):
        with tempfile.TemporaryDirectory() as folder:
            screens = [screen async for screen in captures(columns, moments, Path(folder))]
        for moment, screen in zip(moments, screens, strict=True):
            name = f"terminal-{columns}-{moment}"
            (HERE / f"{name}.svg").write_text(as_svg(screen, columns, name), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
