"""Other people's clients against the fake: `python -m tests.contract DIRECTORY [CLIENT ...]`, or `nox -s contract`.

Each is installed from its package index into an environment of its own below DIRECTORY, and run unmodified but for the
host, as a script in `scripts` says. It reads a JSON description of the fake and writes JSON lines of what it got, which
has to be what the fake holds, row for row, in any order. Ends with 1 if some client got anything else. A client that
cannot be installed is skipped.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from mixpanel_async.testing import (
    Annotation,
    Catalog,
    Cohort,
    FakeMixpanel,
    GeneratedEvents,
    GeneratedProfiles,
    running,
)
from tests.contract.clients import CLIENTS, Client, NotHereError, Row

FROM, TO, TODAY = "2026-02-01", "2026-02-05", "2026-02-10"
PROFILES = GeneratedProfiles(count=2345)
MEMBERS = tuple(PROFILES.distinct_ids())[:600]
CATALOG = Catalog(
    cohorts=(Cohort(1, "some", MEMBERS),), annotations=(Annotation(1, "2026-02-02 12:00:00", "a release"),)
)


def fake_mixpanel() -> FakeMixpanel:
    """Make a fake with everything that the clients can ask for."""
    events = GeneratedEvents(per_day=400, duplicates=0.05, shared_insert_id=0.02, missing_insert_id=0.02)
    return FakeMixpanel(events, profiles=PROFILES, catalog=CATALOG, today=TODAY, limits=None)


def task(fake: FakeMixpanel) -> dict[str, object]:
    """Describe the fake to a script."""
    account = fake.project.service_account
    return {
        "url": fake.url,
        "username": account.username,
        "secret": account.secret,
        "api_secret": fake.project.api_secret,
        "project_id": fake.project.id,
        "from_date": FROM,
        "to_date": TO,
    }


def truth(fake: FakeMixpanel, kind: str) -> Iterable[Row]:
    """Give all that a client should get of a kind."""
    match kind:
        case "event":
            return fake.truth(FROM, TO)
        case "profile":
            return fake.truth_profiles()
        case "cohorts":
            return [{"id": 1, "name": "some", "count": len(MEMBERS)}]
        case "cohort_members":
            return [{"cohort_id": 1, "distinct_id": member} for member in MEMBERS]
        case "annotations":
            return [{"date": "2026-02-02 12:00:00", "description": "a release"}]
    raise ValueError(kind)


def alike(rows: Iterable[Row]) -> Counter[str]:
    """Count the rows that are the same."""
    return Counter(json.dumps(row, sort_keys=True) for row in rows)


def difference(kind: str, expected: list[Row], got: list[Row]) -> str:
    """Say what is wrong with the rows of a kind; nothing if they are the truth."""
    missing, extra = alike(expected) - alike(got), alike(got) - alike(expected)
    examples = [f"{what} {next(iter(rows))[:600]}" for what, rows in (("misses", missing), ("has", extra)) if rows]
    return "; ".join([f"{kind}: {missing.total()} missing, {extra.total()} too many", *examples]) if examples else ""


def compared(client: Client, fake: FakeMixpanel, got: dict[str, list[Row]]) -> Iterator[str]:
    """Yield what is wrong, kind by kind."""
    for kind in ("event", "profile", *got.keys() - {"event", "profile"}):
        tell = client.told.get(kind, dict)
        expected = list(map(tell, truth(fake, kind)))
        names = expected[0].keys()
        rows = got.get(kind, [])
        if kind not in {"event", "profile"}:
            rows = [{name: row.get(name) for name in names} for row in rows]
        yield difference(kind, expected, list(map(tell, rows)))


def tried(client: Client, home: Path) -> tuple[str, bool]:
    """Let one client export everything; gives what came of it, and whether it is the truth."""
    try:
        version = client.install(home)
    except NotHereError as reason:
        return f"{client.name}: skipped, {reason}", True
    with running(fake_mixpanel()) as fake, tempfile.TemporaryDirectory() as directory:
        described, out = Path(directory, "task.json"), Path(directory, "rows.jsonl")
        described.write_text(json.dumps(task(fake)))
        try:
            client.export(home, described, out, fake.url)
        except subprocess.CalledProcessError as failed:
            return f"{client.name} {version}: failed\n{failed.stderr}", False
        got: dict[str, list[Row]] = defaultdict(list)
        for kind, row in map(json.loads, out.read_text().split("\n")[:-1]):
            got[kind].append(row)
        wrong = [*filter(None, compared(client, fake, got))]
        counts = ", ".join(f"{kind} {len(rows)}" for kind, rows in got.items())
        asked = Counter(f"{record.method} {record.path}" for record in fake.requests)
    lines = [f"{client.name} {version}: {counts}", *wrong, f"  by {dict(asked)}"]
    return "\n".join(lines), not wrong


def main(directory: str, *names: str) -> int:
    """Try the clients named, or all."""
    home = Path(directory).absolute()
    home.mkdir(parents=True, exist_ok=True)
    right = True
    for client in CLIENTS:
        if not names or client.name in names:
            said, is_right = tried(client, home / client.name)
            right &= is_right
            print(said, flush=True)
    return not right


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
