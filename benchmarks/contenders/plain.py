"""The plain way: httpx, `json.loads` for each line, `executemany`."""

from __future__ import annotations

from benchmarks.contenders.rows import main, streamed

if __name__ == "__main__":
    main(streamed)
