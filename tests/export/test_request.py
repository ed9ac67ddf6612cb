"""Requests to the export."""

from __future__ import annotations

import json

import pytest

from mixpanel_async.errors import ConfigurationError
from mixpanel_async.export.request import export_parameters, export_url
from mixpanel_async.selections import EventSelection

# The question


def test_parameters_without_and_with_a_selection():
    dates = ("2024-01-01", "2024-01-07")
    assert export_parameters(dates, EventSelection()) == {
        "from_date": "2024-01-01",
        "to_date": "2024-01-07",
        "time_in_ms": "true",
    }
    where = 'properties["x"] == "ä & \\"b\\""  '
    parameters = export_parameters(dates, EventSelection.of(["Sign, up", 'q"ö'], where, 5))
    assert parameters == {
        "from_date": "2024-01-01",
        "to_date": "2024-01-07",
        "time_in_ms": "true",
        "event": '["Sign, up", "q\\"ö"]',
        "where": where,
        "limit": "5",
    }
    assert json.loads(parameters["event"]) == ["Sign, up", 'q"ö']


@pytest.mark.parametrize(
    ("region", "base_url", "url"),
    [
        ("us", None, "https://data.mixpanel.com/api/2.0/export"),
        ("eu", None, "https://data-eu.mixpanel.com/api/2.0/export"),
        ("in", None, "https://data-in.mixpanel.com/api/2.0/export"),
        ("eu", "https://proxy.example.com", "https://proxy.example.com/api/2.0/export"),
        ("us", "https://proxy.example.com:8443/mixpanel/", "https://proxy.example.com:8443/mixpanel/api/2.0/export"),
        ("us", "http://127.0.0.1:8080", "http://127.0.0.1:8080/api/2.0/export"),
        ("us", "http://localhost:1/", "http://localhost:1/api/2.0/export"),
        ("us", "http://[::1]:1", "http://[::1]:1/api/2.0/export"),
    ],
)
def test_urls(region, base_url, url):
    assert export_url(region, base_url) == url


@pytest.mark.parametrize("region", ["US", "", "de", "us ", None])
def test_unknown_regions(region):
    with pytest.raises(ConfigurationError, match="region must be one of us, eu, in"):
        export_url(region, None)


@pytest.mark.parametrize(
    "base_url",
    ["", "proxy.example.com", "//host", "ftp://host", "file:///etc/passwd", "https://", "https://user:secret@host", "https://:secret@host",
     "https://host?x=1", "https://host#x", "https://[bad", "https://host:port", "https://host:99999", "https://host\n", "https://ho\tst"],
)  # fmt: skip
def test_unusable_base_urls(base_url):
    with pytest.raises(ConfigurationError, match="base_url must be a scheme and a host") as refused:
        export_url("us", base_url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "base_url",
    ["http://data.mixpanel.com", "http://0.0.0.0", "http://127.0.0.1.example.com", "http://localhost.example.com", "HTTP://10.0.0.1"],
)  # fmt: skip
def test_http_is_for_this_machine_only(base_url):
    with pytest.raises(ConfigurationError, match="base_url must be https"):
        export_url("us", base_url)
