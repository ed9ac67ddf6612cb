"""The cases: what the fake holds and does. All have the same five days."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mixpanel_async.testing import EventSource, FakeMixpanel, Fault, GeneratedEvents, GeneratedProfiles
from mixpanel_async.testing.data.time_units import UnchangedLines
from tests.contract.compare.rows import Key, key_of

TODAY = dt.datetime.now(dt.UTC).date()
DAYS = [TODAY - dt.timedelta(days=back) for back in (5, 4, 3, 2, 1)]
"""Up to yesterday: who looks back in a second run, looks back from the machine's own date."""
FROM, MIDDLE, TO = str(DAYS[0]), str(DAYS[2]), str(DAYS[-1])
LATER = dt.timedelta(days=6)
"""From the first run to the second, on the fake's clock: by then all late events have arrived."""
PROFILES = GeneratedProfiles(count=10)
"""airbyte-source-mixpanel does not start without the property of a profile."""
CUT_LINE = b'{"event":"cut","properties":{"time":\n'
IDS = {"distinct_id": "someone", "$insert_id": "broken-in-two"}
BROKEN = {"event": "Note", "properties": {"time": int(dt.datetime(*DAYS[2].timetuple()[:3], 9, tzinfo=dt.UTC).timestamp()), **IDS, "text": "one two"}}  # fmt: skip
BROKEN_LINE = json.dumps(BROKEN).replace("one two", "one\ntwo").encode() + b"\n"

Second = Literal["later", "killed"]
"""Why there is a second run: events arrived meanwhile, or the first run was killed."""


@dataclass(frozen=True, slots=True)
class WithLine:
    """Events, and a line in the middle of the middle day."""

    source: GeneratedEvents
    line: bytes

    def pieces(self, day: dt.date, **how: Any) -> Iterator[bytes]:
        """Yield a day's lines; see EventSource."""
        for number, piece in enumerate(self.source.pieces(day, **how)):
            if day == DAYS[2] and number == 1:
                yield UnchangedLines(self.line)
            yield piece


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that the fake does."""

    name: str
    does: str
    """What it does, for the page."""
    fault: Fault | None = None
    times: int = 1
    """How many requests that include the middle day have the fault."""
    events: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of GeneratedEvents that differ."""
    line: bytes = b""
    """A line in the middle of the middle day."""
    second: Second | None = None
    limit_mb: int | None = None
    """The memory at which a peer is killed."""
    timeout: float = 1200.0
    """Seconds after which a peer is killed."""

    @property
    def generated(self) -> GeneratedEvents:
        """The events; no row is repeated and none is late, unless the case says so."""
        return GeneratedEvents(
            **{"per_day": 1000, "duplicates": 0.0, "since": DAYS[0], "until": DAYS[-1], **self.events}
        )

    def fake(self) -> FakeMixpanel:
        """Make the fake. It has no rate limits, and its clock stands at noon of today."""
        source: EventSource = WithLine(self.generated, self.line) if self.line else self.generated
        made = FakeMixpanel(source, profiles=PROFILES, today=TODAY, limits=None)
        if self.fault is not None:
            made.faults.add(self.fault, date=MIDDLE, times=self.times)
        return made

    def before_the_second_run(self, fake: FakeMixpanel) -> None:
        """Remove the fault, or let the late events arrive."""
        fake.faults.clear()
        if self.second == "later":
            fake.clock.advance(LATER)

    def expected(self) -> Counter[Key]:
        """Count the rows that there should be in the end; of repeated rows one."""
        now = dt.datetime.combine(TODAY, dt.time(12), dt.UTC) + LATER
        lines = (line for day in DAYS for piece in self.generated.pieces(day, now=now) for line in piece.splitlines())
        rows = Counter(key_of(json.loads(line), per_second=1000) for line in lines)
        if self.line == BROKEN_LINE:
            rows[key_of(BROKEN)] += 1
        return Counter(set(rows)) if "duplicates" in self.events else rows


def cases(most: int = 1_000_000) -> tuple[Case, ...]:
    """Return all cases. The last one has `most` events."""
    cut = Fault.cut(after_fraction=0.5, framing="chunked-clean")
    many = {"per_day": most // len(DAYS)}
    return (
        Case("clean", "no fault"),
        Case("cut", "once, half of a body (of the gzip stream, if it is one), then a clean end of the response", cut),
        Case("short", "once, 500 lines of a body, then a clean end, of gzip and response", Fault.missing_rows(500)),
        Case("terminated early", "once, 500 lines of a body, then `terminated early`", Fault.terminated_early(500)),
        Case("reset", "once, a TCP reset after 120 kB of a body", Fault.reset(after_bytes=120_000)),
        Case("429", "once, 429 without `Retry-After`", Fault.rate_limited()),
        Case("429 with Retry-After", "once, 429 with `Retry-After: 2`", Fault.rate_limited(2)),
        Case("503", "503, three times", Fault.status(503), times=3),
        Case("repeated rows", "5 % of the rows repeat another", events={"duplicates": 0.05, "missing_insert_id": 0.0}),
        Case("late events", "10 % of the rows arrive days late; a second run after that", events={"late": 0.1}, second="later"),
        Case("bad line", "between two events, in each response, the first half of a line", line=CUT_LINE),
        Case("line break", "in each response, an event with a raw line break in a text", line=BROKEN_LINE),
        Case("kill", "a body stalls after 120 kB; SIGKILL; a second run", Fault.stall(after_bytes=120_000), second="killed"),
        Case("memory", "many events; SIGKILL at 1 GB", events=many, limit_mb=1000, timeout=3600.0),
    )  # fmt: skip
