"""Every write of a block, torn: `python -m tests.durability.torn` kills a process in the middle of its first, second,
third ... write to the database, until a run needs no more of them. Then all is asked that `syscalls` asks.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .syscalls import SCENES, Point, Points, Stage

HERE = Path(__file__).parent


def missing() -> str | None:
    """Why no write can be torn here; `None` where all is there."""
    if sys.platform != "linux" or shutil.which("cc") is None:
        return "it needs Linux and a C compiler"
    return None


def built(directory: Path) -> Path:
    """Compile the library that tears writes."""
    library = directory / "torn.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, HERE / "torn.c", "-ldl"], check=True)
    return library


class TornStage(Stage):
    """A scene in which writes are torn."""

    def __init__(self, *arguments, library: Path) -> None:
        super().__init__(*arguments)
        self._library = library

    async def play(self, limit: int = 1000) -> None:
        await super().play(calls=("pwrite64",), hows=("torn",), limit=limit)

    def _under(self, point: Point, path: Path, log: Path) -> list[str]:
        log.touch()
        return ["env", f"LD_PRELOAD={self._library}", f"TORN_PATH=/{path.name}", f"TORN_AT={point.number}"]


async def campaign(directory: Path) -> Points:
    points, started, library = Points(), time.monotonic(), built(directory)
    for scene in SCENES:
        with tempfile.TemporaryDirectory(dir=directory) as place:
            await TornStage(scene, Path(place), points, library=library).play()
        sys.stdout.write(f"{time.monotonic() - started:5.0f} s: {scene.name}; so far {points}\n")
        sys.stdout.flush()
    return points


def main() -> int:
    if (why := missing()) is not None:
        sys.stdout.write(f"{why}\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="mixpanel-async-torn-") as directory:
        points = asyncio.run(campaign(Path(directory)))
    sys.stdout.write(f"{points}.\n")
    return 1 if points.violations else 0


if __name__ == "__main__":
    sys.exit(main())
