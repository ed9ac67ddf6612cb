"""Where the fake server's profiles come from: the protocol, profiles given one by one, and generated ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mixpanel_async.testing.data.json_lines import written

Profile = Mapping[str, Any]
"""One profile as Mixpanel returns it: ``{"$distinct_id": id, "$properties": {...}}``."""


class Snapshot(Protocol):
    """Profiles as they were at one moment; they do not change any more."""

    def __len__(self) -> int:
        """Return how many there are."""

    def distinct_ids(self) -> Iterator[str]:
        """Yield their distinct ids, in order; no two are the same."""

    def written(self, places: Sequence[int]) -> list[bytes]:
        """Return the profiles at these places, counted from 0: JSON as ``written_profile`` puts it."""


class ProfileSource(Protocol):
    """Anything that can say which profiles Mixpanel holds."""

    def snapshot(self) -> Snapshot:
        """Return the profiles of now."""


def written_profile(distinct_id: str, properties: Mapping[str, Any]) -> bytes:
    """Write a profile as Mixpanel does: compact JSON, the distinct id first."""
    return written({"$distinct_id": distinct_id, "$properties": properties})


class GivenProfiles:
    """Profiles given one by one. They may be changed while the server runs."""

    __slots__ = ("_held",)

    def __init__(self, profiles: Iterable[Profile] = ()) -> None:
        """Hold the profiles given; the last of several with the same distinct id counts.

        Raises ValueError for one without a ``$distinct_id`` that is a string, or without ``$properties``.
        """
        self._held: dict[str, bytes] = {}
        for profile in profiles:
            distinct_id, properties = profile.get("$distinct_id"), profile.get("$properties")
            if not isinstance(distinct_id, str) or not isinstance(properties, Mapping):
                msg = f'a profile is {{"$distinct_id": "...", "$properties": {{...}}}}: {profile!r:.200}'
                raise ValueError(msg)  # noqa: TRY004 - what is wrong is the profile, not the type of an argument
            self.set(distinct_id, properties)

    def set(self, distinct_id: str, properties: Mapping[str, Any]) -> None:
        """Replace a profile, or add one at the end."""
        self._held[distinct_id] = written_profile(distinct_id, properties)

    def delete(self, distinct_id: str) -> None:
        """Delete a profile; raises KeyError if there is none."""
        del self._held[distinct_id]

    def snapshot(self) -> Snapshot:
        """Return the profiles of now, in the order in which they were added."""
        held = self._held.copy()  # in one step, since another thread may be changing it
        return _Held(tuple(held), tuple(held.values()))


@dataclass(frozen=True, slots=True)
class _Held:
    """Profiles that were written at once."""

    ids: tuple[str, ...]
    profiles: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def distinct_ids(self) -> Iterator[str]:
        return iter(self.ids)

    def written(self, places: Sequence[int]) -> list[bytes]:
        return [self.profiles[place] for place in places]
