"""Templates of generated profiles: realistic JSON with holes for the values that differ from profile to profile."""

# ruff: noqa: S311 - random values must be reproducible, not secret

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from mixpanel_async.testing.data.json_lines import dump_json

TEMPLATE_COUNT = 256
"""How many templates there are for each seed."""

_NEVER_SEEN_SHARE = 0.05
_PLACEHOLDER_SHARE = 0.3
_PAID_SHARE = 0.3
_BUYER_SHARE = 0.2

HOLES = (
    ("$created", b'"$created":"2025-%02d-%02dT21:59:41",'),
    ("$email", b'"$email":"person%d@example.com",'),
    ("$name", b'"$name":"Person %d",'),
    ("Lifetime Value", b'"Lifetime Value":%d.5,'),
    ("referral code", b'"referral code":"%016x",'),
)
"""The holes of each template, after the distinct id: the name, which decides the hole's place among the sorted
properties, and its format."""

LAST_SEEN = ("$last_seen", b'"$last_seen":"2026-%02d-%02dT%02d:%02d:%02d",')
"""A hole like those in HOLES. A few templates do not have it: their users were never seen."""


@lru_cache(maxsize=8)
def profile_templates(seed: int) -> tuple[tuple[bytes, bool], ...]:
    """Return the templates of a seed, and for each whether it has the hole LAST_SEEN."""
    rng = random.Random(f"profile templates {seed}")
    return tuple(_make_template(rng, seen=rng.random() >= _NEVER_SEEN_SHARE) for _ in range(TEMPLATE_COUNT))


def _make_template(rng: random.Random, *, seen: bool) -> tuple[bytes, bool]:
    """Return one template with its properties sorted, and whether it has the hole LAST_SEEN."""
    properties = {name: make(rng) for name, make in _ALWAYS.items()}
    properties |= {name: _OPTIONAL[name](rng) for name in rng.sample(sorted(_OPTIONAL), k=rng.randint(6, 18))}
    if rng.random() < _PLACEHOLDER_SHARE:
        properties |= {name: rng.choice(_PLACEHOLDERS) for name in rng.sample(_MAYBE_PLACEHOLDER, k=2)}
    if rng.random() < _BUYER_SHARE:
        properties["$transactions"] = _transactions(rng)
    fields = [
        (name, (dump_json(name) + b":" + dump_json(value) + b",").replace(b"%", b"%%"))
        for name, value in properties.items()
    ]
    body = b"".join(text for _, text in sorted([*fields, *HOLES, *([LAST_SEEN] if seen else [])]))
    return b'{"$distinct_id":%b,"$properties":{' + body.removesuffix(b",") + b"}}", seen


def _transactions(rng: random.Random) -> list[dict[str, object]]:
    return [
        {"$amount": rng.randrange(9999) / 100, "$time": f"2025-0{rng.randint(1, 9)}-1{rng.randrange(10)}T08:15:00"}
        for _ in range(rng.randint(1, 6))
    ]


def _one_of(*values: object) -> Callable[[random.Random], Any]:
    return lambda rng: rng.choice(values)


def _words(rng: random.Random) -> str:
    return " ".join(rng.choices(_VOCABULARY, k=rng.randint(1, 6)))


_PLACEHOLDERS = ("<null>", "<undefined>")
_MAYBE_PLACEHOLDER = ("$first_name", "$os", "$last_name")
_VOCABULARY = ("naïve", "東京都", "привет", "😀", "50% off", 'say "hi"', "line\u2028end", "<b>", "gold", "renewal")

_ALWAYS: dict[str, Callable[[random.Random], Any]] = {
    "$browser": _one_of("Chrome", "Safari", "Firefox", "Mobile Safari"),
    "$browser_version": _one_of(91, 117.0, "91.0.4472.101"),
    "$city": _one_of("Spring Hill", "São Paulo", "München", "大阪市", None),
    "$country_code": _one_of("US", "BR", "DE", "JP", "TR"),
    "$first_name": _one_of("Ada", "Zoë", "太郎", "Łukasz"),
    "$geo_source": _one_of("ip", "reverse_geocoding"),
    "$initial_referrer": _one_of("$direct", "https://www.google.com/search?q=100%25"),
    "$last_name": _one_of("Lovelace", "Müller", "山田", "O'Neil"),
    "$mp_first_event_time": _one_of("2025-01-02T03:04:05", "2024-11-30T23:59:59"),
    "$os": _one_of("Mac OS X", "Windows", "iOS", "Android"),
    "$region": _one_of("Florida", "Bayern", "Ōsaka", ""),
    "$timezone": _one_of("America/New_York", "Europe/Berlin", "Asia/Tokyo"),
    "plan": _one_of("free", "pro", "enterprise", 3, None),
}

_OPTIONAL: dict[str, Callable[[random.Random], Any]] = {
    "$ae_first_open": _one_of("2025-03-01T00:00:00"),
    "$android_devices": lambda rng: [f"{rng.getrandbits(600):0150x}"],
    "$bucket": lambda rng: rng.randrange(100),
    "$carrier": _one_of("Vodafone", "T-Mobile", ""),
    "$libraries_used": _one_of(["web"], ["web", "iphone"]),
    "$phone": lambda rng: f"+1{rng.randrange(10**9, 10**10)}",
    "$predict_grade": _one_of("A", "B", "D"),
    "About me": lambda rng: " ".join(_words(rng) for _ in range(8)),
    "Company (legal name)": _words,
    "account.id": lambda rng: 2**53 + rng.getrandbits(9),
    "address": lambda rng: {"street": _words(rng), "geo": {"lat": rng.random(), "lon": rng.random()}},
    "bio": lambda rng: " ".join(_words(rng) for _ in range(6)),
    "churn score": lambda rng: rng.random(),
    "company ids": lambda rng: [str(rng.getrandbits(62)) for _ in range(rng.randint(0, 6))],
    "is_paid": lambda rng: rng.random() < _PAID_SHARE,
    "notes": _words,
    "nothing": _one_of(None),
    "push_tokens": lambda rng: [f"{rng.getrandbits(512):0128x}" for _ in range(rng.randint(0, 2))],
    "segments": lambda rng: rng.sample(["new", "vip", "été", "🔥", "", "x y"], k=rng.randint(0, 4)),
    "utm_campaign": _words,
    "utm_source": _one_of("google", "bing", "", 7),
    "UTM_source": _one_of("google", "newsletter"),
    "версия": _one_of("1.0", "1.1"),
}
