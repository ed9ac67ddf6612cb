from __future__ import annotations

import re
import signal
import time

import duckdb
import pytest

from mixpanel_async.cli.demo_export import make_database

CHUNKS = "SELECT from_date, to_date, rows FROM _mixpanel_chunks"
COUNT = "SELECT count(*) FROM events WHERE event_time >= ?::DATE AND event_time < ?::DATE + 1"


def check_bar(text):
    """It fits 80 columns, is there before the first chunk, and counts rows."""
    bars = [line for line in text.replace("\n", "\r").split("\r") if line.startswith("events: ")]
    assert "0/30 chunks" in bars[0]
    assert max(map(len, bars)) <= 80
    assert any(int(rows.replace(",", "")) > 1000 for rows in re.findall(r", ([\d,]+) rows", bars[-1]))


@pytest.mark.parametrize(
    ("sent", "word", "code"), [(signal.SIGINT, "Interrupted", 130), (signal.SIGTERM, "Terminated", 143)]
)
def test_a_signal_ends_the_demo_with_whole_chunks_only(demo, tmp_path, sent, word, code):
    demo.process.send_signal(sent)
    assert demo.end() == code
    assert demo.text.count("\n") == 3
    assert demo.text.splitlines()[-1].startswith(f"mixpanel-async: {word}. Chunks")
    with duckdb.connect(tmp_path / "demo.duckdb") as connection:
        chunks = connection.execute(CHUNKS).fetchall()
        held = [connection.execute(COUNT, chunk[:2]).fetchall()[0][0] for chunk in chunks]
        assert 0 < len(chunks) < 30
        assert held == [rows for _, _, rows in chunks]
        assert connection.execute("SELECT count(*) FROM events").fetchall() == [(sum(held),)]


def test_an_impatient_user_gets_the_same_end(demo, tmp_path):
    while demo.process.poll() is None:
        demo.process.send_signal(signal.SIGINT)
        time.sleep(0.005)
    assert demo.end() == 130
    assert demo.text.count("\n") == 3  # what it does, the bar, how it ended
    with duckdb.connect(tmp_path / "demo.duckdb") as connection:
        rows = "SELECT sum(rows), (SELECT count(*) FROM events) FROM _mixpanel_chunks"
        journal, events = connection.execute(rows).fetchall()[0]
        assert journal == events > 0


def test_a_demo_that_was_killed_has_shown_a_bar_and_is_replaced_like_any_other(demo, tmp_path):
    demo.process.kill()
    assert demo.end() == -signal.SIGKILL
    check_bar(demo.text)
    make_database(tmp_path / "demo.duckdb")
    assert [path.name for path in tmp_path.iterdir()] == ["demo.duckdb"]
    with duckdb.connect(tmp_path / "demo.duckdb") as connection:
        assert connection.execute("SHOW TABLES").fetchall() == [("mixpanel_async_demo",)]
