"""Points Python clients at the fake whose URL and accounts a task names. `to_the_fake.cjs` does it for Node's."""

import os
import re


def send_by_requests(url):
    """Give `requests` the fake's scheme and host for Mixpanel's: plain HTTP, no certificates."""
    import requests  # noqa: PLC0415 - not every client has it

    send = requests.adapters.HTTPAdapter.send

    def send_to_the_fake(adapter, request, *arguments, **how):
        request.url = re.sub(r"^https://(data\.)?mixpanel\.com", url, request.url)
        return send(adapter, request, *arguments, **how)

    requests.adapters.HTTPAdapter.send = send_to_the_fake


def put_into_the_environment(task):
    """Name the host and the service account as mixpanel-headless reads them."""
    os.environ |= {
        "MP_API_BASE_URL": task["url"],
        "MP_USERNAME": task["username"],
        "MP_SECRET": task["secret"],
        "MP_PROJECT_ID": str(task["project_id"]),
        "MP_REGION": "us",
    }


def tap_settings(task):
    """Return the account and the dates as tap-mixpanel reads them."""
    return {
        "api_secret": task["api_secret"],
        "project_timezone": "UTC",
        "attribution_window": "5",
        "start_date": f"{task['from_date']}T00:00:00Z",
        "end_date": f"{task['to_date']}T00:00:00Z",
        "user_agent": "contract",
        "select_properties_by_default": "true",
    }
