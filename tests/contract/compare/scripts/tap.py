"""tap-mixpanel: discovers, then syncs the events; a second run gets the last STATE that the first one wrote.

Its hosts stand in the code, so `requests` is given another scheme and host on the way.
"""

import contextlib
import io
import json
import re
import sys
from pathlib import Path

import requests
import tap_mixpanel

task = json.loads(Path("task.json").read_text(encoding="utf-8"))
ask = requests.Session.request


def ask_the_fake(session, method, url, **how):
    return ask(session, method, re.sub(r"^https://(data\.)?mixpanel\.com", task["url"], url), **how)


requests.Session.request = ask_the_fake


def write(name, value):
    Path(name).write_text(json.dumps(value), encoding="utf-8")
    return name


def tap(*arguments):
    sys.argv = ["tap-mixpanel", "--config", "config.json", *arguments]
    tap_mixpanel.main()


def discovered():
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        tap("--discover")
    catalog = json.loads(printed.getvalue())
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            entry["metadata"]["selected"] = stream["stream"] == "export"
    return catalog


def last_state():
    for line in reversed(Path("stdout-1").read_bytes().split(b"\n")[:-1]):
        if line.startswith(b'{"type": "STATE"'):
            return json.loads(line)["value"]
    return {}


settings = {
    "api_secret": task["api_secret"],
    "project_timezone": "UTC",
    "attribution_window": "5",
    "start_date": f"{task['from_date']}T00:00:00Z",
    "end_date": f"{task['to_date']}T00:00:00Z",
    "user_agent": "compare",
    "select_properties_by_default": "true",
}
write("config.json", settings)
if task["run"] == 1:
    write("catalog.json", discovered())
tap("--catalog", "catalog.json", *(["--state", write("state.json", last_state())] if task["run"] == 2 else []))
