"""A Python that has this folder in PYTHONPATH reads this when it starts: the library's clock then stands still."""

from __future__ import annotations

import datetime as dt
import os

from mixpanel_async import clock

NOW = dt.datetime.fromisoformat(os.environ["NOW_IN_DOCUMENTS"])

clock.utc_now = lambda: NOW
