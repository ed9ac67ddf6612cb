"""ProfileSource, the protocol of all sources of profiles; and GivenProfiles, which are given one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mixpanel_async.testing.data.json_lines import dump_json

Profile = Mapping[str, Any]
"""A profile as Mixpanel returns it: ``{"$distinct_id": id, "$properties": {...}}``."""


class Snapshot(Protocol):
    """The profiles at one moment. They never change."""

    def __len__(self) -> int:
        """Return the number of profiles."""

    def distinct_ids(self) -> Iterator[str]:
        """Yield the distinct ids, in order. They are unique."""

    def written(self, places: Sequence[int]) -> list[bytes]:
        """Return the profiles at these places (from 0), each as JSON in the form of ``dump_profile``."""


class ProfileSource(Protocol):
    """A source of profiles."""

    def snapshot(self) -> Snapshot:
        """Return the present profiles."""


def dump_profile(distinct_id: str, properties: Mapping[str, Any]) -> bytes:
    """Encode a profile as Mixpanel does: compact JSON, the distinct id first."""
    return dump_json({"$distinct_id": distinct_id, "$properties": properties})


class GivenProfiles:
    """Profiles that are given one by one. They may be changed while the server runs."""

    __slots__ = ("_profiles",)

    def __init__(self, profiles: Iterable[Profile] = ()) -> None:
        """Store the given profiles. The last profile with a distinct id replaces earlier ones.

        Raises ValueError for a profile without ``$properties``, or whose ``$distinct_id`` is not a string.
        """
        self._profiles: dict[str, bytes] = {}
        for profile in profiles:
            distinct_id, properties = profile.get("$distinct_id"), profile.get("$properties")
            if not isinstance(distinct_id, str) or not isinstance(properties, Mapping):
                msg = f'a profile is {{"$distinct_id": "...", "$properties": {{...}}}}: {profile!r:.200}'
                raise ValueError(msg)  # noqa: TRY004 - the profile is wrong, not the type of an argument
            self.set(distinct_id, properties)

    def set(self, distinct_id: str, properties: Mapping[str, Any]) -> None:
        """Replace a profile, or add a new one at the end."""
        self._profiles[distinct_id] = dump_profile(distinct_id, properties)

    def delete(self, distinct_id: str) -> None:
        """Delete a profile; raises KeyError if it does not exist."""
        del self._profiles[distinct_id]

    def snapshot(self) -> Snapshot:
        """Return the present profiles, in the order in which they were added."""
        profiles = self._profiles.copy()  # atomic, because another thread may change the dict
        return _GivenSnapshot(tuple(profiles), tuple(profiles.values()))


@dataclass(frozen=True, slots=True)
class _GivenSnapshot:
    """A snapshot of GivenProfiles, already encoded."""

    ids: tuple[str, ...]
    profiles: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def distinct_ids(self) -> Iterator[str]:
        return iter(self.ids)

    def written(self, places: Sequence[int]) -> list[bytes]:
        return [self.profiles[place] for place in places]
