"""The users of generated events and profiles, with their ids already encoded as JSON."""

# ruff: noqa: S311 - random values must be reproducible, not secret

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from mixpanel_async.testing.data.json_lines import dump_json

IDENTITY_EVENTS = ("$identify", "$create_alias", "$merge")
"""The events about identity that projects with original ID merge export."""

_ANONYMOUS_SHARE = 0.3
_UUID_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class User:
    """A user. Except ``ids``, each field is the JSON text ``"name":value,`` or empty, to be inserted in a template."""

    distinct_id: bytes
    device_id: bytes
    user_id: bytes
    """Empty for an anonymous user."""
    merged_distinct_id: bytes
    """The distinct id after this user's device was merged with a known user."""
    merged_device_id: bytes
    """The device id, followed by ``$distinct_id_before_identity``."""
    ids: tuple[bytes, bytes]
    """The values of the device id and the user id, as JSON."""

    def identity_fields(self, kind: int) -> tuple[bytes, bytes]:
        """Return the texts for the holes ``$device_id`` and ``$user_id`` of ``IDENTITY_EVENTS[kind]``."""
        match IDENTITY_EVENTS[kind]:
            case "$identify":
                return b'"$anon_id":%b,"$identified_id":%b,' % self.ids, b""
            case "$merge":
                return b'"$distinct_ids":[%b,%b],' % self.ids, b""
        return b"", b'"alias":%b,' % self.ids[1]


@lru_cache(maxsize=8)
def make_users(seed: int, count: int, prefix: str = "$device:") -> tuple[User, ...]:
    """Return ``count`` users. 30% are anonymous: their distinct id is the prefix and the device id."""
    rng = random.Random(f"users {seed}")
    return tuple(_make_user(rng, prefix, anonymous=rng.random() < _ANONYMOUS_SHARE) for _ in range(count))


def make_uuid(rng: random.Random) -> str:
    """Return a random UUID."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _make_user(rng: random.Random, prefix: str, *, anonymous: bool) -> User:
    device, user = _make_device_id(rng), rng.choice(_USER_IDS)(rng)
    device_field = b'"$device_id":' + dump_json(device) + b","
    user_field = b'"distinct_id":' + dump_json(user) + b","
    before = f"{prefix}{device}"
    return User(
        distinct_id=b'"distinct_id":' + dump_json(before) + b"," if anonymous else user_field,
        device_id=device_field,
        user_id=b"" if anonymous else b'"$user_id":' + dump_json(user) + b",",
        merged_distinct_id=user_field,
        merged_device_id=device_field + b'"$distinct_id_before_identity":' + dump_json(before) + b",",
        ids=(dump_json(device), dump_json(user)),
    )


def _make_device_id(rng: random.Random) -> str:
    return make_uuid(rng) if rng.random() < _UUID_SHARE else f"{rng.getrandbits(160):042X}"


_USER_IDS: tuple[Callable[[random.Random], str], ...] = (
    make_uuid,
    lambda rng: str(rng.randrange(10**9)),
    lambda rng: f"user{rng.randrange(10**6)}@example.com",
    lambda rng: f"ユーザー{rng.randrange(10**5)}",
)
