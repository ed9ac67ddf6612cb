"""Users of generated events."""

# ruff: noqa: S311 - what is random here has to be the same again for the same seed

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from mixpanel_async.testing.data.json_lines import written

_ANONYMOUS = 0.3
_BY_UUID = 0.7

IDENTITY_EVENTS = ("$identify", "$create_alias", "$merge")
"""What projects with original ID merge export of their merging."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who does things: written out, ready to be filled in."""

    distinct_id: bytes
    device_id: bytes
    user_id: bytes
    merged_distinct_id: bytes
    """The distinct id after this user's device was merged with a known user."""
    merged_device_id: bytes
    """The device id, and after it the distinct id from before the merge."""
    ids: tuple[bytes, bytes]
    """The device's id and the user's, alone."""

    def identity_event(self, kind: int) -> tuple[bytes, bytes]:
        """Fill the holes of ``$device_id`` and ``$user_id`` in a row that is one of IDENTITY_EVENTS."""
        match IDENTITY_EVENTS[kind]:
            case "$identify":
                return b'"$anon_id":%b,"$identified_id":%b,' % self.ids, b""
            case "$merge":
                return b'"$distinct_ids":[%b,%b],' % self.ids, b""
        return b"", b'"alias":%b,' % self.ids[1]


@lru_cache(maxsize=8)
def users(seed: int, count: int, prefix: str = "$device:") -> tuple[User, ...]:
    """Return ``count`` users; three in ten are known by their device only: its id, with a prefix."""
    rng = random.Random(f"users {seed}")
    return tuple(_user(rng, prefix, anonymous=rng.random() < _ANONYMOUS) for _ in range(count))


def _user(rng: random.Random, prefix: str, *, anonymous: bool) -> User:
    device, user = _device(rng), rng.choice(_USER_IDS)(rng)
    device_field = b'"$device_id":' + written(device) + b","
    user_field = b'"distinct_id":' + written(user) + b","
    before = f"{prefix}{device}"
    return User(
        distinct_id=b'"distinct_id":' + written(before) + b"," if anonymous else user_field,
        device_id=device_field,
        user_id=b"" if anonymous else b'"$user_id":' + written(user) + b",",
        merged_distinct_id=user_field,
        merged_device_id=device_field + b'"$distinct_id_before_identity":' + written(before) + b",",
        ids=(written(device), written(user)),
    )


def make_uuid(rng: random.Random) -> str:
    """Return a random UUID."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _device(rng: random.Random) -> str:
    return make_uuid(rng) if rng.random() < _BY_UUID else f"{rng.getrandbits(160):042X}"


_USER_IDS: tuple[Callable[[random.Random], str], ...] = (
    make_uuid,
    lambda rng: str(rng.randrange(10**9)),
    lambda rng: f"user{rng.randrange(10**6)}@example.com",
    lambda rng: f"ユーザー{rng.randrange(10**5)}",
)
