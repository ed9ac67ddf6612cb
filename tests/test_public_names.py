"""The public names: just these, all of them documented, and nothing documented that is not there."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name

import pytest

import mixpanel_async
from mixpanel_async import dates, export, types

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

PUBLIC = {
    "MixpanelClient", "ServiceAccount", "ProjectSecret", "OAuthToken", "RateLimits", "RetryPolicy", "Timeouts",
    "BatchProgress", "ParallelFetchResult", "FetchResult", "Failure", "FetchProgress", "ExportProgress", "ProfileBatchProgress", "ParallelProfileFetchResult",
    "MixpanelError", "ConfigurationError", "ExportError", "AuthenticationError", "QueryError", "RateLimitError",
    "ServerError", "ConnectionLostError", "DecodeError", "StoreError", "TableExistsError", "TableNotFoundError",
    "SelectionMismatchError", "DatabaseLockedError", "__version__", "FetchPlan", "Project",
    "Store", "Coverage", "CoveredDay", "CoveredChunk", "RejectedChunk", "Verification", "DayCount",
    "QueryResult", "TableInfo", "ExportResult", "CompactResult",
    "Description", "Property", "SchemaChange", "ViewInfo", "ViewColumn",
}  # fmt: skip

documented = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the wheel's tests run without the documents")


def imported(text):
    """Pairs of module and name that a page imports from this library."""
    found = re.findall(r"^\s*from (mixpanel_async[\w.]*) import (?:\(([^)]*)\)|(.*))$", text, re.MULTILINE)
    return {
        (module, name.split(" as ")[0].strip())
        for module, many, one in found
        for name in re.sub(r"#.*", "", many or one).split(",")
        if name.strip()
    }


def test_the_public_names_are_just_these():
    assert set(mixpanel_async.__all__) == PUBLIC
    assert mixpanel_async.__all__ == sorted(mixpanel_async.__all__)
    assert all(hasattr(mixpanel_async, name) for name in PUBLIC)


def test_a_type_checker_sees_the_names_that_there_are():
    tree = ast.parse(Path(mixpanel_async.__file__).read_text(encoding="utf-8"))
    seen = {
        name.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("mixpanel_async")
        for name in node.names
    }
    assert seen.keys() == PUBLIC
    for name, module in seen.items():
        assert getattr(mixpanel_async, name) is getattr(import_module(module), name)


def test_a_name_that_is_not_there():
    assert set(dir(mixpanel_async)) >= PUBLIC
    with pytest.raises(AttributeError, match=r"^module 'mixpanel_async' has no attribute 'Nothing'$"):
        mixpanel_async.Nothing  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Nothing'"):
        exec("from mixpanel_async import Nothing")


def test_the_others_stand_where_the_docs_say():
    assert types.BatchResult.__module__ == "mixpanel_async.types"
    assert dates.split_date_range.__module__ == "mixpanel_async.dates"
    assert dates.DateChunk == tuple[str, str]
    assert export.__doc__


def code(text):
    """All that a page shows as code: fenced blocks, words between backticks, and names of docstrings to show."""
    fenced = re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return "\n".join([*fenced, *inline, *re.findall(r"^::: (\S+)$", text, re.MULTILINE)])


@documented
def test_every_public_name_is_documented():
    told = {name for page in PAGES for name in re.findall(r"\w+", code(page.read_text()))}
    assert PUBLIC - told - {"__version__"} == set()


@documented
def test_nothing_is_documented_that_is_not_there():
    pairs = {pair for page in PAGES for pair in imported(page.read_text())}
    assert pairs
    for module, name in pairs:
        assert hasattr(__import__(module, fromlist=[name]), name), f"from {module} import {name}"
        assert module != "mixpanel_async" or name in PUBLIC


@documented
def test_the_docstrings_that_pages_show_are_there():
    named = [name for page in PAGES for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)]
    assert len(named) > 50
    assert [name for name in named if named.count(name) > 1] == []
    for name in named:
        assert resolve_name(name).__doc__


def test_the_version_is_a_version():
    assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+\S*", mixpanel_async.__version__)
