"""How much a run does: a slice of what is slow, or all of it with `MIXPANEL_ASYNC_NIGHTLY=1` (`nox -s nightly`)."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")

NIGHTLY = bool(os.environ.get("MIXPANEL_ASYNC_NIGHTLY"))


def whole(everything: T, otherwise: T) -> T:
    """A number of examples, rows or steps: of a nightly run, or of any other."""
    return everything if NIGHTLY else otherwise


def few(cases: Iterable[T], count: int, *, seed: int = 1) -> list[T]:
    """All cases in a nightly run, else so many of them, in their order: the same ones each time."""
    all_cases = list(cases)
    if NIGHTLY or count >= len(all_cases):
        return all_cases
    return [all_cases[place] for place in sorted(random.Random(seed).sample(range(len(all_cases)), count))]
