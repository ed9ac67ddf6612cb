"""The pictures that a script draws are what it draws."""

from __future__ import annotations

import re
import runpy

import pytest

from tests.docs.pages import ROOT

PICTURES = ROOT / "docs" / "pictures"


pytestmark = pytest.mark.skipif(not PICTURES.is_dir(), reason="the wheel's tests run without the documents")


def test_no_picture_loads_anything():
    pictures = sorted(PICTURES.glob("*.svg"))
    assert pictures
    for picture in pictures:
        loads = re.findall(r"url\([^#)]+\)|(?:href|src)=.?http[^>]+", picture.read_text(encoding="utf-8"))
        assert not loads, picture


def test_the_way_of_an_event():
    drawn = runpy.run_path(str(PICTURES / "way_of_an_event.py"))["picture"]()
    assert (PICTURES / "way-of-an-event.svg").read_text(encoding="utf-8") == drawn
