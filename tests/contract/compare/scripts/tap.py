"""tap-mixpanel: discovers, then syncs the events; a second run gets the last STATE that the first one wrote.

Its hosts stand in the code, so `requests` is given another scheme and host on the way.
"""

import contextlib
import io
import json
import sys
from pathlib import Path

import tap_mixpanel
from to_the_fake import send_by_requests, tap_settings

task = json.loads(Path("task.json").read_text(encoding="utf-8"))
send_by_requests(task["url"])


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


write("config.json", tap_settings(task))
if task["run"] == 1:
    write("catalog.json", discovered())
tap("--catalog", "catalog.json", *(["--state", write("state.json", last_state())] if task["run"] == 2 else []))
