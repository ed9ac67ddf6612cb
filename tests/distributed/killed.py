"""A process that fetches a chunk, and kills itself before a step.

Its arguments: a pickled `ChunkJob`, as hexadecimal digits, and the number of the step, from 1. A step is a call that
changes the destination.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys

from mixpanel_async.dataset.folder import LocalFolder
from mixpanel_async.distributed import fetch_chunk_to_parquet

STEPS = ("create", "writing", "delete")


def die_before(number):
    calls = []

    def counted(original):
        def call(*arguments):
            calls.append(1)
            if len(calls) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments)

        return call

    for name in STEPS:
        setattr(LocalFolder, name, counted(getattr(LocalFolder, name)))


if __name__ == "__main__":
    die_before(int(sys.argv[2]))
    print(fetch_chunk_to_parquet(pickle.loads(bytes.fromhex(sys.argv[1]))).error)  # noqa: T201 - for the test
