"""Exports of many projects by many processes, into partitioned Parquet (see `dataset`).

workers_credentials  credentials, where a chunk is fetched: of the environment or a callable
job                  a chunk to fetch, and how that ended: values
chunk                one chunk of one project, fetched to Parquet by any process
project_plan         which chunks a project needs, by its manifests
results              what a caller gets
cluster              tasks on the workers of a Dask cluster
worker_watch         whether there are workers
project_export       all chunks of one project, on a cluster
export_events        all projects
"""

from __future__ import annotations

from mixpanel_async.dataset.garbage import collect_garbage
from mixpanel_async.dataset.valid_files import valid_files
from mixpanel_async.distributed.chunk import fetch_chunk, fetch_chunk_to_parquet
from mixpanel_async.distributed.export_events import EventsExport, export_events
from mixpanel_async.distributed.job import ChunkJob, ChunkReport
from mixpanel_async.distributed.results import ProjectBatch

__all__ = [
    "ChunkJob",
    "ChunkReport",
    "EventsExport",
    "ProjectBatch",
    "collect_garbage",
    "export_events",
    "fetch_chunk",
    "fetch_chunk_to_parquet",
    "valid_files",
]
