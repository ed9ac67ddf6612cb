"""Who asks, and that no secret ever shows."""

from __future__ import annotations

import base64
import copy
import json
import logging
import pickle
import re
import traceback
from dataclasses import asdict, astuple, replace

import pytest

from mixpanel_async.api.credentials import (
    OAuthToken,
    ProjectSecret,
    Secret,
    ServiceAccount,
    authorization,
    credentials_from,
    project_parameter,
)
from mixpanel_async.errors import ConfigurationError

SECRET = "v3ry-s3cret"
ACCOUNT = ServiceAccount("name.ab12cd.mp-service-account", SECRET, 42)
ALL = [ACCOUNT, ProjectSecret(SECRET), OAuthToken(SECRET, "42")]
KINDS = ["account", "secret", "token"]


def basic(pair):
    return "Basic " + base64.b64encode(pair.encode()).decode()


def test_what_is_sent():
    assert [authorization(each) for each in ALL] == [
        basic(f"name.ab12cd.mp-service-account:{SECRET}"),
        basic(f"{SECRET}:"),
        f"Bearer {SECRET}",
    ]
    assert [project_parameter(each) for each in ALL] == [{"project_id": "42"}, {}, {"project_id": "42"}]


@pytest.mark.parametrize("credentials", ALL, ids=KINDS)
@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        lambda each: f"{each}",
        lambda each: f"{each!r}",
        lambda each: f"{each!s:>200}",
        lambda each: repr(asdict(each)),
        lambda each: repr(astuple(each)),
        lambda each: json.dumps(asdict(each), default=str),
        lambda each: repr(copy.deepcopy(each)),
        lambda each: repr(replace(each)),
        lambda each: repr(vars(each)) if hasattr(each, "__dict__") else "",
        lambda each: logging.makeLogRecord({"msg": "%s %r", "args": (each, each)}).getMessage(),
    ],
)
def test_no_secret_shows_in_any_print(credentials, show):
    text = show(credentials)
    assert SECRET not in text
    assert base64.b64encode(SECRET.encode()).decode().rstrip("=") not in text


@pytest.mark.parametrize("credentials", ALL, ids=KINDS)
def test_no_secret_is_pickled_or_copied_by_pickle(credentials):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(credentials, protocol)
    with pytest.raises(TypeError, match="not pickled"):
        copy.copy(Secret(SECRET))


@pytest.mark.parametrize(
    "make",
    [
        lambda *secret: ServiceAccount("user", *secret, "no number"),
        lambda *secret: ProjectSecret(f"{secret[0]} with a blank"),
        lambda *secret: credentials_from({"MP_SECRET": secret[0]}),
    ],
)
def test_credentials_that_are_refused_leave_no_secret_in_the_frames_of_the_library(make):
    with pytest.raises(ConfigurationError) as refused:
        make(SECRET)
    frames = traceback.TracebackException.from_exception(refused.value, capture_locals=True).stack
    inside = [frame.locals for frame in frames if frame.filename != __file__]
    assert inside
    assert SECRET not in repr(inside)


def test_secrets_are_compared_by_their_text():
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret("a") != "a"
    assert ServiceAccount("u", Secret("a"), 1) == ServiceAccount("u", "a", "1")
    assert Secret(Secret("a")).reveal() == "a"


@pytest.mark.parametrize(
    "text", ["", None, 5, b"xyz", " xyz", "xyz ", "x yz", "xyz\n", "xyz\r\n", "xyzé", "xyz\0", "xyz\u00a0", "xyz\x7f"]
)
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda text: ServiceAccount("user", text, 1), "service account's secret"),
        (ProjectSecret, "project secret"),
        (lambda text: OAuthToken(text, 1), "OAuth token"),
    ],
)
def test_a_secret_that_cannot_be_sent_is_refused_without_being_shown(make, name, text):
    with pytest.raises(ConfigurationError, match=f"The {name} (is missing|has a blank)") as refused:
        make(text)
    assert "yz" not in str(refused.value)


@pytest.mark.parametrize("username", ["", "a b", "a:b", "é", "a\n", None, 5])
def test_usernames_that_cannot_be_sent(username):
    with pytest.raises(ConfigurationError, match="username"):
        ServiceAccount(username, SECRET, 1)


@pytest.mark.parametrize("project_id", ["", "abc", "-1", -1, 0, "0", 1.5, True, None, " 1", "1\n", "\u0661", "1" * 21])
def test_project_ids_that_are_none(project_id):
    for make in (lambda: ServiceAccount("user", SECRET, project_id), lambda: OAuthToken(SECRET, project_id)):
        with pytest.raises(ConfigurationError, match="project_id must be a project's number"):
            make()


@pytest.mark.parametrize(
    ("environment", "credentials"),
    [
        ({"MP_USERNAME": "u", "MP_SECRET": "s", "MP_PROJECT_ID": "1"}, ServiceAccount("u", "s", 1)),
        ({"MP_OAUTH_TOKEN": "t", "MP_PROJECT_ID": "1"}, OAuthToken("t", 1)),
        ({"MP_PROJECT_SECRET": "s"}, ProjectSecret("s")),
        ({"MP_PROJECT_SECRET": "s", "MP_PROJECT_ID": "1"}, ProjectSecret("s")),
        ({"MP_USERNAME": "", "MP_SECRET": "", "MP_PROJECT_SECRET": "s"}, ProjectSecret("s")),
        (
            {
                "MP_USERNAME": "u",
                "MP_SECRET": "s",
                "MP_PROJECT_ID": "1",
                "MP_OAUTH_TOKEN": "t",
                "MP_PROJECT_SECRET": "p",
            },
            ServiceAccount("u", "s", 1),
        ),
    ],
)
def test_credentials_of_the_environment(environment, credentials):
    assert credentials_from(environment | {"PATH": "/bin"}) == credentials


@pytest.mark.parametrize(
    ("environment", "missing"),
    [
        ({"MP_USERNAME": "u"}, ["MP_SECRET", "MP_PROJECT_ID"]),
        ({"MP_SECRET": "s"}, ["MP_USERNAME", "MP_PROJECT_ID"]),
        ({"MP_USERNAME": "u", "MP_SECRET": "s", "MP_PROJECT_ID": ""}, ["MP_PROJECT_ID"]),
        ({"MP_OAUTH_TOKEN": "t"}, ["MP_PROJECT_ID"]),
        ({}, ["MP_USERNAME", "MP_SECRET", "MP_PROJECT_ID", "MP_PROJECT_SECRET", "MP_OAUTH_TOKEN"]),
        ({"MP_PROJECT_ID": "1"}, ["MP_USERNAME", "MP_SECRET", "MP_PROJECT_ID", "MP_PROJECT_SECRET", "MP_OAUTH_TOKEN"]),
    ],
)
def test_what_is_missing_is_named_and_nothing_else(environment, missing):
    with pytest.raises(ConfigurationError) as refused:
        credentials_from(environment)
    assert set(re.findall(r"MP_\w+", str(refused.value))) == set(missing)
