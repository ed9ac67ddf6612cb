"""Which host is asked: an argument beats the environment, which beats `us`."""

from __future__ import annotations

import pytest

from mixpanel_async import ConfigurationError, MixpanelClient, ServiceAccount
from mixpanel_async.api.hosts import choose_host

ACCOUNT = ServiceAccount("user", "secret", 7)


@pytest.mark.parametrize(
    ("region", "base_url", "environment", "chosen"),
    [
        (None, None, {}, ("us", None)),
        (None, None, {"MP_REGION": "eu", "MP_BASE_URL": "https://proxy"}, ("eu", "https://proxy")),
        ("us", None, {"MP_REGION": "eu"}, ("us", None)),
        ("in", "https://mine", {"MP_REGION": "eu", "MP_BASE_URL": "https://proxy"}, ("in", "https://mine")),
        ("in", "https://mine", {"MP_REGION": "", "MP_BASE_URL": ""}, ("in", "https://mine")),
    ],
)
def test_an_argument_beats_the_environment(region, base_url, environment, chosen):
    assert choose_host(region, base_url, environment) == chosen


@pytest.mark.parametrize("name", ["MP_REGION", "MP_BASE_URL"])
def test_an_empty_variable_is_an_error(name):
    with pytest.raises(ConfigurationError, match=f"{name} is set and empty"):
        choose_host(None, None, {name: ""})


@pytest.mark.parametrize("credentials", [ACCOUNT, None], ids=["in code", "in the environment"])
@pytest.mark.parametrize(
    ("region", "host"), [(None, "https://data-eu.mixpanel.com"), ("us", "https://data.mixpanel.com")]
)
async def test_wherever_the_credentials_come_from(monkeypatch, credentials, region, host):
    for name, value in {"MP_USERNAME": "u", "MP_SECRET": "s", "MP_PROJECT_ID": "7", "MP_REGION": "eu"}.items():
        monkeypatch.setenv(name, value)
    async with MixpanelClient(credentials, region=region) as client:
        assert client._core.export_source().url == f"{host}/api/2.0/export"


@pytest.mark.parametrize("base_url", [None, "https://proxy"])
def test_a_region_of_the_environment_that_is_unknown_is_named(monkeypatch, base_url):
    monkeypatch.setenv("MP_REGION", "nowhere")
    if base_url is not None:
        monkeypatch.setenv("MP_BASE_URL", base_url)
    with pytest.raises(ConfigurationError, match="region must be one of us, eu, in, not 'nowhere'"):
        MixpanelClient(ACCOUNT)
