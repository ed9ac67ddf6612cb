"""Dates as a user writes them: `2026-01-31`, `today`, `yesterday`, `7d`."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

import mixpanel_async
from mixpanel_async import clock
from mixpanel_async.dates import ProjectDays, as_date

if TYPE_CHECKING:
    from mixpanel_async.client import MixpanelClient


@dataclass(frozen=True, slots=True)
class DaysAgo:
    """A date that is told by the project's today."""

    days: int

    def __str__(self) -> str:
        return {0: "today", 1: "yesterday"}.get(self.days, f"{self.days}d")


When = dt.date | DaysAgo


class WhenType(click.ParamType):  # type: ignore[type-arg] # not generic before click 8.4
    """The type of `--from` and `--to`."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> When:
        """Read it. Fails with what may be written."""
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return] # click converts a default, too
        if (word := {"today": 0, "yesterday": 1}.get(value)) is not None:
            return DaysAgo(word)
        if re.fullmatch("[0-9]{1,5}d", value, re.ASCII):
            return DaysAgo(int(value[:-1]))
        try:
            return as_date(value, "date")
        except ValueError as error:
            self.fail(f"{error} Or write today, yesterday or 7d (seven days ago).", param, ctx)


async def project_days(client: MixpanelClient) -> ProjectDays:
    """Ask Mixpanel for the project's time zone; a project secret does not tell it."""
    try:
        return ProjectDays(ZoneInfo((await client.project()).timezone))
    except (mixpanel_async.ConfigurationError, ZoneInfoNotFoundError, ValueError, OSError):
        return ProjectDays()


async def resolve(client: MixpanelClient, *whens: When | None) -> list[dt.date | None]:
    """Return dates, those that depend on it by the project's today. As in a sync, a date is over when it is over both
    in UTC and in the project's time zone.
    """
    known = ProjectDays()
    if any(isinstance(when, DaysAgo) for when in whens):
        known = await project_days(client)
    return [dated(when, known) for when in whens]


def dated(when: When | None, days: ProjectDays) -> dt.date | None:
    """Return the date, in these days."""
    if isinstance(when, DaysAgo):
        return days.earliest(clock.utc_now()) - dt.timedelta(days=when.days)
    return when
