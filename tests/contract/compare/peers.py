"""The peers: what each is, where it leaves its rows, and what it never claimed."""

from __future__ import annotations

import calendar
import gzip
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from mixpanel_async import __version__
from tests.contract.clients import SCRIPTS as CONTRACT
from tests.contract.clients import Client, NodeClient, PythonClient
from tests.contract.compare.process import environment
from tests.contract.compare.rows import Key, key_of

SCRIPTS = Path(__file__).parent / "scripts"
ROOT = Path(__file__).parents[3]
Rows = Iterator[Key | None]
"""What is in a peer's output; None for what is no event."""
STATELESS = {
    "late events, kill": "It keeps no state: the second run exports all days again, and its file replaces the first one.",
}
AS_SENT = {"repeated rows": "It passes on the rows as Mixpanel sends them."}
UNREAD = "It copies the response unread."
KEYLESS = "After its last state it passes on the same rows again, and its stream has no key."


@dataclass(frozen=True, slots=True)
class Peer:
    """An exporter, called in one way."""

    name: str
    script: str
    read: Callable[[Path], Rows]
    """Reads the rows in a directory; may raise OSError, ValueError and EOFError in the middle."""
    client: Client | None = None
    """Where it comes from; None for this library."""
    arguments: tuple[str, ...] = ()
    unclaimed: Mapping[str, str] = field(default_factory=dict)
    """What it never claimed to handle: cases, with commas between them, and why."""

    def install(self, home: Path) -> str:
        """Install it unless it is there; gives its version, and raises NotHereError."""
        return self.client.install(home / self.client.name) if self.client else __version__

    def command(self, home: Path) -> list[str | Path]:
        """Return what runs it."""
        script = SCRIPTS / self.script
        match self.client:
            case None:
                return [sys.executable, script]
            case PythonClient(name):
                return [home / name / "bin" / "python", script, *self.arguments]
            case NodeClient():
                return ["node", "--require", CONTRACT / "to_the_fake.cjs", script]

    def environment(self, home: Path, where: Path, url: str) -> dict[str, str]:
        """Return its environment."""
        env = environment(where)
        match self.client:
            case None:
                return env | {"PYTHONPATH": str(ROOT)}
            case PythonClient():
                return env | {"PYTHONPATH": str(CONTRACT)}
            case NodeClient(name):
                return env | {"NODE_PATH": str(home / name / "node_modules"), "FAKE_MIXPANEL": url}


def of_duckdb(where: Path) -> Rows:
    """Read a table; the times are rounded down to seconds."""
    query = "SELECT event_name, epoch_ms(event_time) // 1000, coalesce(distinct_id, ''), coalesce(insert_id, '') FROM events"
    with duckdb.connect(str(where / "events.duckdb"), read_only=True) as connection:
        rows = connection.execute(query)
        while some := rows.fetchmany(10_000):
            yield from some


def of_json(where: Path) -> Rows:
    """Read a list of events."""
    yield from map(key_of, json.loads((where / "events.json").read_bytes()) or [])


def of_gzip(where: Path) -> Rows:
    """Read a compressed body."""
    with gzip.open(where / "events.gz") as lines:
        yield from map(_of_line, lines)


def of_lines(where: Path) -> Rows:
    """Read lines of events."""
    with next(where.glob("events.*json*")).open("rb") as lines:
        yield from map(_of_line, lines)


def of_singer(where: Path) -> Rows:
    """Read the records of all runs: the stream has no key by which a target could replace one by another."""
    for message in _messages(where):
        if message["type"] == "RECORD":
            record = message["record"]
            seconds = calendar.timegm(time.strptime(record["time"][:19], "%Y-%m-%dT%H:%M:%S"))
            yield _key(record["event"], seconds, record.get("distinct_id"), record.get("mp_reserved_insert_id"))


def of_airbyte(where: Path) -> Rows:
    """Read the records of all runs: the stream has no primary key."""
    for message in _messages(where):
        if message["type"] == "RECORD":
            record = message["record"]["data"]
            seconds = calendar.timegm(time.strptime(record["time"][:19], "%Y-%m-%dT%H:%M:%S"))
            yield _key(record["event"], seconds, record.get("distinct_id"), record.get("insert_id"))


def _key(event: str, seconds: int, *ids: str | None) -> Key:
    return (event, seconds, *(each or "" for each in ids))


def _of_line(line: bytes) -> Key | None:
    try:
        return key_of(json.loads(line))
    except (ValueError, TypeError, KeyError):
        return None


def _messages(where: Path) -> Iterator[dict[str, Any]]:
    """Yield the messages on stdout; a line that a kill cut off is left out."""
    for path in sorted(where.glob("stdout-*")):
        with path.open("rb") as lines:
            yield from (json.loads(line) for line in lines if line.endswith(b"}\n"))


UTILS = {"429, 429 with Retry-After": "Its `request` retries 5xx and connections that fail.", **STATELESS}
PEERS = (
    Peer("mixpanel-async", "ours.py", of_duckdb),
    Peer(
        "mixpanel-utils", "utils.py", of_json, PythonClient("mixpanel-utils"),
        unclaimed={**UTILS, **AS_SENT, "memory": "It makes a list of all events."},
    ),
    Peer(
        "mixpanel-utils, raw_stream", "utils.py", of_gzip, PythonClient("mixpanel-utils"), ("raw_stream",),
        unclaimed={**UTILS, "cut, terminated early, repeated rows, bad line, line break": UNREAD},
    ),
    Peer(
        "mixpanel-headless", "headless.py", of_lines, PythonClient("mixpanel-headless"),
        unclaimed={**AS_SENT, "line break": "Its docstring: 'Malformed JSON lines are logged and skipped (not raised).'", **STATELESS},
    ),
    Peer(
        "mixpanel-import", "import.cjs", of_lines, NodeClient("mixpanel-import"),
        unclaimed={"terminated early, repeated rows, bad line, line break": UNREAD, **STATELESS},
    ),
    Peer("tap-mixpanel", "tap.py", of_singer, PythonClient("tap-mixpanel"), unclaimed={**AS_SENT, "kill": KEYLESS}),
    Peer(
        "airbyte-source-mixpanel", "airbyte.py", of_airbyte, PythonClient("airbyte-source-mixpanel"),
        unclaimed={**AS_SENT, "late events, kill": KEYLESS},
    ),
)  # fmt: skip


def told_by(where: Path, number: int) -> list[str]:
    """Return what a run said on stderr, or as a message of Airbyte's, above the level INFO."""
    lines = (where / f"stderr-{number}").read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line for line in lines if line.strip() and not re.search(r"\b(INFO|DEBUG)\b", line)]
    with (where / f"stdout-{number}").open("rb") as out:
        logs = [json.loads(line)["log"] for line in out if line.startswith(b'{"type":"LOG"') and line.endswith(b"}\n")]
    return said + [f"{log['level']} {log['message']}" for log in logs if log["level"] in {"WARN", "ERROR", "FATAL"}]
