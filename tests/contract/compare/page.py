"""`docs/compare.json`, and the tables of `docs/compare.md` that are made from it."""

from __future__ import annotations

import fcntl
import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.contract.compare.cases import cases
from tests.contract.compare.peers import PEERS

DOCS = Path(__file__).parents[3] / "docs"
LOCK = Path(tempfile.gettempdir(), "mixpanel-async-compare.lock")
Results = dict[str, Any]
USUAL = range(4_500, 5_500)
"""How many events a case has, unless the cell says so."""
NAMES = [peer.name for peer in PEERS]


def read() -> Results:
    """Return the results so far."""
    path = DOCS / "compare.json"
    nothing: Results = {"machine": {}, "versions": {}, "absent": {}, "results": {}}
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else nothing


@contextmanager
def changed() -> Iterator[Results]:
    """Yield the results so far to be changed; then write them, and the page's tables. Two processes take turns."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield (results := read())
        (DOCS / "compare.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        path = DOCS / "compare.md"
        path.write_text(filled(path.read_text(encoding="utf-8"), results), encoding="utf-8")


def filled(text: str, results: Results) -> str:
    """Return the page with its tables made anew."""
    for name, lines in tables(results).items():
        block = re.compile(rf"(<!-- {name} -->\n).*?(?=<!-- end -->)", re.DOTALL)
        text = block.sub(lambda found, lines=lines: "\n".join([found[1], *lines, "\n"]), text)
    return text


def tables(results: Results) -> dict[str, list[str]]:
    """Return the lines of each table, by the name of its mark."""
    names = [name for name in NAMES if name in results["results"] and name in results["versions"]]
    runs = results["results"]
    heads = [f"{name.replace(', ', '<br>')}<br>{results['versions'][name]}" for name in names]

    def lines(cell: Callable[..., str]) -> Iterator[list[str]]:
        for case in cases():
            done = {name: runs[name].get(case.name) for name in names}
            yield [
                case.name,
                *(cell(result, name, case.name) if result else "not run" for name, result in done.items()),
            ]

    claims = ([peer.name, case, why] for peer in PEERS for case, why in peer.unclaimed.items())
    return {
        "machine": [machine_of(results)],
        "rows": table(["case", *heads], lines(rows_of)),
        "cases": table(["case", "what the fake does"], ([case.name, case.does] for case in cases())),
        "costs": table(["case", *heads], lines(cost_of)),
        "claims": table(["program", "case †", "why"], claims),
    }


def machine_of(results: Results) -> str:
    """Say when and where the results were measured, and what is absent."""
    of = defaultdict(str, results["machine"])
    absent = [f"{name} is left out: {reason}." for name, reason in results["absent"].items()]
    return " ".join(
        [
            f"Measured on {of['date']}: {of['cores']} cores ({of['processor']}), {of['system']}, Python {of['python']}.",
            *absent,
        ]
    )


def table(heads: list[str], rows: Iterable[list[str]]) -> list[str]:
    """Return the lines of a table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def rows_of(result: Mapping[str, Any], peer: str, case: str) -> str:
    """Say what became of the rows, and what the peer told if they are not right."""
    counts = [(result["missing"], "missing"), (result["doubled"], "doubled"), (result["foreign"], "not the fake's")]
    wrong = ", ".join(f"{count:,} {what}" for count, what in counts if count)
    unclaimed = any(case in cases.split(", ") for each in PEERS if each.name == peer for cases in each.unclaimed)
    cell = f"{wrong}: {told_of(result)}" if wrong else "right"
    if not wrong and (case == "bad line" or result["code"]):
        cell = f"right; the line: {told_of(result)}" if case == "bad line" else f"right; {told_of(result)}"
    size = "" if result["events"] in USUAL else f"{result['events']:,} events: "
    return size + cell + (" †" if unclaimed else "")


def told_of(result: Mapping[str, Any]) -> str:
    """Say how a user learns of it."""
    match result["ending"]:
        case "memory":
            return "killed at 1 GB"
        case "timeout":
            return f"killed after {result['seconds']:.0f} s"
    ways = [
        f"exit {result['code']}" if result["code"] else "",
        "a message" if result["told"] and not result["code"] else "",
        "in its output" if result["unreadable"] and not result["code"] else "",
    ]
    return " and ".join(filter(None, ways)) or "**silent**"


def cost_of(result: Mapping[str, Any], *_: str) -> str:
    """Say the seconds, those of them that the processor worked for it, and the memory."""
    return f"{result['seconds']:.1f} s ({result['cpu_seconds']:.1f} s), {result['peak_mb']:.0f} MB"
