"""How fast, how big, how smooth: `python -m benchmarks --help`."""
