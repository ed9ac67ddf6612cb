"""Claims about the results: one case compared with another, or a figure with its bound."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.measure import Run, Runs


@dataclass(frozen=True, slots=True)
class Claim:
    """One figure and its bounds. Without `least` and `most` it is only printed."""

    text: str
    value: float
    least: float | None = None
    most: float | None = None
    within_rounds: tuple[float, float, float] | None = None
    """For a ratio: the lowest, the median and the highest of the ratios within each round."""

    @property
    def holds(self) -> bool:
        """Whether the figure is within its bounds."""
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    def __str__(self) -> str:
        """Return it as a line of text."""
        words = [f"{self.text}: {self.value:.2f}"]
        if self.within_rounds:
            low, middle, high = self.within_rounds
            words.append(f"(within rounds {low:.2f} to {high:.2f}, median {middle:.2f})")
        for word, bound in (("at least", self.least), ("at most", self.most)):
            if bound is not None:
                words.append(f"[{word} {bound:g}: {'yes' if self.holds else 'NO'}]")
        return " ".join(words)


def speed(run: Run) -> float:
    """Return the events a second; repeated events count."""
    return run["events"] / run["seconds"]


def fastest(runs: Sequence[Run]) -> Run:
    """Return the fastest run."""
    return max(runs, key=speed)


def times_as_fast(runs: Runs, of: str, to: str, least: float | None = None) -> list[Claim]:
    """Compare the events a second of the best runs. Return no claim if one of the two did not run."""
    own, other = ([speed(run) for run in runs[name]] for name in (of, to))
    if not own or not other:
        return []
    within = [ours / theirs for ours, theirs in zip(own, other, strict=True)]
    rounds = (min(within), median(within), max(within))
    return [Claim(f"{of}, times as fast as {to}", max(own) / max(other), least=least, within_rounds=rounds)]


def times_as_much(runs: Runs, figure: str, of: str, to: str, most: float | None = None) -> list[Claim]:
    """Compare the highest values of a figure."""
    own, other = (max(run[figure] for run in runs[name]) for name in (of, to))
    return [Claim(f"{of}, {figure} beside {to}", own / other, most=most)]


def at_most(runs: Runs, figure: str, of: str, most: float) -> list[Claim]:
    """Compare the highest value of a figure with its bound."""
    values = [run[figure] for run in runs[of]]
    return [Claim(f"{of}, {figure}, worst run", max(values), most=most)]


def lowest(runs: Runs, figure: str, of: str) -> Claim:
    """Return the lowest value of a figure, without a bound."""
    return Claim(f"{of}, {figure}, best run", min(run[figure] for run in runs[of]))
