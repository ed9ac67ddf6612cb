"""Templates of generated events: realistic lines with holes for the values that differ from row to row."""

# ruff: noqa: S311 - random values must be reproducible, not secret

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from mixpanel_async.testing.data.json_lines import dump_json
from mixpanel_async.testing.data.users import IDENTITY_EVENTS, make_uuid

TEMPLATE_COUNT = 384
"""How many templates there are for each seed, without those of IDENTITY_EVENTS."""

_PAID_SHARE = 0.3

EVENT_NAMES = {
    "Page View": 36.0,
    "$mp_web_page_view": 18.0,
    "Button Clicked": 14.0,
    "Product Viewed": 12.0,
    "Search": 8.0,
    "Add to Cart": 5.0,
    "App Opened 🚀": 3.0,
    "Signed up": 2.0,
    "signed up": 0.5,
    "Checkout Completed": 1.0,
    "支払い / Refund": 0.3,
    "plan.upgraded": 0.2,
}
"""The names of generated events, and their frequency in percent."""

HOLES = (
    ("$device_id", b"%b"),
    ("$insert_id", b"%b"),
    ("$mp_api_timestamp_ms", b'"$mp_api_timestamp_ms":%d,'),
    ("$user_id", b"%b"),
    ("Order Total", b'"Order Total":%d.25,'),
    ("mp_processing_time_ms", b'"mp_processing_time_ms":%d,'),
    ("sequence", b'"sequence":%d,'),
)
"""The holes of each template, after time and distinct_id: the name, which decides the hole's place among the sorted
properties, and its format. ``%b`` takes the whole ``"name":value,``, or nothing if the row lacks the property."""

_IDENTITY_TEMPLATES = tuple(
    b'{"event":"%b","properties":{"time":%%d,%%b%%b%%b"$mp_api_endpoint":"api.mixpanel.com",'
    b'"$mp_api_timestamp_ms":%%d,%%b%%.0a"mp_lib":"web","mp_processing_time_ms":%%d,"sequence":%%d}}\n' % name.encode()
    for name in IDENTITY_EVENTS
)


@lru_cache(maxsize=8)
def event_templates(seed: int) -> tuple[bytes, ...]:
    """Return the templates of a seed. Format them with the time, the distinct id and the values of HOLES.

    There are TEMPLATE_COUNT templates, and after them one for each of IDENTITY_EVENTS.
    """
    rng = random.Random(f"templates {seed}")
    names = rng.choices(list(EVENT_NAMES), list(EVENT_NAMES.values()), k=TEMPLATE_COUNT)
    return (*(_make_template(rng, name) for name in names), *_IDENTITY_TEMPLATES)


@lru_cache(maxsize=8)
def template_names(seed: int) -> tuple[bytes, ...]:
    """Return the start of each template: the line up to the end of the event's name."""
    return tuple(template.partition(b',"properties":')[0] for template in event_templates(seed))


def _make_template(rng: random.Random, event: str) -> bytes:
    """Return one template: ``time``, ``distinct_id``, then all other properties sorted, as Mixpanel exports them."""
    optional = rng.sample(sorted(_OPTIONAL), k=rng.randint(4, 18))
    properties = {name: make(rng) for name, make in _ALWAYS.items()}
    properties |= {name: _OPTIONAL[name](rng) for name in optional}
    fields = [(name, _field(name, value)) for name, value in properties.items()]
    body = b"".join(text for _, text in sorted([*fields, *HOLES]))
    start = _escape_percent(b'{"event":' + dump_json(event)) + b',"properties":{"time":%d,%b'
    return start + body.removesuffix(b",") + b"}}\n"


def _field(name: str, value: object) -> bytes:
    return _escape_percent(dump_json(name) + b":" + dump_json(value)) + b","


def _escape_percent(text: bytes) -> bytes:
    """Escape ``%``, which otherwise starts a hole."""
    return text.replace(b"%", b"%%")


def _one_of(*values: object) -> Callable[[random.Random], Any]:
    return lambda rng: rng.choice(values)


def _text(rng: random.Random) -> str:
    return " ".join(rng.choices(_WORDS, k=rng.randint(1, 6)))


