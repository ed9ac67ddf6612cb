"""The command line: which parts run, with how many events, and how often."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.parts import PARTS, USUAL, Size
from benchmarks.report import as_dict, keep, shown

FULL = Size()
QUICK = Size(events=30_000, days=6, rounds=1)
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the parts, print a report of each, and save the results."""
    arguments = _parser().parse_args()
    size = QUICK if arguments.quick else Size(arguments.events, arguments.days, arguments.rounds)
    with tempfile.TemporaryDirectory(prefix="mixpanel_async_benchmark.") as directory:
        for part in arguments.parts or USUAL:
            runs, claims = PARTS[part](size, Path(directory))
            print(shown(str(PARTS[part].__doc__), runs, claims), flush=True)
            if arguments.output:
                keep(arguments.output, part, as_dict(runs, claims))


def _parser() -> argparse.ArgumentParser:
    about = "Compare mixpanel_async with other ways to load the same events into DuckDB."
    parser = argparse.ArgumentParser("benchmarks", description=about)
    which = f"any of {', '.join(PARTS)}; else all but store and scale"
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[*PARTS, []], help=which)
    parser.add_argument("--events", type=int, default=FULL.events, help="default: %(default)s")
    parser.add_argument("--days", type=int, default=FULL.days, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=FULL.rounds, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="few events and one round, to see whether it works")
    parser.add_argument("--output", type=Path, help=f"write results and chart here ({RESULTS} is committed)")
    return parser


if __name__ == "__main__":
    main()
