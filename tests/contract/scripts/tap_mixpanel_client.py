"""tap-mixpanel: `python tap_mixpanel_client.py TASK OUT`, which discovers and then syncs what it discovered.

Its hosts stand in the code, so `requests` is given another scheme and host on the way: plain HTTP, no certificates.

Undone here: properties stand beside the event's name and the distinct id, with `mp_reserved_` for `$`, and `time`
and dates are in ISO. What it makes of the values cannot be undone, and __main__.py does it to the truth too.
"""

import calendar
import contextlib
import io
import json
import re
import sys
import tempfile
import time
from pathlib import Path

import tap_mixpanel
from to_the_fake import send_by_requests, tap_settings

STREAMS = {"export", "engage", "cohorts", "cohort_members", "annotations"}
"""All but funnels: they are reports, not data, and the fake has none."""

task = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
OUT = Path(sys.argv[2])
send_by_requests(task["url"])


def tap(*arguments):
    """Run it as from the shell; gives what it printed."""
    sys.argv = ["tap-mixpanel", *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        tap_mixpanel.main()
    return printed.getvalue()


def with_dollars(record):
    return {re.sub("^mp_reserved_", "$", name): value for name, value in record.items()}


def event_of(record):
    properties = with_dollars(record)
    name = properties.pop("event")
    properties["time"] = calendar.timegm(time.strptime(properties["time"][:19], "%Y-%m-%dT%H:%M:%S"))
    return {"event": name, "properties": properties}


def profile_of(record):
    properties = with_dollars(record)
    return {"$distinct_id": properties.pop("distinct_id"), "$properties": properties}


def annotation_of(record):
    return record | {"date": record["date"][:19].replace("T", " ")}


def undone(stream, record):
    """Give the kind of a record, and what it was."""
    kinds = {
        "export": ("event", event_of),
        "engage": ("profile", profile_of),
        "annotations": ("annotations", annotation_of),
    }
    kind, undo = kinds.get(stream, (stream, dict))
    return [kind, undo(record)]


with tempfile.TemporaryDirectory() as directory:
    config, catalog = Path(directory, "config.json"), Path(directory, "catalog.json")
    config.write_text(json.dumps(tap_settings(task)))
    found = json.loads(tap("--config", str(config), "--discover"))
    for stream in found["streams"]:
        for entry in stream["metadata"]:
            entry["metadata"]["selected"] = stream["stream"] in STREAMS
    catalog.write_text(json.dumps(found))
    messages = map(json.loads, tap("--config", str(config), "--catalog", str(catalog)).splitlines())
    records = [message for message in messages if message["type"] == "RECORD"]
rows = [undone(record["stream"], record["record"]) for record in records]
OUT.write_text("".join(json.dumps(row) + "\n" for row in rows))
