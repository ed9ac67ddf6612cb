"""What callers select: checked once, compared as values."""

from __future__ import annotations

import json

import pytest

from mixpanel_async.selections import LIMIT_MAX, EventSelection, ProfileSelection


def test_selections():
    assert EventSelection.of() == EventSelection()
    assert EventSelection.of(["b", "a", "b"], "true", 1) == EventSelection(("a", "b"), "true", 1)
    assert EventSelection.of(("a",), None, LIMIT_MAX).events == ("a",)
    assert EventSelection.of(map(str, "ab")).events == ("a", "b")


@pytest.mark.parametrize(
    ("selection", "named"),
    [
        (("sign up", None, None), r"events must be a list, such as \['sign up'\]"),
        (([], None, None), "events is empty, which selects nothing: pass names, or None for all"),
        ((["a", ""], None, None), "events must be a list of names"),
        (([1], None, None), "events must be a list of names"),
        ((iter(()), None, None), "events is empty"),
        ((["a\ud800"], None, None), "events must be a list of names .* no lone surrogate"),
        ((1, None, None), "events must be a list of names"),
        ((None, "", None), "where must be"),
        ((None, "  ", None), "where must be"),
        ((None, 5, None), "where must be"),
        ((None, "\udfff", None), "where must be .* no lone surrogate"),
        ((None, None, 0), "limit must be a whole number from 1 to 100000"),
        ((None, None, 100_001), "limit must be"),
        ((None, None, True), "limit must be"),
        ((None, None, 1.0), "limit must be"),
        ((None, None, "5"), "limit must be"),
    ],
)
def test_selections_out_of_range(selection, named):
    with pytest.raises(ValueError, match=named):
        EventSelection.of(*selection)


@pytest.mark.parametrize(
    "selection",
    [
        EventSelection(),
        EventSelection.of(["ö", "a"], 'properties["x"] == 1', 5),
        ProfileSelection(),
        ProfileSelection.of(distinct_ids=["b", "a"], group_id=2**63, behaviors=[{"window": "30d"}]),
    ],
)
def test_the_journal_gives_back_what_it_was_given(selection):
    assert type(selection).from_json(selection.to_json()) == selection
    shuffled = dict(reversed(json.loads(selection.to_json()).items()))
    assert type(selection).from_json(json.dumps(shuffled)) == selection


def test_a_selection_of_an_older_version_is_one_in_seconds():
    older = EventSelection.from_json('{"events": ["a"], "where": "w", "limit": 5}')
    assert older == EventSelection(("a",), "w", 5, time_in_ms=False)
    assert older != EventSelection.of(["a"], "w", 5)


@pytest.mark.parametrize("text", ['{"events": null, "where": null, "limit": null, "new": 1}', "[]", "nonsense"])
def test_what_another_version_wrote_is_an_error(text):
    with pytest.raises((ValueError, TypeError)):
        EventSelection.from_json(text)
