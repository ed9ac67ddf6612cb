"""Rules of the query endpoints that Mixpanel's docs leave open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRules:
    """How queries behave where Mixpanel's docs say little or several things were seen."""

    page_size: int = 1000
    """How many profiles are on a page, where the query does not say."""
    total_on_first_page: bool = True
    """Whether ``total`` stands on the first page of profiles, as always seen."""
    total_on_every_page: bool = False
    """Whether ``total`` stands on the other pages too."""
    pages_are_counted: bool = False
    """Whether a page that names its session takes a token of the hour too, against all that was seen."""
    session_seconds: float | None = None
    """How long a session of profile pages lasts by ``clock.monotonic()``. Mixpanel does not say; None: for ever."""
    session_pages: int | None = None
    """How many pages a session hands out, the first included; None: any number."""
    page_without_session: Literal["400", "served"] = "400"
    """A page beyond the first without ``session_id``: refused (inferred), or served from a new session."""
    behaviors_with_cohort: Literal["400", "both"] = "400"
    """``behaviors`` with ``filter_by_cohort``, which Mixpanel's docs rule out: refused (inferred), or both hold."""
    unknown_cohort: Literal["400", "empty"] = "400"
    """A cohort that there is not: refused, or nobody is in it (both inferred)."""
    history_days: int | None = None
    """How far back lookups by date may reach before they are refused with 403; None: any time."""
    entries: int | None = None
    """How many entries of the lexicon, or annotations, an answer has at the most: the cursor of the next page stands in
    its ``pagination`` (seen of lists of the app's API); None: all, and no such member."""
