"""mixpanel-headless: `stream_events`, each event written to `events.jsonl` as it comes.

Its host and account are in the environment.
"""

import json
import os
from pathlib import Path

from mixpanel_headless import Workspace

task = json.loads(Path("task.json").read_text(encoding="utf-8"))
os.environ |= {
    "MP_API_BASE_URL": task["url"],
    "MP_USERNAME": task["username"],
    "MP_SECRET": task["secret"],
    "MP_PROJECT_ID": str(task["project_id"]),
    "MP_REGION": "us",
}
events = Workspace().stream_events(from_date=task["from_date"], to_date=task["to_date"], raw=True)
with Path("events.jsonl").open("w", encoding="utf-8") as out:
    out.writelines(json.dumps(event) + "\n" for event in events)
