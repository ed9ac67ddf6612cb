"""Exports of many projects by many processes, into partitioned Parquet (see `dataset`).

workers_credentials  credentials, where a chunk is fetched: of the environment or a callable
job                  a chunk to fetch, and how that ended: values
chunk                one chunk of one project, fetched to Parquet by any process
"""

from __future__ import annotations

from mixpanel_async.distributed.chunk import fetch_chunk, fetch_chunk_to_parquet
from mixpanel_async.distributed.job import ChunkJob, ChunkReport

__all__ = ["ChunkJob", "ChunkReport", "fetch_chunk", "fetch_chunk_to_parquet"]
