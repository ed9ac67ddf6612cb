"""docs/compare.md shows what is in docs/compare.json, and docs/compare.json has each case of each peer."""

from __future__ import annotations

import pytest

from tests.contract.compare import cases, page, peers
from tests.docs.pages import ROOT

pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the wheel's tests run without the documents")


def test_the_tables_are_those_of_the_results():
    text = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
    assert page.filled(text, page.read()) == text


def test_each_peer_was_run_or_is_named_as_absent():
    results = page.read()
    assert results["results"].keys() | results["absent"].keys() == {peer.name for peer in peers.PEERS}
    names = {case.name for case in cases.cases()}
    for done in results["results"].values():
        assert "clean" in done
        assert done.keys() <= names
