"""Where queries are asked, and what the JSON of their answers tells."""

from __future__ import annotations

import pytest

from mixpanel_async.api.credentials import OAuthToken, ProjectSecret, ServiceAccount
from mixpanel_async.api.query import app_path, error_from_payload, query_url
from mixpanel_async.errors import ConfigurationError, QueryError, ServerError


@pytest.mark.parametrize(
    ("region", "base_url", "url"),
    [
        ("us", None, "https://mixpanel.com"),
        ("eu", None, "https://eu.mixpanel.com"),
        ("in", None, "https://in.mixpanel.com"),
        ("eu", "https://proxy.example.com/mixpanel/", "https://proxy.example.com/mixpanel"),
    ],
)
def test_urls(region, base_url, url):
    assert query_url(region, base_url) == url


def test_the_apps_api_has_the_project_in_its_path():
    path = "/api/app/projects/7/annotations"
    assert app_path(ServiceAccount("user", "secret", 7), "annotations") == path
    assert app_path(OAuthToken("secret", 7), "annotations") == path
    with pytest.raises(ConfigurationError, match="annotations need a service account"):
        app_path(ProjectSecret("secret"), "annotations")


@pytest.mark.parametrize(
    "payload",
    [
        {"status": "ok", "results": []},
        {"results": [], "error": "ignored"},
        {"error": {"count": 295}},  # a property of this name, in `events/properties/top`
        ["error"],
        [],
        {},
        "error",
        None,
    ],
)
def test_results(payload):
    assert error_from_payload(payload) is None


@pytest.mark.parametrize(
    ("payload", "kind", "says"),
    [
        ({"status": "error", "error": "internal error"}, ServerError, "responded with an error: internal error"),
        ({"status": "error", "error": "x", "results": []}, ServerError, "x"),
        ({"status": "error", "results": []}, ServerError, "(no text)"),
        ({"status": "error", "error": {"code": 5}, "results": []}, ServerError, "(no text)"),
        ({"request": "/api/2.0/stream/query", "error": ""}, ServerError, "(no text)"),
        (
            {"error": "Date range exceeds 365 days into the past"},
            QueryError,
            "rejects the dates (200): Date range exceeds",
        ),
        (
            {"status": "error", "error": "to_date cannot be later than today"},
            QueryError,
            "rejects the dates (200): to_date",
        ),
    ],
)
def test_errors_in_a_200(payload, kind, says):
    error = error_from_payload(payload)
    assert type(error) is kind
    assert says in str(error)
    assert error.status == 200
