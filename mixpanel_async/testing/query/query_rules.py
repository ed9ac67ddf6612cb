"""QueryRules: how query endpoints behave where Mixpanel's docs say little or several behaviours were seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRules:
    """How query endpoints behave. "Inferred" means that no real response of this kind is known."""

    page_size: int = 1000
    """How many profiles a page has if the request does not say."""
    total_on_first_page: bool = True
    """Whether the first page of profiles has ``total``. Mixpanel's has always had it."""
    total_on_every_page: bool = False
    """Whether the other pages have ``total`` too."""
    pages_are_counted: bool = False
    """Whether a page with a ``session_id`` counts in the hourly limit. Mixpanel's pages have never counted."""
    session_seconds: float | None = None
    """How many seconds, by ``clock.monotonic()``, a session of profile pages lasts. None: it never expires. Mixpanel
    does not document this."""
    session_pages: int | None = None
    """How many pages a session has, the first included. None: any number."""
    page_without_session: Literal["400", "served"] = "400"
    """A page after the first without ``session_id``: refused with 400 (inferred), or served from a new session."""
    behaviors_with_cohort: Literal["400", "both"] = "400"
    """``behaviors`` together with ``filter_by_cohort``, which Mixpanel's docs exclude: refused with 400 (inferred), or
    both apply."""
    unknown_cohort: Literal["400", "empty"] = "400"
    """An unknown cohort: refused with 400, or treated as empty (both inferred)."""
    history_days: int | None = None
    """How many days before today the requested dates may begin; earlier dates get 403. None: any number."""
    entries: int | None = None
    """How many lexicon entries or annotations a response has at most. The cursor of the next page is in the response's
    ``pagination``, as in lists of the app API. None: a response has all entries and no ``pagination``."""
