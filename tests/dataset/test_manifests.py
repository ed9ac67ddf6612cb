"""Of many who publish the same date, the newest request counts, and each of them is told which one that is."""

from __future__ import annotations

import datetime as dt
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from mixpanel_async import SelectionMismatchError, StoreError, TableNotFoundError
from mixpanel_async.dataset import manifests as module
from mixpanel_async.dataset.folder import local_folder
from mixpanel_async.dataset.manifest import ChunkFacts, Manifest
from mixpanel_async.dataset.manifests import Manifests, selection_of
from mixpanel_async.selections import EventSelection

DATE = "2026-01-01"
NOON = dt.datetime(2026, 2, 1, 12, tzinfo=dt.UTC)


def manifest(second=0, date=DATE, rows=1) -> Manifest:
    at = NOON + dt.timedelta(seconds=second)
    facts = ChunkFacts(date, date, "run", f"{second:016x}", at, 0, 0, None, 100, 0, is_atomic=False)
    return Manifest(date, rows, f"project_id=1/date={date}/part-{second:016x}.parquet", True, facts)


@pytest.fixture
def folder(tmp_path):
    return local_folder(tmp_path / "events")


@pytest.fixture
def held(folder):
    return Manifests(folder, 1)


def test_a_manifest_comes_back_as_it_was(held):
    assert held.valid() == {}
    assert held.publish(manifest()) == manifest()
    assert held.valid() == held.of([DATE, "2026-01-02"]) == {DATE: manifest()}
    assert Manifest.from_json(manifest().to_json(), "it") == manifest()


def test_the_newest_request_counts_whoever_comes_last(held):
    assert held.publish(manifest(2)) == manifest(2)
    assert held.publish(manifest(1)) == manifest(2)
    assert held.publish(manifest(2)) == manifest(2)
    assert held.publish(manifest(3)) == manifest(3)
    assert held.valid() == {DATE: manifest(3)}


def test_of_many_at_once_the_newest_counts(held):
    seconds = list(range(40))
    random.Random(4).shuffle(seconds)
    with ThreadPoolExecutor(8) as threads:
        counting = list(threads.map(lambda second: held.publish(manifest(second)), seconds))

    assert held.valid() == {DATE: manifest(39)}
    for mine, counts in zip(seconds, counting, strict=True):
        assert counts.chunk.fetched_at >= manifest(mine).chunk.fetched_at


def test_a_number_that_was_created_too_late_does_not_count(held, monkeypatch):
    """Meanwhile it may have been used and deleted."""
    clock = iter([0.0, 61.0, 100.0, 101.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock, 101.0))
    held.publish(manifest())

    monkeypatch.undo()
    assert held.valid() == {DATE: manifest()}
    assert list(clock) == []


def test_dates_are_in_order_and_within_the_ends(held):
    days = [f"2026-01-{day:02}" for day in (3, 1, 5, 2)]
    for day in days:
        held.publish(manifest(date=day))

    assert list(held.valid()) == sorted(days)
    assert list(held.valid("2026-01-02", "2026-01-03")) == ["2026-01-02", "2026-01-03"]


def test_files_that_are_not_ours_are_left_aside(held, folder, tmp_path):
    held.publish(manifest())
    for name in ("00000002.json.tmp", "00000009", "note.txt", "0000000a.json"):
        (tmp_path / f"events/_mixpanel/manifests/project_id=1/{DATE}/{name}").write_text("no")

    assert held.valid() == {DATE: manifest()}


@pytest.mark.parametrize("text", [b"", b"{}", b"no JSON", manifest().to_json().replace(b'"version":1', b'"version":2')])
def test_a_manifest_of_another_version_is_an_error_that_names_it(held, folder, text):
    folder.create(f"_mixpanel/manifests/project_id=1/{DATE}/00000001.json", text)

    with pytest.raises(StoreError, match=r"00000001\.json"):
        held.valid()


def test_a_project_has_one_selection(held, folder):
    with pytest.raises(TableNotFoundError, match="was not exported here"):
        selection_of(folder, 1)
    selection = EventSelection.of(events=["Signup"], where='properties["plan"] == "pro"')
    held.check_selection(selection, deduplicate=True)
    held.check_selection(selection, deduplicate=True)

    assert selection_of(folder, 1) == (selection, True)
    for other, deduplicate in ((EventSelection(), True), (selection, False)):
        with pytest.raises(SelectionMismatchError, match="Project 1 is held with another selection"):
            held.check_selection(other, deduplicate=deduplicate)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "events").write_text("a file")
    with pytest.raises(StoreError, match="events is a file"):
        local_folder(tmp_path / "events")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/_mixpanel").write_text("a file")
    with pytest.raises(StoreError, match="_mixpanel"):
        Manifests(local_folder(tmp_path / "other"), 1).publish(manifest())
