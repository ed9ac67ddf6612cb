"""Draw the way of an event: `python docs/pictures/way_of_an_event.py` writes `way-of-an-event.svg` beside it."""

from __future__ import annotations

from html import escape
from pathlib import Path

PICTURE = Path(__file__).with_name("way-of-an-event.svg")
STEPS = [
    ("Plan", "event loop", "Dates become chunks. Dates that the journal has are left out."),
    ("Wait", "event loop", "For the limits of a second and an hour. First come, first served."),
    ("Download", "event loop", "GET /api/2.0/export. The gzip body goes to memory or a file."),
    ("Check and cut", "thread", "Gunzip, check length, CRC and the last line. Cut lines."),
    ("Parse", "thread, in DuckDB", "Read the event, time and ids out of the JSON of each line."),
    ("Drop duplicates", "thread, in DuckDB", "By event, distinct id, time and insert id: the last processed stays."),
    ("Commit", "thread, in DuckDB", "Rows, bad lines and the journal row, in one transaction."),
]
"""Name, where it runs, what it does."""
BETWEEN = {3: "complete body, at most 48 MB in memory", 4: "Arrow batches of 2 MB, in a bounded queue"}
"""What goes from the step before to this one."""
RETRY = (1, 3, "incomplete: again")
"""The first step that is repeated, the last one, and why."""
WIDTH, TOP, BOX, GAP = 640, 44, 52, 26
LEFT, RIGHT = 70, 632
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.name { font-weight: 600; font-size: 15px }
.note { font-size: 12px; fill: #59636e }
.end { font-weight: 600 }
.box { fill: #f4f1ff; stroke: #7856ff }
.line { stroke: #7856ff; stroke-width: 1.5; fill: none }
.head { fill: #7856ff }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.note { fill: #9198a1 }
.box { fill: #241d45; stroke: #9d84ff }
.line { stroke: #9d84ff }
.head { fill: #9d84ff }
}
"""


def picture() -> str:
    """Return the SVG."""
    height = TOP + len(STEPS) * (BOX + GAP) + 26
    shapes = [_text(LEFT + 16, 20, "fetch_events(from_date, to_date, parallel=True)", "end"), _arrow(24, TOP)]
    for number, step in enumerate(STEPS):
        shapes += _step(number, *step)
    first, last, why = RETRY
    shapes += [*_loop(_top(first) + BOX / 2, _top(last) + BOX / 2, why)]
    shapes.append(_text(LEFT + 16, height - 8, "The table events, in a DuckDB file", "end"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}">\n<title>The way of an event, from Mixpanel to the table</title>\n'
        f"<style>{STYLE}</style>\n" + "\n".join(shapes) + "\n</svg>\n"
    )


def _top(number: int) -> int:
    return TOP + number * (BOX + GAP)


def _step(number: int, name: str, where: str, what: str) -> list[str]:
    y = _top(number)
    shapes = [
        f'<rect class="box" x="{LEFT}" y="{y}" width="{RIGHT - LEFT}" height="{BOX}" rx="6"/>',
        _text(LEFT + 16, y + 21, f"{number + 1}. {name}", "name"),
        f'<text class="note" x="{RIGHT - 16}" y="{y + 21}" text-anchor="end">{escape(where)}</text>',
        _text(LEFT + 16, y + 41, what),
        _arrow(y + BOX, y + BOX + GAP),
    ]
    if number in BETWEEN:
        shapes.append(_text(LEFT + 46, y - 8, BETWEEN[number], "note"))
    return shapes


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x}" y="{y}">{escape(text)}</text>'


def _arrow(start: float, end: float) -> str:
    x = LEFT + 30
    head = f"{x - 5},{end - 8} {x + 5},{end - 8} {x},{end - 1}"
    return f'<path class="line" d="M{x} {start + 2}V{end - 6}"/><polygon class="head" points="{head}"/>'


def _loop(first: float, last: float, why: str) -> list[str]:
    """An arrow at the left from the last step back to the first."""
    x, middle = LEFT - 26, (first + last) / 2
    turned = f"translate({x - 8} {middle}) rotate(-90)"
    return [
        f'<path class="line" d="M{LEFT} {last}H{x}V{first}H{LEFT - 6}"/>',
        f'<polygon class="head" points="{LEFT - 8},{first - 5} {LEFT - 8},{first + 5} {LEFT - 1},{first}"/>',
        f'<text class="note" transform="{turned}" text-anchor="middle">{escape(why)}</text>',
    ]


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
