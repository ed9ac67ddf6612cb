"""Benchmarks of speed, memory and event loop lag: `python -m benchmarks --help`."""
