"""The warning that no event has the names that were asked for. Mixpanel accepts any name, a misspelt one, too."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mixpanel_async.terminal import span

if TYPE_CHECKING:
    import datetime as dt

    from mixpanel_async.selections import EventSelection

logger = logging.getLogger(__name__)


def warn_of_no_event(selection: EventSelection, dates: tuple[dt.date, dt.date]) -> None:
    """Log that a whole call met no event, if it named some.

    Without names there is no warning: few events in few days are nothing unusual, and no lookup could check `where`.
    """
    if selection.events is None:
        return
    logger.warning(
        "%s: Mixpanel has no event named %s%s. Check the spelling with `await client.lookups.event_names()`.",
        span(*map(str, dates)),
        " or ".join(map(repr, selection.events)),
        "" if selection.where is None else f" for where={selection.where!r}",
    )
