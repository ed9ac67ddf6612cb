from __future__ import annotations

import io

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
