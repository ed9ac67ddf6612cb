"""Nonsense in each argument of each call and setting: one sentence that names it, and nothing sent or written."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path

import duckdb
import pytest

from mixpanel_async import (
    ConfigurationError,
    MixpanelClient,
    OAuthToken,
    ProjectSecret,
    RateLimits,
    RetryPolicy,
    ServiceAccount,
    Timeouts,
)
from mixpanel_async.dates import split_date_range
from tests.test_secrets import SECRET, shows, whole_traceback

ACCOUNT = ServiceAccount("user", "secret", 1)


class NaT(dt.datetime):
    """As `pandas.NaT`: a datetime that equals nothing and has no date."""

    __hash__ = dt.datetime.__hash__

    def __eq__(self, other):
        return False

    def __ne__(self, other):
        return True

    def date(self):
        raise ValueError("NaTType does not support date")


NONSENSE = {
    "None": None,
    "True": True,
    "zero": 0,
    "minus one": -1,
    "a number": 5,
    "a fraction": 1.5,
    "not a number": math.nan,
    "infinity": math.inf,
    "an empty text": "",
    "a blank": " ",
    "a text": "no",
    "a surrogate": "\ud800",
    "bytes": b"no",
    "an empty list": [],
    "a list": [5],
    "a dict": {"no": 5},
    "an object": object(),
    "a function": lambda: None,
    "a type": int,
    "a time": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "NaT": NaT(2026, 1, 1),
}
FLAG = {"True"}
TEXTS = {"None", "a text"}
NAMES = {"None", "a dict"}  # a dict is an iterable of its keys
WHOLE = {"a number"}
DATE: set[str] = set()
HOOK = {"None", "a type"}
EVENTS = {
    "events": NAMES,
    "where": TEXTS,
    "limit": {"None", "a number"},
    "parallel": FLAG,
    "max_workers": WHOLE,
    "chunk_days": WHOLE,
    "from_date": DATE,
    "to_date": DATE,
}
PROFILES = {
    "where": TEXTS,
    "cohort_id": {"None", "a number"},
    "output_properties": NAMES,
    "distinct_id": {"None", "a blank", "a text"},
    "distinct_ids": NAMES,
    "group_id": {"None", "zero", "a number"},
    "behaviors": {"None"},
    "include_all_users": {"True"},
}
CALLS = {
    "fetch_events": {
        **EVENTS,
        "name": {"a text"},
        "append": FLAG,
        "resume": FLAG,
        "deduplicate": FLAG,
        "on_batch_complete": HOOK,
    },
    "stream_events": {**EVENTS, "raw": FLAG, "on_rejected": HOOK},
    "stream_batches": {**EVENTS, "on_rejected": HOOK},
    "fetch_profiles": {
        **PROFILES,
        "name": {"a text"},
        "append": FLAG,
        "resume": FLAG,
        "parallel": FLAG,
        "max_workers": WHOLE,
        "on_batch_complete": HOOK,
    },
    "sync_profiles": {
        "name": {"a text"},
        **{name: PROFILES[name] for name in ("where", "output_properties", "group_id")},
        "full_every_days": {"zero", "a number"},
        "max_workers": WHOLE,
        "on_batch_complete": HOOK,
    },
    "stream_profiles": {**PROFILES, "raw": FLAG},
    "lookups.event_names": {
        "type": set(),
        "limit": WHOLE,
        "from_date": DATE,
        "to_date": DATE,
        "save": {"True", "a text"},
    },
    "lookups.top_properties": {"event": {"a blank", "a text"}, "limit": WHOLE, "save": {"True", "a text"}},
    "lookups.cohorts": {"save": {"True", "a text"}},
    "lookups.lexicon_schemas": {
        "entity_type": {"None"},
        "name": {"None", "a blank", "a text"},
        "save": {"True", "a text"},
    },
    "lookups.annotations": {"from_date": DATE, "to_date": DATE, "save": {"True", "a text"}},
}
DATES = {"from_date": "2026-01-01", "to_date": "2026-01-02"}
NEEDED = {
    "lookups.top_properties": {"event": "e"},
    "lookups.lexicon_schemas": {"entity_type": "event"},
    "lookups.event_names": DATES,
    "lookups.annotations": DATES,
    "fetch_events": DATES,
    "stream_events": DATES,
    "stream_batches": DATES,
}


@pytest.mark.parametrize(
    ("call", "argument"), [(call, argument) for call, arguments in CALLS.items() for argument in arguments]
)
async def test_nonsense_in_a_call(fake, client_of, path, call, argument):
    client = client_of(fake)
    verb = client
    for name in call.split("."):
        verb = getattr(verb, name)
    for kind in NONSENSE.keys() - CALLS[call][argument]:
        with pytest.raises(ValueError, match=argument) as caught:
            pending = verb(**{**NEEDED.get(call, {}), argument: NONSENSE[kind]})
            if call.startswith("stream"):
                pytest.fail(f"{argument}={NONSENSE[kind]!r} is accepted")
            await pending
        assert "\n" not in str(caught.value), kind
    assert fake.requests == []
    assert not path.exists()


@pytest.mark.parametrize("call", CALLS)
async def test_an_unknown_argument(fake, client_of, path, call):
    verb = client_of(fake)
    for name in call.split("."):
        verb = getattr(verb, name)
    with pytest.raises(TypeError, match="no_such_argument"):
        await verb(**NEEDED.get(call, {}), no_such_argument=1)
    assert fake.requests == []
    assert not path.exists()


SETTINGS = {
    "credentials": {"None"},
    "database": {"a blank", "a text"},
    "region": {"None"},
    "base_url": {"None"},
    "limits": set(),
    "retry": set(),
    "timeouts": set(),
    "session": {"None"},
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_nonsense_in_a_setting(setting, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind in NONSENSE.keys() - SETTINGS[setting]:
        with pytest.raises(ConfigurationError, match=rf"^{setting} must be ") as caught:
            MixpanelClient(**{"credentials": ACCOUNT, setting: NONSENSE[kind]})
        assert "\n" not in str(caught.value), kind
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "field", "fine"),
    [
        *((RateLimits, field, FLAG if field == "shared" else WHOLE) for field in RateLimits.__dataclass_fields__),
        *((Timeouts, field, {"a number", "a fraction"}) for field in Timeouts.__dataclass_fields__),
        (RetryPolicy, "attempts", WHOLE),
        (RetryPolicy, "wait_initial", {"zero", "a number", "a fraction"}),
        (RetryPolicy, "wait_max", {"a number", "a fraction"}),
    ],
)
def test_nonsense_in_a_settings_field(kind, field, fine):
    for nonsense in NONSENSE.keys() - fine:
        with pytest.raises(ValueError, match=rf"{kind.__name__}.*{field}"):
            kind(**{field: NONSENSE[nonsense]})


@pytest.mark.parametrize(
    ("make", "says", "fine"),
    [
        (lambda value: ServiceAccount(value, "secret", 1), "username", {"a text"}),
        (lambda value: ServiceAccount("user", value, 1), "secret", {"a text"}),
        (lambda value: ServiceAccount("user", "secret", value), "project_id", {"a number"}),
        (ProjectSecret, "secret", {"a text"}),
        (lambda value: OAuthToken(value, 1), "token", {"a text"}),
        (lambda value: OAuthToken("token", value), "project_id", {"a number"}),
    ],
)
def test_nonsense_in_credentials(make, says, fine):
    for kind in NONSENSE.keys() - fine:
        with pytest.raises(ConfigurationError, match=says):
            make(NONSENSE[kind])


@pytest.mark.parametrize("argument", ["from_date", "to_date", "chunk_days"])
def test_nonsense_in_a_split(argument):
    for kind in NONSENSE.keys() - (WHOLE if argument == "chunk_days" else DATE):
        with pytest.raises(ValueError, match=argument):
            split_date_range(**{"from_date": "2026-01-01", "to_date": "2026-01-02", argument: NONSENSE[kind]})


@pytest.mark.parametrize(
    "given",
    [("user", SECRET, 1), {"username": "user", "secret": SECRET}, SECRET, SECRET.encode()],
)
def test_credentials_of_a_wrong_type_are_not_shown(given):
    with pytest.raises(
        ConfigurationError, match=rf"^credentials must be a ServiceAccount.* not {type(given).__name__}\.$"
    ) as caught:
        MixpanelClient(given)
    caught.value.__traceback__ = caught.value.__traceback__.tb_next  # this function's own frame has it
    assert shows(whole_traceback(caught.value)) == []


@pytest.mark.parametrize(
    ("database", "says"),
    [
        (None, "None"),
        ("", "''"),
        (3, "int"),
        (b"x.duckdb", "bytes"),
        ("a\0b", r"'a\\x00b'"),
        (duckdb, "module"),
        (":memory:events", r'":memory:" without a name, or duckdb.connect\(\':memory:events\'\)'),
        ("~nobody-has-this-name/x.duckdb", "home directory .* not known"),
        (Path("folder"), "folder is a directory: pass a path in it"),
    ],
)
def test_a_database_that_is_none(database, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigurationError, match=rf"^database\b.*{says}"):
        MixpanelClient(ACCOUNT, database=database)
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


async def test_a_connection_that_is_closed(fake, client_of):
    connection = duckdb.connect()
    client = client_of(fake, database=connection)
    connection.close()
    with pytest.raises(ConfigurationError, match=r"^The connection passed as database= is closed: keep it open"):
        await client.fetch_events(**DATES)
    assert fake.requests == []


@pytest.mark.parametrize("kind", [str, Path])
async def test_a_tilde_is_the_home_directory(fake, client_of, tmp_path, monkeypatch, kind):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    await client_of(fake, database=kind("~/x.duckdb")).fetch_events(from_date="2026-01-01", to_date="2026-01-01")
    assert [each.name for each in tmp_path.iterdir()] == ["x.duckdb"]


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="no folder in which nobody can write")
async def test_a_folder_that_cannot_be_written_is_named(fake, client_of):
    with pytest.raises(Exception, match=r"^/sys/kernel cannot be written \(.*\): choose another database path\.$"):
        await client_of(fake, database="/sys/kernel/x.duckdb").fetch_events(
            from_date="2026-01-01", to_date="2026-01-01"
        )
    assert fake.requests == []
