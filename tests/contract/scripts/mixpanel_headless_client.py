"""mixpanel-headless: `python mixpanel_headless_client.py TASK OUT`.

It takes the host and the account from the environment. Nothing is undone: `raw=True` gives rows as they came.
"""

import json
import sys
from pathlib import Path

from mixpanel_headless import Workspace
from to_the_fake import put_into_the_environment

task = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
put_into_the_environment(task)
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
