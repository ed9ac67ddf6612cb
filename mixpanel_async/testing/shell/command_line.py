"""The options of ``python -m mixpanel_async.testing``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from mixpanel_async.testing.clock import FakeClock
from mixpanel_async.testing.faults.fault_plan import FaultPlan
from mixpanel_async.testing.shell.fault_option import GRAMMAR, WORDS, plan

_EXAMPLES = """\
By itself a fault happens to every export; with a page or an endpoint, to those. With a chance, the
same seed, dates and attempt meet the same faults again. For example:
--fault 503,chance=0.1 --fault cut=0.9,attempt=1 --fault session-expired,page=2,times=1"""


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the options; `None` takes the process's. Wrong ones end it with 2 and one line on stderr."""
    parser = _Parser(
        prog="python -m mixpanel_async.testing",
        description="Serve a fake Mixpanel on this machine, with generated data, until Ctrl-C or SIGTERM.\n"
        "It prints its URL first, then what it takes. Requests are logged on stderr.",
        epilog=f"FAULT is {GRAMMAR}\n{_faults()}\n\n{_EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_data(parser.add_argument_group("what it holds"))
    _add_manner(parser.add_argument_group("how it answers"))
    return parser.parse_args(argv)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line."""
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; --help shows the options\n")


def _add_data(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--days", type=_days, default=30, metavar="N", help="days that have events, the last is today (%(default)s)")
    add("--events", type=_count, default=1000, metavar="N", help="events a day (%(default)s)")
    add("--profiles", type=_count, default=1000, metavar="N", help="user profiles (%(default)s)")
    add("--seed", type=_count, default=0, metavar="N", help="another number makes others")
    add(
        "--today",
        type=_clock,
        metavar="DATE",
        help="what day it is, at noon UTC (default: now). Its clock stands still",
    )
    add(
        "--project",
        choices=["utc", "local"],
        default="utc",
        help="utc and simplified ids, as projects since 2023, or local time (US/Pacific) and original ids",
    )


def _add_manner(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--port", type=_port, default=0, metavar="N", help="where it listens, on 127.0.0.1 (default: any free port)")
    add("--latency", type=_number, default=0.0, metavar="SECONDS", help="time before an answer begins (0)")
    add("--bytes-per-second", type=_number, metavar="N", help="speed of each answer (default: as fast as it goes)")
    add("--limits", action=argparse.BooleanOptionalAction, default=True, help="Mixpanel's rate limits (default: on)")
    add("--cache", action="store_true", help="make each body once and keep it in memory")
    add("--fault", type=_fault, action="append", default=[], metavar="FAULT", help="what goes wrong; may be repeated")


def _faults() -> str:
    rows = [(name, "" if word.usual is None else f"={word.usual:g}", word.meaning) for name, word in WORDS.items()]
    rows.append(("503", "", "answer 503, or any other status from 400 to 599"))
    return "\n".join(f"  {name + usual:21} {meaning}" for name, usual, meaning in rows)


def _checked(read: Callable[[str], Any], what: str, holds: Callable[[Any], bool]) -> Callable[[str], Any]:
    """Make a type for argparse: what ``read`` gives, if it ``holds``."""

    def checked(text: str) -> Any:  # noqa: ANN401 - as read
        try:
            if holds(value := read(text)):
                return value
        except ValueError:
            pass
        msg = f"{text!r} is not {what}"
        raise argparse.ArgumentTypeError(msg)

    return checked


_days = _checked(int, "a whole number, 1 or more", lambda value: value >= 1)
_count = _checked(int, "a whole number, 0 or more", lambda value: value >= 0)
_number = _checked(float, "a number, 0 or more", lambda value: 0 <= value < float("inf"))
_port = _checked(int, "a port, 0 to 65535", lambda value: 0 <= value <= 65535)
_clock = _checked(FakeClock, "a date, such as 2026-01-31", lambda _: True)


def _fault(words: str) -> str:
    """Let through what can be planned."""
    try:
        plan(FaultPlan(), words)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return words
