"""Credentials."""

from __future__ import annotations

import base64
import json

import pytest

from mixpanel_async.testing import FakeMixpanel, Project, ServiceAccount, Wording

OTHER = ServiceAccount("other.mp-service-account", "x:y")
OLD = Project(777, (OTHER,), ("oldsecret",), (), timezone="US/Pacific")


ACCOUNT = Project().service_account.authorization()


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.fixture
async def fake():
    async with FakeMixpanel(projects=[Project(), OLD], limits=None) as fake:
        yield fake


async def test_item_34_service_account_in_base64_and_plain(ask, fake):
    account = fake.project.service_account
    for value in (account.authorization(), f"Basic {account.username}:{account.secret}"):
        assert (await ask(fake, authorization=value, project_id=12345)).status == 200
    assert (await ask(fake, authorization=OTHER.authorization(), project_id=777)).status == 200


@pytest.mark.parametrize("value", [basic("newsecret:"), basic("newsecret"), "Basic newsecret:", "basic newsecret"])
async def test_item_35_project_secret_names_its_project(ask, fake, value):
    assert (await ask(fake, authorization=value)).status == 200


async def test_item_36_project_secret_with_project_id(ask, fake):
    reply = await ask(fake, authorization=basic("newsecret:"), project_id=12345)
    assert reply.status == 400
    assert b"Unable to authenticate request" in reply.body


@pytest.mark.parametrize("project_id", [None, "", "abc", "²"])
async def test_item_37_service_account_without_project_id(ask, fake, project_id):
    account = fake.project.service_account
    reply = await ask(fake, authorization=account.authorization(), project_id=project_id)
    assert reply.status == 400
    assert b"Unable to authenticate request" in reply.body


WRONG = [
    basic("svc.ab12cd.mp-service-account:wrong"),
    basic("token"),
    "Basic",
    "Basic !",
    "Bearer no",
    "Digest x",
]


@pytest.mark.parametrize("value", WRONG)
async def test_item_38_wrong_credentials(ask, fake, value):
    reply = await ask(fake, authorization=value, project_id=12345)
    assert reply.status == 401
    assert reply.headers["content-type"] == "application/json"
    assert b"/api/2.0/export?" in reply.body


async def test_item_39_no_credentials(ask, fake):
    reply = await ask(fake, authorization=None, project_id=12345)
    assert reply.status == 401
    assert b"Invalid credentials" in reply.body


@pytest.mark.parametrize(
    ("variant", "status", "text"), [("plain", 401, b"Unauthorized"), ("400", 400, b"Unable to authenticate request")]
)
async def test_item_38_other_wordings(ask, variant, status, text):
    async with FakeMixpanel(wording=Wording(unauthorized=variant)) as fake:
        reply = await ask(fake, authorization=None)
    assert reply.status == status
    assert text in reply.body


async def test_item_40_no_access_to_the_project(ask, fake):
    for project_id in (777, 999):
        reply = await ask(fake, project_id=project_id)
        assert reply.status == 403
        assert json.loads(reply.body).keys() == {"error", "status"}


@pytest.mark.parametrize(("value", "params"), [(basic("newsecret:"), {"project_id": 12345}), (ACCOUNT, {})])
@pytest.mark.parametrize("status", ["400", "401"])
async def test_item_37_and_36_may_have_another_status(ask, value, params, status):
    async with FakeMixpanel(wording=Wording(unclear_project=status)) as fake:
        reply = await ask(fake, authorization=value, **params)
    assert reply.status == int(status)
    assert b"Unable to authenticate request" in reply.body


async def test_item_40_no_access_worded_otherwise(ask):
    async with FakeMixpanel(wording=Wording(no_access="401")) as fake:
        reply = await ask(fake, project_id=777)
    assert (reply.status, json.loads(reply.body)["error"]) == (401, "Invalid credentials")


async def test_item_41_bearer_token(ask, fake):
    value = f"Bearer {fake.project.oauth_token}"
    assert (await ask(fake, authorization=value, project_id=12345)).status == 200
    assert (await ask(fake, authorization=value)).status == 400
    assert (await ask(fake, authorization=value, project_id=777)).status == 403


async def test_item_42_credentials_expire(ask, fake):
    name = fake.project.service_account.username
    statuses = [(await ask(fake)).status]
    fake.revoke(name)
    statuses.append((await ask(fake)).status)
    fake.restore(name)
    statuses.append((await ask(fake)).status)
    assert statuses == [200, 401, 200]


def test_secrets_do_not_show():
    assert "s3cret" not in repr(Project().service_account)
