"""A Dask cluster of two worker processes."""

from __future__ import annotations

from contextlib import contextmanager

import dask
from distributed import LocalCluster

from mixpanel_async.testing import Project


@contextmanager
def two_workers(threads=4, silence_logs=50, more=0, **environment):
    """Only the workers have the account in their environment. `more`: workers beyond two."""
    known = Project().service_account
    account = {"MP_USERNAME": known.username, "MP_SECRET": known.secret}
    patient = {  # on a busy machine, workers that start take minutes, and may be lost without a kill
        "distributed.comm.timeouts.connect": "300s",
        "distributed.comm.timeouts.tcp": "300s",
        "distributed.scheduler.allowed-failures": 100,
    }
    with dask.config.set(patient), LocalCluster(
        n_workers=2 + more, threads_per_worker=threads, dashboard_address="127.0.0.1:0", env=account | environment, memory_limit=0,
        silence_logs=silence_logs,
    ) as cluster:  # fmt: skip
        yield cluster
