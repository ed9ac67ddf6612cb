"""The options of ``python -m mixpanel_async.testing``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from mixpanel_async.testing.clock import FakeClock
from mixpanel_async.testing.faults.fault_plan import FaultPlan
from mixpanel_async.testing.shell.fault_option import FAULT_NAMES, SYNTAX, add_fault

_EXAMPLES = """\
A fault happens to every export; with page or endpoint, to requests for that page or to that endpoint.
With chance, the same seed, dates and attempt always give the same result. For example:
--fault 503,chance=0.1 --fault cut=0.9,attempt=1 --fault session-expired,page=2,times=1"""


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the options; None means the process's arguments.

    Raises SystemExit: with 2 for wrong options, after one line on stderr, and with 0 after ``--help``.
    """
    parser = _Parser(
        prog="python -m mixpanel_async.testing",
        description="Serve a fake Mixpanel on this machine, with generated data, until Ctrl-C or SIGTERM.\n"
        "It prints its URL first, then the credentials. Requests are logged on stderr.",
        epilog=f"FAULT is {SYNTAX}\n"
        f"The names, with their default values (N is the value):\n{_fault_table()}\n\n{_EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_data_options(parser.add_argument_group("data"))
    _add_server_options(parser.add_argument_group("server"))
    return parser.parse_args(argv)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print the error in one line and exit with 2."""
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; --help shows the options\n")


def _add_data_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--days", type=_days, default=30, metavar="N", help="days with events; the last one is today (%(default)s)")
    add("--events", type=_count, default=1000, metavar="N", help="events a day (%(default)s)")
    add("--profiles", type=_count, default=1000, metavar="N", help="user profiles (%(default)s)")
    add("--seed", type=_count, default=0, metavar="N", help="another seed generates other data (%(default)s)")
    add(
        "--today",
        type=_clock,
        metavar="DATE",
        help="the present day, at noon UTC (default: now). The clock stands still",
    )
    add(
        "--project",
        choices=["utc", "local"],
        default="utc",
        help="utc: UTC and simplified ids, as projects since 2023 (default); local: US/Pacific and original ids",
    )


def _add_server_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--port", type=_port, default=0, metavar="N", help="the port on 127.0.0.1 (default: any free port)")
    add("--latency", type=_number, default=0.0, metavar="SECONDS", help="time before the headers of a response (0)")
    add("--bytes-per-second", type=_number, metavar="N", help="speed of each response (default: no limit)")
    add("--limits", action=argparse.BooleanOptionalAction, default=True, help="Mixpanel's rate limits (default: on)")
    add("--cache", action="store_true", help="make each body once and keep it in memory")
    add("--fault", type=_fault, action="append", default=[], metavar="FAULT", help="what goes wrong; may be repeated")


def _fault_table() -> str:
    rows = [
        (name, "" if fault.default is None else f"={fault.default:g}", fault.help)
        for name, fault in FAULT_NAMES.items()
    ]
    rows.append(("503", "", "respond with 503, or any other status from 400 to 599"))
    return "\n".join(f"  {name + default:21} {text}" for name, default, text in rows)


def _checked(parse: Callable[[str], Any], kind: str, is_valid: Callable[[Any], bool]) -> Callable[[str], Any]:
    """Make a type for argparse: the parsed value, if it is valid."""

    def parse_and_check(text: str) -> Any:  # noqa: ANN401 - the type that `parse` returns
        try:
            if is_valid(value := parse(text)):
                return value
        except ValueError:
            pass
        msg = f"{text!r} is not {kind}"
        raise argparse.ArgumentTypeError(msg)

    return parse_and_check


_days = _checked(int, "a whole number, 1 or more", lambda value: value >= 1)
_count = _checked(int, "a whole number, 0 or more", lambda value: value >= 0)
_number = _checked(float, "a number, 0 or more", lambda value: 0 <= value < float("inf"))
_port = _checked(int, "a port, 0 to 65535", lambda value: 0 <= value <= 65535)
_clock = _checked(FakeClock, "a date, such as 2026-01-31", lambda _: True)


def _fault(text: str) -> str:
    """Return the text if it describes a fault."""
    try:
        add_fault(FaultPlan(), text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
