"""The chart of the README: seconds as bars, drawn from the saved results."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from benchmarks.claims import fastest, speed
from benchmarks.parts import CURL, IN_ORDER, LOCAL, OURS, PLAIN, SLOW, WORKERS, with_workers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.measure import Runs

WIDTH, LEFT, RIGHT = 760, 250, 690
"""The width of the picture; where bars begin; where the longest bar of a group ends. In pixels."""
LINE = 24
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.group { font-weight: 600 }
.note { font-size: 12px; fill: #59636e }
.bar { fill: #b6bec8 }
.ours { fill: #7856ff }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.note { fill: #9198a1 }
.bar { fill: #4a525c }
.ours { fill: #9d84ff }
}
"""


@dataclass(frozen=True, slots=True)
class Group:
    """Bars that share a scale."""

    title: str
    bars: Mapping[str, float]
    """Seconds."""


def chart(results: Mapping[str, Any]) -> str:
    """Draw the parts `core` and `latency`, if there are results of them, with notes below."""
    groups = list(_groups(results))
    notes = list(dict.fromkeys(_notes(results)))
    height = sum(LINE * (len(group.bars) + 1.5) for group in groups) + LINE * (len(notes) + 0.5)
    shapes = "\n".join(_drawn(groups, notes))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {WIDTH} {height:.0f}">\n<title>Seconds to bring events into DuckDB</title>\n'
        f"<style>{STYLE}</style>\n{shapes}\n</svg>\n"
    )


def _groups(results: Mapping[str, Any]) -> Iterator[Group]:
    if "core" in results:
        names = [OURS, LOCAL, LOCAL + IN_ORDER, CURL]
        yield _group("No latency", results["core"]["runs"], names)
    if "latency" in results:
        title = f"{SLOW['latency']:g} s to the first byte, {SLOW['bytes_per_second'] / 1e6:g} MB/s a connection"
        names = [with_workers(name, count) for name in (OURS, CURL) for count in WORKERS]
        yield _group(title, results["latency"]["runs"], names)


def _group(title: str, runs: Runs, names: Sequence[str]) -> Group:
    bars = {name: fastest(runs[name]) for name in names if runs.get(name)}
    events = max(run["events"] for run in bars.values())
    title = f"{title}: seconds for {events:,.0f} events, best of {len(runs[names[0]])}"
    return Group(title, {name: run["seconds"] for name, run in bars.items()})


def _notes(results: Mapping[str, Any]) -> Iterator[str]:
    for machine in (results[part]["machine"] for part in ("core", "latency") if part in results):
        duckdb = machine["packages"]["duckdb"]
        yield f"{machine['cores']} cores of {machine['processor']}, DuckDB {duckdb}, {machine['date']}."
    if "peers" in results and (plain := results["peers"]["runs"].get(PLAIN)):
        yield f"{PLAIN}: {speed(fastest(plain)):,.0f} events a second, without latency."


def _drawn(groups: Sequence[Group], notes: Sequence[str]) -> Iterator[str]:
    y = 0.0
    for group in groups:
        y += LINE
        yield f'<text class="group" x="0" y="{y - 8:.0f}">{escape(group.title)}</text>'
        for name, seconds in group.bars.items():
            yield from _bar(y, name, seconds, (RIGHT - LEFT) * seconds / max(group.bars.values()))
            y += LINE
        y += LINE / 2
    for note in notes:
        y += LINE
        yield f'<text class="note" x="0" y="{y - 8:.0f}">{escape(note)}</text>'


def _bar(y: float, name: str, seconds: float, width: float) -> Iterator[str]:
    look = "bar ours" if name.startswith(OURS) else "bar"
    yield f'<text x="{LEFT - 10}" y="{y + 15:.0f}" text-anchor="end">{escape(name)}</text>'
    yield f'<rect class="{look}" x="{LEFT}" y="{y + 2:.0f}" width="{width:.1f}" height="{LINE - 6}" rx="2"/>'
    yield f'<text x="{LEFT + width + 8:.1f}" y="{y + 15:.0f}">{seconds:.1f}</text>'
