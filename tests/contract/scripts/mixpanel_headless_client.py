"""mixpanel-headless: `python mixpanel_headless_client.py TASK OUT`.

It takes the host and the account from the environment. Nothing is undone: `raw=True` gives rows as they came.
"""

import json
import os
import sys
from pathlib import Path

from mixpanel_headless import Workspace

task = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
os.environ |= {
    "MP_API_BASE_URL": task["url"],
    "MP_USERNAME": task["username"],
    "MP_SECRET": task["secret"],
    "MP_PROJECT_ID": str(task["project_id"]),
    "MP_REGION": "us",
}
workspace = Workspace()
rows = [
    *(
        ["event", event]
        for event in workspace.stream_events(from_date=task["from_date"], to_date=task["to_date"], raw=True)
    ),
    *(["profile", profile] for profile in workspace.stream_profiles(raw=True)),
]
workspace.close()
Path(sys.argv[2]).write_text("".join(json.dumps(row) + "\n" for row in rows))
