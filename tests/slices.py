"""How many cases of the slow tests run: a slice of them, or all with `MIXPANEL_ASYNC_NIGHTLY=1` (`nox -s nightly`)."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")

NIGHTLY = bool(os.environ.get("MIXPANEL_ASYNC_NIGHTLY"))


def whole(everything: T, otherwise: T) -> T:
    """Return `everything` in a nightly run, else `otherwise`: a number of examples, rows or steps."""
    return everything if NIGHTLY else otherwise


def few(cases: Iterable[T], count: int, *, seed: int = 1) -> list[T]:
    """Return all cases in a nightly run, else `count` of them, in their order. The same seed picks the same cases."""
    all_cases = list(cases)
    if NIGHTLY or count >= len(all_cases):
        return all_cases
    return [all_cases[place] for place in sorted(random.Random(seed).sample(range(len(all_cases)), count))]
