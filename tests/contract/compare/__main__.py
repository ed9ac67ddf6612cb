"""See the package: `python -m tests.contract.compare DIRECTORY [--peer NAME] [--case NAME] [--events 1000000]`.

The peers are installed into environments of their own below DIRECTORY. A full run writes `docs/compare.json`, and the
tables of `docs/compare.md` from it; with `--peer` or `--case`, only these results are replaced.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.report import machine
from mixpanel_async.testing import FakeMixpanel, running
from tests.contract.__main__ import task
from tests.contract.clients import NotHereError
from tests.contract.compare import page
from tests.contract.compare.cases import FROM, TO, Case, cases
from tests.contract.compare.peers import PEERS, Peer, told_by
from tests.contract.compare.process import Ran, run
from tests.contract.compare.rows import Key, difference

KILL_AFTER = 30.0
"""Seconds from the first bytes of the body that stalls: meanwhile the peer works on what has arrived."""
Result = dict[str, object]


def ran(case: Case, peer: Peer, home: Path, where: Path, fake: FakeMixpanel, number: int) -> Ran:
    """Run a peer once."""
    (where / "task.json").write_text(json.dumps(task(fake) | {"from_date": FROM, "to_date": TO, "run": number}))
    kills = case.second == "killed" and number == 1
    return run(
        peer.command(home), where, peer.environment(home, where, fake.url), number=number,
        timeout=case.timeout, limit_mb=case.limit_mb, is_due=stalled(fake) if kills else lambda: False,
    )  # fmt: skip


def stalled(fake: FakeMixpanel) -> Callable[[], bool]:
    """Return what tells whether a body has stalled for a while."""
    since: list[float] = []

    def is_due() -> bool:
        if not since and any(record.fault == "stall" and record.bytes_sent for record in fake.requests):
            since.append(time.monotonic())
        return bool(since) and time.monotonic() - since[0] > KILL_AFTER

    return is_due


def tried(case: Case, peer: Peer, home: Path, expected: Counter[Key]) -> Result:
    """Run a peer in a case, once or twice; gives what came of it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory, running(case.fake()) as fake:
        where = Path(directory)
        last = ran(case, peer, home, where, fake, number := 1)
        if case.second:
            case.before_the_second_run(fake)
            last = ran(case, peer, home, where, fake, number := 2)
        said = told_by(where, number)
        unreadable: list[str] = []
        rows = difference(expected, readable(peer.read(where), unreadable))
    return {**asdict(rows), **asdict(last), "said": said, "unreadable": unreadable[:3], "events": expected.total()}


def readable(rows: Iterable[Key | None], unreadable: list[str]) -> Iterator[Key]:
    """Yield the rows up to where the output cannot be read; what is no event is noted."""
    try:
        for row in rows:
            if row is None:
                unreadable.append("a line that is no event")
            else:
                yield row
    except Exception as error:  # noqa: BLE001 - whatever is in the way of who reads the output
        unreadable.append(f"{type(error).__name__}: {error}"[:200])


def news(said: Iterable[str], in_clean: Iterable[str]) -> str | None:
    """Return the first and the last thing that a peer said and does not say in a clean export."""
    usual = set(in_clean)
    new = [line.strip()[:300] for line in said if without_numbers(line) not in usual]
    return " … ".join(dict.fromkeys((new[0], new[-1]))) if new else None


def without_numbers(line: str) -> str:
    """Return what two lines of the same meaning have in common."""
    return re.sub(r"[\d.:]+", "0", line)


def installed(peer: Peer, home: Path) -> bool:
    """Install a peer, and note its version, or why it is absent."""
    try:
        noted, text = "versions", peer.install(home)
    except NotHereError as reason:
        noted, text = "absent", str(reason)
    with page.changed() as results:
        results[noted][peer.name] = text
        results["machine"] = {name: value for name, value in machine().items() if name != "packages"}
    return noted == "versions"


def keep(case: Case, peer: Peer, result: Result) -> None:
    """Write a result, with what the peer said that it does not say in a clean export."""
    said, is_clean = result.pop("said"), case.name == "clean"
    with page.changed() as results:
        of_peer = results["results"].setdefault(peer.name, {})
        usual = [] if is_clean else of_peer.get("clean", {}).get("usual", [])
        of_peer[case.name] = {**result, "told": news(said, usual)} | (
            {"usual": sorted(set(map(without_numbers, said)))} if is_clean else {}
        )


def main() -> int:
    """Run the cases, and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--peer", action="append")
    parser.add_argument("--case", action="append")
    parser.add_argument("--events", type=int, default=1_000_000)
    given = parser.parse_args()
    home = given.directory.absolute()
    home.mkdir(parents=True, exist_ok=True)
    peers = [peer for peer in PEERS if not given.peer or peer.name in given.peer]
    there = [peer for peer in peers if installed(peer, home)]
    for case in cases(given.events):
        if not given.case or case.name in given.case:
            expected = case.expected()
            for peer in there:
                result = tried(case, peer, home, expected)
                print(case.name, peer.name, result, flush=True)
                keep(case, peer, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
