"""docs/sql.md: each statement, in DuckDB 2 and in the command line of 1.5, answers what is counted here in Python."""

from __future__ import annotations

import ast
import asyncio
import datetime as dt
import json
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from statistics import fmean, median
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import duckdb
import pytest

from mixpanel_async import MixpanelClient, RateLimits, ServiceAccount
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents, GeneratedProfiles, GivenEvents, Project

PAGE = Path(__file__).parents[1] / "docs" / "sql.md"
FIRST, LAST = dt.date(2026, 1, 1), dt.date(2026, 2, 10)
NOT_FETCHED = dt.date(2026, 1, 20)
OLD_DATES = [("2025-11-01", "2025-11-03"), ("2026-03-07", "2026-03-09")]  # the clock goes back, and forward
BAD = {
    dt.date(2026, 1, 5): [(b"nothing", "not JSON", "nothing"), (b'{"event": "x"}', "no properties", '{"event": "x"}')],
    dt.date(2026, 2, 1): [(b"\xff", "not JSON", r"\xFF")],
}
"""Lines that are not events, how the reason begins, and how the line is shown."""
DAY = dt.timedelta(days=1)
USERS = 100
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
RECIPES = dict(re.findall(r"^### (.*?)$(?:(?!^### ).)*?^```sql\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))

pytestmark = pytest.mark.skipif(not TEXT, reason="the wheel's tests run without the documents")


def generated(events_of_day, users=USERS):
    return GeneratedEvents(
        per_day=events_of_day, seed=3, users=users, duplicates=0.05, missing_distinct_id=0.02, missing_insert_id=0.02
    )


def lines_of_days():
    """Each day's lines, with some that are not events."""
    source, now = generated(80), dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
    lines = {}
    for number in range((LAST - FIRST).days + 1):
        day = FIRST + number * DAY
        whole = b"".join(source.pieces(day, now=now)).splitlines()
        lines[f"{day}"] = [*(line for line, _, _ in BAD.get(day, ())), *whole]
    return lines


# The file, and what it should hold


async def fill(server, path):
    account = server.project.service_account
    old = server.projects[1]
    settings = {"database": path, "limits": RateLimits(per_second=10_000, per_hour=1_000_000, shared=False)}
    credentials = ServiceAccount(account.username, account.secret, server.project.id)
    async with MixpanelClient(credentials, base_url=server.url, **settings) as client:
        chunks = {"parallel": True, "chunk_days": 1}
        await client.fetch_events(from_date=FIRST, to_date=NOT_FETCHED - DAY, **chunks)
        await client.fetch_events(from_date=NOT_FETCHED + DAY, to_date=LAST, append=True, **chunks)
        await client.fetch_profiles()
    credentials = ServiceAccount(account.username, account.secret, old.id)
    async with MixpanelClient(credentials, base_url=server.url, **settings) as client:
        for number, (first, last) in enumerate(OLD_DATES):
            await client.fetch_events("old_events", from_date=first, to_date=last, append=number > 0)


async def run_python(directory):
    """Run the page's first block of Python, which makes the macros."""
    block, *_ = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    code = compile(
        block.replace('"mixpanel.duckdb"', repr(str(directory / "mixpanel.duckdb"))),
        "sql.md",
        "exec",
        flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
    )
    await eval(code, {})


def parsed(lines):
    """The events of lines, of each repeated key the one that was processed last; and what is left out."""
    kept, duplicates, rejected = {}, 0, 0
    for number, line in enumerate(lines):
        try:
            event = json.loads(line)
            properties = event["properties"]
        except (ValueError, KeyError):
            rejected += 1
            continue
        insert_id = properties.get("$insert_id")
        key = (event["event"], properties.get("distinct_id"), properties["time"], insert_id) if insert_id else number
        duplicates += key in kept
        if key not in kept or properties["mp_processing_time_ms"] > kept[key].properties["mp_processing_time_ms"]:
            time = dt.datetime.fromtimestamp(properties["time"] / 1000, dt.UTC).replace(tzinfo=None)
            user = properties.get("distinct_id")
            kept[key] = SimpleNamespace(name=event["event"], time=time, user=user, properties=properties)
    return sorted(kept.values(), key=lambda event: event.time), duplicates, rejected


def truth_of(server):
    truth = SimpleNamespace(events=[], chunks=[], old=[], profiles={})
    for number in range((LAST - FIRST).days + 1):
        day = FIRST + number * DAY
        if day != NOT_FETCHED:
            events, duplicates, rejected = parsed(server.truth_lines(day, day, time_in_ms=True))
            truth.events += events
            truth.chunks.append((day, day, len(events), duplicates, rejected))
    for first, last in OLD_DATES:
        truth.old += parsed(server.truth_lines(first, last, project=server.projects[1], time_in_ms=True))[0]
    truth.profiles = {each["$distinct_id"]: each["$properties"] for each in server.truth_profiles()}
    truth.of_users = [event for event in truth.events if event.user]
    truth.by_user = defaultdict(list)
    for event in truth.of_users:
        truth.by_user[event.user].append(event)
    return truth


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A directory with the page's file, and what the file should hold."""
    directory = tmp_path_factory.mktemp("sql")

    async def make():
        project = Project()
        old = Project(
            id=777,
            service_accounts=project.service_accounts,
            timezone="US/Pacific",
            created=dt.date(2021, 5, 1),
            events=generated(100),
        )
        events, profiles = GivenEvents(lines=lines_of_days()), GeneratedProfiles(count=USERS, seed=3, users=USERS)
        async with FakeMixpanel(
            events, profiles=profiles, projects=[project, old], today="2026-06-01", limits=None
        ) as server:
            await fill(server, directory / "mixpanel.duckdb")
            await run_python(directory)
            return truth_of(server)

    return directory, asyncio.run(make())


# The answers

ANSWERS = {}


def answers(heading):
    """Register what answers a recipe."""

    def register(function):
        ANSWERS[heading] = function
        return function

    return register


def text(value):
    """A JSON value as `->>` returns it."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def nulls_last(row):
    return [(value is None, value) for value in row]


def most_first(counts):
    return sorted(counts.items(), key=lambda row: (-row[1], row[0] is None, row[0]))


def in_order(counts):
    return sorted(counts.items(), key=nulls_last)


def users_by(events, key):
    found = defaultdict(set)
    for event in events:
        found[key(event)].add(event.user)
    return {each: len(users) for each, users in found.items()}


def day_of(event):
    return event.time.date()


def monday(day):
    return day - day.weekday() * DAY


@answers("Events by browser")
def _(truth):
    return most_first(Counter(event.properties["$browser"] for event in truth.events))


@answers("Users of one system")
def _(truth):
    on_windows = [event for event in truth.of_users if event.properties["$os"] == "Windows"]
    return most_first(users_by(on_windows, lambda event: event.name))


@answers("Sum of a number")
def _(truth):
    totals = Counter()
    for event in truth.events:
        if event.name == "Checkout Completed":
            totals[day_of(event)] += Decimal(str(event.properties["Order Total"]))
    return in_order(totals)


@answers("A value that is not always a number")
def _(truth):
    return in_order(Counter(int(str(event.properties["$browser_version"]).split(".")[0]) for event in truth.events))


@answers("Elements of a list")
def _(truth):
    return most_first(Counter(tag for event in truth.events for tag in event.properties.get("tags", ())))


@answers("Daily actives")
def _(truth):
    return in_order(users_by(truth.of_users, day_of))


@answers("Weekly actives")
def _(truth):
    return in_order(users_by(truth.of_users, lambda event: monday(day_of(event))))


@answers("Monthly actives")
def _(truth):
    return in_order(users_by(truth.of_users, lambda event: day_of(event).replace(day=1)))


@answers("Actives of the last 7 days")
def _(truth):
    return [
        (day, len({event.user for event in truth.of_users if day - 6 * DAY <= day_of(event) <= day}))
        for day in sorted({day_of(event) for event in truth.of_users})
    ]


@answers("First event of each user")
def _(truth):
    return sorted((user, events[0].time, events[0].name) for user, events in truth.by_user.items())


@answers("New users a day")
def _(truth):
    return in_order(Counter(day_of(events[0]) for events in truth.by_user.values()))


@answers("Events by a property of the profile")
def _(truth):
    plans = {user: text(properties["plan"]) for user, properties in truth.profiles.items()}
    return most_first(Counter(plans.get(event.user) or "(none)" for event in truth.of_users))


@answers("Profiles without an event")
def _(truth):
    return sorted((user,) for user in truth.profiles if user not in truth.by_user)


@answers("Last touch before a conversion")
def _(truth):
    found = Counter()
    for events in truth.by_user.values():
        source = "(none)"
        for event in events:  # those with a source come before a purchase of the same time: it may be its own
            source = text(event.properties.get("utm_source")) or source
            found[source] += event.name == "Checkout Completed"
    return in_order(+found)


def sessions(truth):
    for user, events in sorted(truth.by_user.items()):
        parts = []
        for event in events:
            if not parts or event.time - parts[-1][-1].time > dt.timedelta(minutes=30):
                parts.append([])
            parts[-1].append(event)
        for number, part in enumerate(parts, 1):
            yield user, number, part


@answers("Sessions of each user")
def _(truth):
    return [
        (user, number, part[0].time, part[-1].time, len(part), part[-1].time - part[0].time)
        for user, number, part in sessions(truth)
    ]


@answers("Sessions a day")
def _(truth):
    days = defaultdict(list)
    for _, _, part in sessions(truth):
        days[day_of(part[0])].append(part)
    return [
        (
            day,
            len(parts),
            pytest.approx(fmean(map(len, parts))),
            pytest.approx(median((part[-1].time - part[0].time).total_seconds() for part in parts)),
        )
        for day, parts in sorted(days.items())
    ]


@answers("First event of a session")
def _(truth):
    return most_first(
        Counter(event.name for _, _, part in sessions(truth) for event in part if event.time == part[0].time)
    )


def funnel(events_of_users, steps, within):
    """A funnel without repeated steps: from each first event, each next step as early as it can be."""
    attempts = []
    for events in events_of_users:
        best = []
        for start in (event.time for event in events if event.name == steps[0]):
            attempt = [start]
            for step in steps[1:]:
                after = (event.time for event in events if event.name == step and event.time >= attempt[-1])
                if (time := next(after, None)) is None or time > start + within:
                    break
                attempt.append(time)
            best = max(best, attempt, key=len)
        attempts.append(best)
    users = [sum(len(attempt) > step for attempt in attempts) for step in range(len(steps))]
    for step, name in enumerate(steps):
        waited = median(attempt[step] - attempt[0] for attempt in attempts if len(attempt) > step)
        assert users[step] > 1
        yield (step + 1, name, users[step], users[step] / users[0], users[step] / users[max(step - 1, 0)], waited)


@answers("A funnel")
def _(truth):
    return list(funnel(truth.by_user.values(), ["Product Viewed", "Add to Cart", "Checkout Completed"], 7 * DAY))


@answers("A funnel of some events")
def _(truth):
    def is_chosen(event):
        return event.properties["$os"] == "Android" and event.time < dt.datetime(2026, 2, 1)  # noqa: DTZ001

    chosen = ([event for event in events if is_chosen(event)] for events in truth.by_user.values())
    return list(funnel(chosen, ["Product Viewed", "Add to Cart"], 7 * DAY))


def retention(truth, first, again, unit_of, length):
    """Cohorts: their size, and the users of each number."""
    last = max(unit_of(day_of(event)) for event in truth.of_users)
    size, returned = Counter(), defaultdict(set)
    for user, events in truth.by_user.items():
        begin = next((event for event in events if first in (None, event.name)), None)
        if begin is None:
            continue
        cohort = unit_of(day_of(begin))
        size[cohort] += 1
        for event in events:
            if event is not begin and event.time >= begin.time and again in (None, event.name):
                returned[cohort, (unit_of(day_of(event)) - cohort).days // length].add(user)
    return [
        (cohort, size[cohort], number, len(returned[cohort, number]))
        for cohort in sorted(size)
        for number in range((last - cohort).days // length + 1)
    ]


@answers("Retention by week")
def _(truth):
    rows = retention(truth, "Product Viewed", "Search", monday, 7)
    return [(*row, row[3] / row[1]) for row in rows]


@answers("Retention by day")
def _(truth):
    rows = retention(truth, None, None, lambda day: day, 1)
    users = {(cohort, number): users for cohort, _, number, users in rows}
    cohorts = sorted({row[:2] for row in rows})
    return [(cohort, size, users.get((cohort, 1)), users.get((cohort, 7))) for cohort, size in cohorts]


@answers("Local time")
def _(truth):
    return in_order(
        Counter(
            event.time.replace(tzinfo=dt.UTC).astimezone(ZoneInfo("Europe/Berlin")).hour
            for event in truth.events
            if event.name == "Checkout Completed"
        )
    )


@answers("Local time of a project made before 2023")
def _(truth):
    rows = []
    for event in truth.old:
        local = event.time.replace(tzinfo=ZoneInfo("US/Pacific"), fold=1)
        if local.utcoffset() > local.replace(fold=0).utcoffset():  # skipped: in a gap, fold=0 is an hour later
            local = local.replace(fold=0)
        rows.append((event.name, event.time, local.astimezone(dt.UTC).replace(tzinfo=None), event.user))
    rows.sort(key=lambda row: (row[1], row[0], row[3] is None, row[3]))
    assert any(row[1].isoformat().startswith("2025-11-02T01:") for row in rows)  # repeated
    assert any(row[1].isoformat().startswith("2026-03-08T02:") for row in rows)  # skipped
    return [row[:3] for row in rows]


@answers("Rejected lines")
def _(_truth):
    return [
        (day, number, Beginning(reason), shown)
        for day, lines in BAD.items()
        for number, (_, reason, shown) in enumerate(lines, 1)
    ]


class Beginning(str):
    """Equals each text that begins with it."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other):
        return other.startswith(self)


@answers("Counts of the journal")
def _(truth):
    assert sum(chunk[3] for chunk in truth.chunks) > 0
    return truth.chunks


@answers("Days that are not held")
def _(_truth):
    return [(NOT_FETCHED,)]


@answers("To Parquet")
def _(truth):
    return in_order(Counter(map(day_of, truth.events)))


# The tests


def test_each_recipe_has_an_answer_and_a_line_that_says_what_it_answers():
    assert set(RECIPES) == set(ANSWERS)
    assert len(re.findall(r"^```sql$", TEXT, re.MULTILINE)) == len(RECIPES)
    for recipe in RECIPES:
        assert re.search(rf"^### {re.escape(recipe)}\n\n[^\n]*\?", TEXT, re.MULTILINE), recipe


def asked(query):
    """A recipe, and the statement that reads what it writes."""
    if not query.startswith("COPY"):
        return "", query.strip().removesuffix(";")
    return query, "SELECT date, count(*) FROM read_parquet('events/*/*.parquet') GROUP BY date ORDER BY date"


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_answers_its_question(filled, recipe, monkeypatch):
    directory, truth = filled
    monkeypatch.chdir(directory)
    first, query = asked(RECIPES[recipe])
    with duckdb.connect("mixpanel.duckdb", read_only=True) as connection:
        connection.execute(first)
        found = connection.execute(query).fetchall()
    expected = ANSWERS[recipe](truth)
    assert found == expected
    assert found


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_answers_it_in_the_command_line_of_duckdb_1_5(filled, recipe, tmp_path):
    directory, truth = filled
    command = shutil.which("duckdb", path=str(Path(sys.executable).parent))
    assert command is not None, "the package duckdb-cli is in the extra `test`"
    first, query = asked(RECIPES[recipe])
    attach = f"ATTACH '{directory / 'mixpanel.duckdb'}' AS mixpanel (READ_ONLY); USE mixpanel"
    statements = f"{attach}; {first} CREATE TABLE answer.main.answer AS {query}"
    ended = subprocess.run(
        [command, "answer.duckdb", statements], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    with duckdb.connect(str(tmp_path / "answer.duckdb")) as connection:
        assert connection.execute("FROM answer").fetchall() == ANSWERS[recipe](truth)
