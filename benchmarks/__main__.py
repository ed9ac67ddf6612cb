"""The command line: which parts, how much, how often."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.parts import PARTS, Size

USUAL = Size()
QUICK = Size(events=30_000, days=6, rounds=1)


def main() -> None:
    """Run the parts."""
    parser = argparse.ArgumentParser("benchmarks", description="Measure mixpanel_async beside other ways.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--events", type=int, default=USUAL.events, help="default: %(default)s")
    parser.add_argument("--days", type=int, default=USUAL.days, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=USUAL.rounds, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="a few events, one round: does it run?")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(unknown)}")
    size = QUICK if arguments.quick else Size(arguments.events, arguments.days, arguments.rounds)
    with tempfile.TemporaryDirectory(prefix="mixpanel_async_benchmark.") as directory:
        for part in arguments.parts or PARTS:
            PARTS[part](size, Path(directory))


if __name__ == "__main__":
    main()
