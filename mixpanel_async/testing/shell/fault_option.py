"""Faults in words, as a command line has them: ``cut=0.5,chance=0.1``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mixpanel_async.testing.faults.fault import Fault
from mixpanel_async.testing.faults.fault_plan import FaultPlan

GRAMMAR = "NAME[=VALUE][,chance=0.1][,seed=1][,times=3][,attempt=1][,date=2026-01-31][,page=2][,endpoint=engage]"


@dataclass(frozen=True, slots=True)
class _Word:
    """A fault's name on the command line: what its value is, and what it makes of it."""

    meaning: str
    make: Callable[[Any], Fault]
    value: Callable[[str], Any] | None = None
    usual: Any = None


def _share(text: str) -> float:
    if not 0 <= (share := float(text)) <= 1:
        raise ValueError
    return share


WORDS = {
    "cut": _Word("close after this share of the body", lambda share: Fault.cut(after_fraction=share), _share, 0.5),
    "hang-up": _Word("close new connections at once", lambda _: Fault.hang_up()),
    "reset": _Word("reset the connection before any header", lambda _: Fault.reset()),
    "stall": _Word("send the headers, then nothing for so many seconds", lambda s: Fault.stall(seconds=s), float, 3600),
    "delay": _Word("send nothing at all for so many seconds", Fault.first_byte_delay, float, 60),
    "drip": _Word("send so many bytes a second, each by itself", Fault.slow_drip, float, 100),
    "terminated-early": _Word("end after so many lines with that note", Fault.terminated_early, int),
    "half-line": _Word("end in the middle of the line after so many", Fault.half_line, int, 10),
    "missing-rows": _Word("end after so many lines as if that were all", Fault.missing_rows, int, 10),
    "error-line": _Word("put a line with an error after so many", Fault.error_line, int, 10),
    "bad-crc": _Word("send a wrong checksum in the gzip trailer", lambda _: Fault.bad_crc()),
    "timeout-error": _Word("answer 400 with Mixpanel's Timeout Error.", lambda _: Fault.timeout_error()),
    "session-expired": _Word("forget the session of a page of profiles", lambda _: Fault.session_expired()),
    "html": _Word("answer 200 with a web page", lambda _: Fault.html()),
    "429": _Word("answer 429, with Retry-After if there is a value", Fault.rate_limited, float),
}
"""All names but the statuses: any other number from 400 to 599 is one."""

_CHOICES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "chance": ("chance", _share),
    "seed": ("seed", int),
    "times": ("times", int),
    "attempt": ("attempts", lambda text: [int(text)]),
    "date": ("date", str),
    "page": ("page", int),
    "endpoint": ("endpoint", str),
}


def plan(faults: FaultPlan, words: str) -> None:
    """Plan the fault that ``words`` describe; raises ValueError, with a message for who wrote them."""
    first, *rest = words.split(",")
    fault = _fault(*_parted(first))
    choices = {}
    for name, text in map(_parted, rest):
        if name not in _CHOICES or text is None:
            msg = f"{name!r} is none of {', '.join(f'{choice}=...' for choice in _CHOICES)}"
            raise ValueError(msg)
        argument, read = _CHOICES[name]
        choices[argument] = _read(name, read, text)
    faults.add(fault, **choices)


def _fault(name: str, text: str | None) -> Fault:
    if name not in WORDS and name.isdecimal() and 400 <= int(name) <= 599 and text is None:
        return Fault.status(int(name))
    if name not in WORDS:
        msg = f"there is no fault {name!r}; there are {', '.join(WORDS)} and the statuses 400 to 599"
        raise ValueError(msg)
    word = WORDS[name]
    if text is None:
        return word.make(word.usual)
    if word.value is None:
        msg = f"{name} takes no value"
        raise ValueError(msg)
    return word.make(_read(name, word.value, text))


def _read(name: str, read: Callable[[str], Any], text: str) -> Any:  # noqa: ANN401 - what it is, the table says
    try:
        value = read(text)
    except ValueError:
        value = -1
    if isinstance(value, int | float) and not 0 <= value < float("inf"):
        kind = "a share, from 0 to 1" if read is _share else "a number, 0 or more"
        msg = f"{name}={text} is not {kind}"
        raise ValueError(msg)
    return value


def _parted(word: str) -> tuple[str, str | None]:
    name, equals, text = word.strip().partition("=")
    return name, text if equals else None
