"""When requests of a project began in the last hour, which of its exports run, and the pauses after a 429: one state of
the record that all processes share. Pure.

Times are in seconds since 1970, by the clock of the process that wrote them. A clock that is ahead holds no request for
longer than a window: what lies in the future counts as now.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from mixpanel_async.api.budget import HOUR, Usage, Wait, longest_wait
from mixpanel_async.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixpanel_async.api.budget import Window

LEASE = 120.0
"""Seconds after which an export that was not renewed counts as ended: its process was killed."""
ASK_AGAIN = 2.0
"""Seconds to wait for one of the exports that run."""


class BudgetState(msgspec.Struct, frozen=True, kw_only=True):
    """One state. Each change makes a new one."""

    version: int = 1
    by: str = ""
    """Tells it from a state that another process makes at the same time."""
    started: dict[str, float] = {}
    """When each request began that a window still counts."""
    running: dict[str, float] = {}
    """When each export that runs was last renewed."""
    paused_until: float = 0.0
    counted_paused_until: float = 0.0

    def to_json(self) -> bytes:
        """Return it as a file has it."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes, name: str) -> BudgetState:
        """Read what `to_json` wrote. Raises StoreError if another version wrote it, or it is damaged."""
        try:
            state = msgspec.json.decode(data, type=cls)
        except msgspec.MsgspecError as error:
            raise StoreError(f"{name} is not a record of requests of this version: {error}.") from None
        if state.version != 1:
            raise StoreError(f"{name} was written by a newer version of this library: upgrade.")
        return state

    def at(self, now: float) -> BudgetState:
        """Return it without what no longer counts."""
        return self._with(
            started={key: min(at, now) for key, at in self.started.items() if at > now - HOUR},
            running={key: min(at, now) for key, at in self.running.items() if at > now - LEASE},
        )

    def wait(self, windows: Sequence[Window] | None, now: float) -> Wait | None:
        """See `Record.wait`."""
        times = sorted(self.started.values())
        counted_until = -math.inf if windows is None else self.counted_paused_until

        def nth_last(number: int) -> float | None:
            return times[-number] if len(times) >= number else None

        return longest_wait(now, windows or (), nth_last, self.paused_until, counted_until)

    def wait_to_run(self, concurrent: int, windows: Sequence[Window], now: float) -> Wait | None:
        """Return what an export waits for before its first request."""
        if len(self.running) >= concurrent:
            return Wait(ASK_AGAIN, f"the limit of {concurrent:,} exports at once")
        return self.wait(windows, now)

    def usage(self, now: float) -> Usage:
        """See `Record.usage`."""
        return Usage(now, sorted(self.started.values()), self.paused_until, self.counted_paused_until)

    def with_request(self, key: str, now: float) -> BudgetState:
        """Count a request."""
        return self._with(started={**self.started, key: now})

    def with_run(self, key: str, now: float) -> BudgetState:
        """Note an export that runs, or that it still does."""
        return self._with(running={**self.running, key: now})

    def without(self, key: str) -> BudgetState:
        """Forget the request of this key."""
        return self._with(started={each: at for each, at in self.started.items() if each != key})

    def without_run(self, key: str) -> BudgetState:
        """Forget the export of this key."""
        return self._with(running={each: at for each, at in self.running.items() if each != key})

    def with_pause(self, until: float, *, counted_only: bool) -> BudgetState:
        """Pause; a longer pause that runs stays."""
        if counted_only:
            return self._with(counted_paused_until=max(self.counted_paused_until, until))
        return self._with(paused_until=max(self.paused_until, until))

    def _with(self, **changes: object) -> BudgetState:
        return msgspec.structs.replace(self, **changes)
