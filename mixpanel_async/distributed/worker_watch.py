"""Watches whether a cluster has workers: without one, tasks of Dask wait for ever, and nothing says so."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, NoReturn

from mixpanel_async.distributed.cluster import KEPT
from mixpanel_async.errors import ExportError

if TYPE_CHECKING:
    from mixpanel_async.distributed.cluster import Cluster

logger = logging.getLogger(__name__)

LOOK_EVERY = 2.0
"""Seconds between two looks."""
WARN_AFTER = 10.0
"""Seconds without a worker until the log says so."""
WARN_AGAIN = 60.0
"""Seconds from one such line to the next."""


async def watch_workers(cluster: Cluster, patience: float) -> NoReturn:
    """Watch until cancelled. Time counts only while tasks wait: an adaptive cluster has no worker in between.

    Raises:
        ExportError: tasks waited for `patience` seconds, and no worker was there.
    """
    since = warned_at = None
    while True:
        await asyncio.sleep(min(LOOK_EVERY, patience))
        if not cluster.open_tasks or await cluster.has_workers():
            if warned_at is not None:
                logger.warning("A worker is on the Dask cluster again: the export goes on.")
            since = warned_at = None
            continue
        now = time.monotonic()
        since = now if since is None else since
        if now - since >= patience:
            raise ExportError(
                f"No worker was on the Dask cluster at {cluster.address} for {patience:,.0f} s (worker_timeout): start "
                f"workers, or read in their logs why they ended. {KEPT}"
            )
        if now - since >= WARN_AFTER and (warned_at is None or now - warned_at >= WARN_AGAIN):
            warned_at = now
            logger.warning(
                "No worker is on the Dask cluster at %s; waiting (%d tasks) for up to %.0f s more.",
                cluster.address, cluster.open_tasks, patience - (now - since),
            )  # fmt: skip