def _items(rng: random.Random) -> list[dict[str, object]]:
    return [
        {"sku": f"SKU-{rng.randrange(10**6)}", "qty": rng.randint(1, 9), "price": rng.randrange(9999) / 100}
        for _ in range(rng.randint(0, 3))
    ]


def _context(rng: random.Random) -> dict[str, object]:
    page = {"path": f"/p/{rng.randrange(999)}", "title": _text(rng), "depth": {"scroll": rng.random()}}
    return {"page": page, "flags": rng.sample(["a", "b", "c", "d"], k=2), "parent": None}


_WORDS = (
    *("alpha", "bravo", "naïve", "Übergröße", "東京都", "привет", "😀", "👩‍👩‍👧", "50% off"),
    *(
        'say "hi"',
        "back\\slash",
        "tab\there",
        "line\u2028separator",
        "next\u0085line",
        "<b>",
        "null",
        "e\u0301",
    ),
)

_ALWAYS: dict[str, Callable[[random.Random], Any]] = {
    "$browser": _one_of("Chrome", "Safari", "Firefox", "Mobile Safari", "Samsung Internet"),
    "$browser_version": _one_of(91, 117.0, "91.0.4472.101", "16.6"),
    "$city": _one_of("Spring Hill", "São Paulo", "München", "大阪市", "İstanbul", None),
    "$current_url": lambda rng: f"https://shop.example.com/{rng.randrange(999)}?q=100%25#top",
    "$mp_api_endpoint": _one_of("api.mixpanel.com", "api-js.mixpanel.com", "api-eu.mixpanel.com"),
    "$mp_event_size": lambda rng: rng.randint(200, 1400),
    "$os": _one_of("Mac OS X", "Windows", "iOS", "Android", "Linux"),
    "mp_country_code": _one_of("US", "BR", "DE", "JP", "TR"),
    "mp_lib": _one_of("web", "iphone", "android", "python", "Segment: analytics-wordpress"),
}

_OPTIONAL: dict[str, Callable[[random.Random], Any]] = {
    "$import": lambda _: True,
    "$initial_referrer": _one_of("$direct", "https://www.google.com/"),
    "$initial_referring_domain": _one_of("$direct", "www.google.com"),
    "$lib_version": _one_of("2.47.0", "4.2.1", "2.10"),
    "$referrer": lambda rng: f"https://www.example.org/{make_uuid(rng)}",
    "$region": _one_of("Florida", "São Paulo", "Bayern", "Ōsaka", ""),
    "$screen_height": _one_of(1080, 812, 1440.0),
    "$screen_width": _one_of(1920, 375, 2560),
    "Browse Filter": lambda rng: rng.sample(_WORDS, k=rng.randint(0, 5)),
    "Campaign Name": _text,
    "Cart Size (# of Items)": lambda rng: rng.randint(0, 40),
    "Plan": _one_of("free", "pro", None),
    "UTM_source": _one_of("google", "newsletter"),
    "account.id": lambda rng: 2**53 + rng.getrandbits(9),
    "big negative": lambda rng: -(2**63) + rng.getrandbits(9),
    "context": _context,
    "created_at": lambda rng: f"2025-0{rng.randint(1, 9)}-1{rng.randrange(10)}T21:59:41",
    "experiment/variant": _one_of("control", "B", 1, 2.5),
    "is_paid": lambda rng: rng.random() < _PAID_SHARE,
    "items": _items,
    "latency": lambda rng: rng.choice((0.1 + 0.2, 1e-7, 1.5e300, -0.0, rng.random())),
    "nothing": _one_of(None),
    "notes": _text,
    "plan": _one_of("free", "pro", 3),
    'quoted "name"': _text,
    "referral code": lambda rng: f"{rng.getrandbits(64):016x}",
    "session id": make_uuid,
    "tags": lambda rng: rng.sample(["new", "sale", "été", "🔥", "", "x y"], k=rng.randint(0, 4)),
    "utm_campaign": _text,
    "utm_source": _one_of("google", "bing", "", 7),
    "версия": _one_of("1.0", "1.1"),
    "zero": _one_of(0, 0.0, "0", "\x00"),
}
