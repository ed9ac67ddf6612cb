"""mixpanel-utils: `export_events` into `events.json`, or with the argument `raw_stream` into `events.gz`.

Its host is an attribute of the object.
"""

import json
import sys
from pathlib import Path

from mixpanel_utils import MixpanelUtils

task = json.loads(Path("task.json").read_text(encoding="utf-8"))
utils = MixpanelUtils(task["secret"], service_account_username=task["username"], project_id=task["project_id"])
utils.raw_api = f"{task['url']}/api"
raw = "raw_stream" in sys.argv
dates = {"from_date": task["from_date"], "to_date": task["to_date"]}
utils.export_events("events.gz" if raw else "events.json", dates, add_gzip_header=True, raw_stream=raw)
