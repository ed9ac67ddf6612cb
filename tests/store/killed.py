"""A process that exports or compacts, and kills itself at a moment.

Its arguments: the database, what to do, where to, and the moment: `fsync 3` (before the third call), `replace 1`,
`replaced 1` (after the first call), or `written 1000` (when a temporary file has so many bytes; it waits before its
fsync for that).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from mixpanel_async import Store

CALLS = {"fsync": (os, "fsync"), "replace": (Path, "replace"), "replaced": (Path, "replace"), "mode": (os, "chmod")}


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_call(moment, number):
    owner, name = CALLS[moment]
    original, calls = getattr(owner, name), []

    def counted(*arguments, **options):
        calls.append(1)
        if len(calls) == number and moment != "replaced":
            die()
        result = original(*arguments, **options)
        if len(calls) == number:
            die()
        return result

    setattr(owner, name, counted)


def die_at_size(folder, size):
    while True:
        with suppress(FileNotFoundError):  # a file may go while they are looked at
            for file in folder.rglob("*"):
                ours = ".mixpanel-async-" in str(file) and file.suffix in {".tmp", ".duckdb"}
                if ours and file.stat().st_size >= size:
                    die()
        time.sleep(0.0005)


async def main(database, what, target, moment, number):
    if moment == "written":
        folder = Path(database).parent
        os.fsync = lambda _: threading.Event().wait(60)  # a file must not be done before it is seen
        threading.Thread(target=die_at_size, args=(folder, number), daemon=True).start()
    else:
        die_at_call(moment, number)
    store = Store(database)
    if what == "compact":
        await store.compact()
    else:
        await getattr(store, f"export_{what}")("events", target)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5], int(sys.argv[5])))
