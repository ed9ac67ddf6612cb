"""mixpanel-headless: `stream_events`, each event written to `events.jsonl` as it comes.

Its host and account are in the environment.
"""

import json
from pathlib import Path

from mixpanel_headless import Workspace
from to_the_fake import put_into_the_environment

task = json.loads(Path("task.json").read_text(encoding="utf-8"))
put_into_the_environment(task)
events = Workspace().stream_events(from_date=task["from_date"], to_date=task["to_date"], raw=True)
with Path("events.jsonl").open("w", encoding="utf-8") as out:
    out.writelines(json.dumps(event) + "\n" for event in events)
