"""A request to Mixpanel's raw export.

Source: Mixpanel's docs of `GET /api/2.0/export`, and what its clients have met in the field. The export sends JSON
Lines and nothing else: no count, no cursor, no end mark. So a 200 proves nothing by itself.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mixpanel_async.api import hosts

if TYPE_CHECKING:
    from mixpanel_async.dates import DateChunk
    from mixpanel_async.selections import EventSelection

PATH = "/api/2.0/export"


def export_url(region: str, base_url: str | None) -> str:
    """Return the export's URL. Raises ConfigurationError, as `hosts.host` does."""
    return hosts.host(hosts.EXPORTS, region, base_url) + PATH


def export_parameters(dates: DateChunk, selection: EventSelection) -> dict[str, str]:
    """Return the query string's names and values, without `project_id`. Both dates are inclusive.

    `time_in_ms` (Mixpanel's OpenAPI document) makes `properties.time` milliseconds, which order the events of a second.
    """
    parameters = {"from_date": dates[0], "to_date": dates[1], "time_in_ms": "true"}
    if selection.events is not None:
        parameters["event"] = json.dumps(selection.events, ensure_ascii=False)
    if selection.where is not None:
        parameters["where"] = selection.where
    if selection.limit is not None:
        parameters["limit"] = str(selection.limit)
    return parameters
