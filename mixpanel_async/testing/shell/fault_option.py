"""Parses faults that are given as text, as in the option ``--fault cut=0.5,chance=0.1``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mixpanel_async.testing.faults.fault import Fault
from mixpanel_async.testing.faults.fault_plan import FaultPlan

SYNTAX = "NAME[=VALUE][,chance=0.1][,seed=1][,times=3][,attempt=1][,date=2026-01-31][,page=2][,endpoint=engage]"


@dataclass(frozen=True, slots=True)
class _FaultName:
    """A fault that the option offers."""

    help: str
    make: Callable[[Any], Fault]
    """Makes the fault from its value."""
    parse: Callable[[str], Any] | None = None
    """Parses the value; None for a fault without a value."""
    default: Any = None
    """The value if the text has none."""


def _fraction(text: str) -> float:
    if not 0 <= (fraction := float(text)) <= 1:
        raise ValueError
    return fraction


FAULT_NAMES = {
    "cut": _FaultName(
        "close after this share of the body", lambda value: Fault.cut(after_fraction=value), _fraction, 0.5
    ),
    "hang-up": _FaultName("close new connections at once", lambda _: Fault.hang_up()),
    "reset": _FaultName("reset the connection before the headers", lambda _: Fault.reset()),
    "stall": _FaultName(
        "send the headers, then nothing for N seconds", lambda value: Fault.stall(seconds=value), float, 3600
    ),
    "delay": _FaultName("send nothing, not even headers, for N seconds", Fault.first_byte_delay, float, 60),
    "drip": _FaultName("send N bytes a second, each in its own write", Fault.slow_drip, float, 100),
    "terminated-early": _FaultName("end after N lines with this text", Fault.terminated_early, int),
    "half-line": _FaultName("end in the middle of the line after N lines", Fault.half_line, int, 10),
    "missing-rows": _FaultName("end cleanly after N lines", Fault.missing_rows, int, 10),
    "error-line": _FaultName("insert a line with an error after N lines", Fault.error_line, int, 10),
    "bad-crc": _FaultName("send a wrong checksum in the gzip trailer", lambda _: Fault.bad_crc()),
    "timeout-error": _FaultName("respond with 400 and Mixpanel's Timeout Error.", lambda _: Fault.timeout_error()),
    "session-expired": _FaultName("end the session of a page of profiles", lambda _: Fault.session_expired()),
    "html": _FaultName("respond with 200 and a web page", lambda _: Fault.html()),
    "429": _FaultName("respond with 429, and Retry-After if there is a value", Fault.rate_limited, float),
}
"""The names of faults. Any other status from 400 to 599 is also a name."""

_OPTIONS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "chance": ("chance", _fraction),
    "seed": ("seed", int),
    "times": ("times", int),
    "attempt": ("attempts", lambda text: [int(text)]),
    "date": ("date", str),
    "page": ("page", int),
    "endpoint": ("endpoint", str),
}
"""For each option of a fault, the argument of FaultPlan.add and what parses it."""


def add_fault(faults: FaultPlan, text: str) -> None:
    """Plan the fault that ``text`` describes; raises ValueError with a message for the user."""
    first, *rest = text.split(",")
    fault = _parse_fault(*_split_value(first))
    arguments = {}
    for name, value in map(_split_value, rest):
        if name not in _OPTIONS or value is None:
            msg = f"unknown option {name!r}: expected one of {', '.join(f'{option}=...' for option in _OPTIONS)}"
            raise ValueError(msg)
        argument, parse = _OPTIONS[name]
        arguments[argument] = _parse_value(name, parse, value)
    faults.add(fault, **arguments)


def _parse_fault(name: str, value: str | None) -> Fault:
    if name not in FAULT_NAMES and name.isdecimal() and 400 <= int(name) <= 599 and value is None:
        return Fault.status(int(name))
    if name not in FAULT_NAMES:
        msg = f"there is no fault {name!r}; there are {', '.join(FAULT_NAMES)} and the statuses 400 to 599"
        raise ValueError(msg)
    fault_name = FAULT_NAMES[name]
    if value is None:
        return fault_name.make(fault_name.default)
    if fault_name.parse is None:
        msg = f"{name} takes no value"
        raise ValueError(msg)
    return fault_name.make(_parse_value(name, fault_name.parse, value))


def _parse_value(name: str, parse: Callable[[str], Any], text: str) -> Any:  # noqa: ANN401 - the tables give the type
    try:
        value = parse(text)
    except ValueError:
        value = -1
    if isinstance(value, int | float) and not 0 <= value < float("inf"):
        kind = "a share, from 0 to 1" if parse is _fraction else "a number, 0 or more"
        msg = f"{name}={text} is not {kind}"
        raise ValueError(msg)
    return value


def _split_value(text: str) -> tuple[str, str | None]:
    name, equals, value = text.strip().partition("=")
    return name, value if equals else None
