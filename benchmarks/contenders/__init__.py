"""Ways to load the same events into DuckDB, each a program: `python -m benchmarks.contenders.NAME TASK`."""
