"""curl downloads the bodies, several at once; then DuckDB's statement loads the files."""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmarks.contenders.duckdb_local import load_after
from benchmarks.task import Task


def download(task: Task) -> None:
    """Download each day into a file, still compressed."""
    settings = Path(task.files) / "curl.config"
    settings.write_text("\n".join(_options(task)))
    many = ["--no-progress-meter", "--parallel", "--parallel-immediate", "--parallel-max", str(task.workers)]
    subprocess.run(["curl", *many, "--config", settings], check=True)


def _options(task: Task) -> list[str]:
    lines = ["fail-early", f'user = "{task.username}:{task.secret}"']
    for day in task.days:
        query = f"project_id={task.project_id}&from_date={day}&to_date={day}&time_in_ms=true"
        lines += [
            f'url = "{task.url}/api/2.0/export?{query}"',
            f'output = "{task.files}/{day}.gz"',
            'header = "Accept-Encoding: gzip"',
            "fail",
            "silent",
            "show-error",
        ]
    return lines


if __name__ == "__main__":
    load_after(download)
