"""The same as `duckdb_local`, but the rows keep the order of the files, which is DuckDB's default."""

from __future__ import annotations

from benchmarks.contenders.duckdb_local import main

if __name__ == "__main__":
    main(in_order=True)
