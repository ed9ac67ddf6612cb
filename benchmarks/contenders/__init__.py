"""Ways to bring the same events into DuckDB, each a program of its own: `python -m benchmarks.contenders.NAME TASK`."""
