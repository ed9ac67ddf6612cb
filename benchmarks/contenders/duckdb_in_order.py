"""The same as `duckdb_local`, but the rows stay in the order of the files: what DuckDB does by itself."""

from __future__ import annotations

from benchmarks.contenders.duckdb_local import main

if __name__ == "__main__":
    main(in_order=True)
