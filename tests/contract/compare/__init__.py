"""Which rows each exporter brings, loses or doubles: `python -m tests.contract.compare DIRECTORY`, or `nox -s compare`.

- `__main__.py`: runs each case with each peer, and writes `docs/compare.json` and the tables of `docs/compare.md`.
- `page.py`: the tables.
- `cases.py`: what the fake does.
- `peers.py`: the exporters, where their rows are, and what they never claimed. `scripts/` has how each is called.
- `rows.py`: the rows that a peer left, compared with the fake's.
- `process.py`: runs a peer as a process, with its peak memory.
"""
