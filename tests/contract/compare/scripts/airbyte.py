"""airbyte-source-mixpanel: `read` of its stream `export`, incremental; a second run gets the first one's last state.

Its hosts stand in the code, so `requests` sends to another scheme and host.
"""

import json
import sys
from pathlib import Path

from source_mixpanel.run import run
from to_the_fake import send_by_requests

task = json.loads(Path("task.json").read_text(encoding="utf-8"))
send_by_requests(task["url"])


def write(name, value):
    Path(name).write_text(json.dumps(value), encoding="utf-8")
    return name


def last_states():
    for line in reversed(Path("stdout-1").read_bytes().split(b"\n")[:-1]):
        if line.startswith(b'{"type":"STATE"'):
            return [json.loads(line)["state"]]
    return []


stream = {
    "name": "export",
    "json_schema": {},
    "supported_sync_modes": ["full_refresh", "incremental"],
    "source_defined_cursor": True,
    "default_cursor_field": ["time"],
}
selected = {"stream": stream, "sync_mode": "incremental", "destination_sync_mode": "append", "cursor_field": ["time"]}
config = {
    "credentials": {
        "option_title": "Service Account",
        "username": task["username"],
        "secret": task["secret"],
        "project_id": task["project_id"],
    },
    "project_timezone": "UTC",
    "start_date": f"{task['from_date']}T00:00:00Z",
    "end_date": f"{task['to_date']}T00:00:00Z",
    "region": "US",
    "export_lookback_window": 5 * 86400,
}
catalog = write("catalog.json", {"streams": [selected]})
sys.argv[1:] = ["read", "--config", write("config.json", config), "--catalog", catalog]
if task["run"] == 2:
    sys.argv += ["--state", write("state.json", last_states())]
run()
