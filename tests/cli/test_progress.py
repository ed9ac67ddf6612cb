from __future__ import annotations

import io
import re

import pytest

from mixpanel_async import BatchProgress
from mixpanel_async.cli.progress import ChunkBar


class Tty(io.StringIO):
    def isatty(self):
        return True


def done(index, rows=1200, *, success=True):
    return BatchProgress("2026-01-01", "2026-01-03", index, 2, rows, success)


@pytest.mark.parametrize("stream", [Tty, io.StringIO])
def test_a_bar_is_for_terminals(monkeypatch, stream):
    monkeypatch.setattr("sys.stderr", stderr := stream())
    with ChunkBar(2) as bar:
        bar(done(0))
        bar(done(1, rows=0, success=False))
    shown = stderr.getvalue()
    if stream is io.StringIO:
        assert shown == ""
    else:
        assert "0/2 chunks" in shown
        assert shown.rstrip().endswith("1,200 rows")
        assert "2/2 chunks" in shown.split("\r")[-1]


@pytest.mark.parametrize("rows", [0, 1200, 123_456, 1_234_567_890])
def test_no_number_is_cut_however_narrow_the_terminal(monkeypatch, rows):
    monkeypatch.setattr("sys.stderr", Tty())
    with ChunkBar(30) as bar:
        for index in range(12):
            bar(BatchProgress("2026-01-01", "2026-01-03", index, 30, rows if index == 0 else 0, True))
        for columns in range(1, 120):
            bar._bar.dynamic_ncols = lambda _, columns=columns: (columns, 24)
            shown = str(bar._bar)
            assert len(shown) <= columns
            numbers = re.sub(r"#+\d?|\d\d:\d\d", "", shown)  # without the bar, which is ASCII here, and the time
            assert set(re.findall(r"\d(?:[\d,]*\d)?", numbers)) <= {"12", "30", f"{rows:,}"}
            assert ("12/30" in shown) == (columns >= 5)
            assert (" rows" in shown) == (columns >= len(f"12/30, {rows:,} rows"))
