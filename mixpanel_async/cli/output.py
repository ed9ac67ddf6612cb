"""Results on stdout, as text or as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

import click

if TYPE_CHECKING:
    from mixpanel_async.types import FetchResult, ParallelFetchResult, ParallelProfileFetchResult

    Fetched = FetchResult | ParallelFetchResult | ParallelProfileFetchResult


class Result(Protocol):
    """What a call returns: it prints, and has a dict."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        ...


def show(result: Result, *, as_json: bool) -> None:
    """Print a result."""
    click.echo(as_text(result.to_dict()) if as_json else str(result))


def show_fetched(result: Fetched, mends: dict[str, str], *, as_json: bool) -> int:
    """Print what came, and for each part that failed the command that fetches it. Return the exit code."""
    if as_json:
        click.echo(as_text(_with_failures(result)))
    else:
        click.echo(str(result))
    for part, command in mends.items():
        click.echo(f"{part} can be fetched with:\n  {command}", err=True)
    return 1 if result.has_failures else 0


def _with_failures(result: Fetched) -> dict[str, Any]:
    more = {
        "failures": [failure.to_dict() for failure in getattr(result, "failures", ())],
        "rejected_rows": getattr(result, "rejected_rows", None),
        "warnings": list(getattr(result, "warnings", ())),
        "page_errors": list(getattr(result, "page_errors", ())),
    }
    return {**result.to_dict(), **{name: value for name, value in more.items() if hasattr(result, name)}}


def as_text(value: object) -> str:
    """Return JSON, in one line."""
    return json.dumps(value, ensure_ascii=False)
