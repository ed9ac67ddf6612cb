"""mixpanel-utils: `python mixpanel_utils_client.py TASK OUT`.

Its hosts are attributes of the object, and only they are changed. Nothing is undone: it gives rows as they came.
"""

import json
import sys
from pathlib import Path

from mixpanel_utils import MixpanelUtils

task = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
utils = MixpanelUtils(task["secret"], service_account_username=task["username"], project_id=task["project_id"])
utils.raw_api = utils.formatted_api = f"{task['url']}/api"
dates = {"from_date": task["from_date"], "to_date": task["to_date"]}
events = utils.query_export(dates, add_gzip_header=True)
profiles = utils.query_engage()
rows = [["event", event] for event in events] + [["profile", profile] for profile in profiles]
Path(sys.argv[2]).write_text("".join(json.dumps(row) + "\n" for row in rows))
