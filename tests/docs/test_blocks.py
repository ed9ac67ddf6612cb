"""Every code block of the documents runs, against a fake Mixpanel, and prints what the document shows."""

from __future__ import annotations

import datetime as dt
import doctest
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path

import pytest

from mixpanel_async import clock
from mixpanel_async.testing import FakeMixpanel, GeneratedEvents, GeneratedProfiles, Project, running
from tests.docs.pages import NOW, ROOT, PageRunner, languages, parsed
from tests.slices import few

DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", *DOCS, *sorted((ROOT / "examples").rglob("*.md"))]
MODULES = sorted(path for path in (ROOT / "mixpanel_async").rglob("*.py") if "```" in path.read_text(encoding="utf-8"))
SKIPPED = {
    "a session of nox, of many minutes": 2,
    "for an interactive shell: tests/cli/test_cli.py runs them": 1,
    "installs packages": 3,
    "installs services": 1,
    "needs Dask: tests/distributed/test_page.py runs it": 3,
    "needs dbt: nox -s dbt runs it": 1,
    "reads your own credentials": 2,
    "requests a year: tests/system/test_sync.py makes such calls": 1,
    "starts a server: tests/system/test_webapp.py runs it": 2,
    "starts a server: the tests of the documents have one like it": 4,
    "starts with its own environment: .ci/run runs it": 1,
}
"""Reasons of blocks that are not run, and how many have each."""

RUN_ELSEWHERE = {"sql.md", "tables.md"}
"""Pages with SQL: tests/test_sql_page.py, tests/docs/test_tables.py and tests/system/test_milliseconds.py run it."""

OLD_NAMES = {"dataframes.md": "ignore::DeprecationWarning"}
"""Pages whose packages call deprecated names: ibis 12 those of DuckDB and pandas."""
WITH_BLOCKS = [
    pytest.param(page, marks=pytest.mark.filterwarnings(OLD_NAMES.get(page.name, "error")))
    for page in PAGES
    if list(parsed(page).examples())
]
"""All of them run in `nox -s docs` and `nox -s nightly`."""

pytestmark = pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="only a clone of the repository has all documents")


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeMixpanel]:
    """A fake Mixpanel with the events that `python -m mixpanel_async.testing --events 200` has; all pages share it."""
    project = Project()
    old = Project(id=777, timezone="US/Pacific", created=dt.date(2021, 5, 1), service_accounts=project.service_accounts)
    events, profiles = GeneratedEvents(per_day=200), GeneratedProfiles(count=300)
    with running(FakeMixpanel(events, profiles=profiles, today=NOW.date(), projects=[project, old], limits=None)) as it:
        yield it


@pytest.fixture
def runner(fake, tmp_path, monkeypatch) -> Iterator[PageRunner]:
    monkeypatch.setattr(clock, "utc_now", lambda: NOW)
    monkeypatch.setenv("MP_USERNAME", fake.project.service_account.username)
    monkeypatch.setenv("MP_SECRET", fake.project.service_account.secret)
    monkeypatch.setenv("MP_PROJECT_ID", str(fake.project.id))
    monkeypatch.setenv("MP_BASE_URL", fake.url)
    with PageRunner(tmp_path, {"fake": fake}) as runs:
        yield runs


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", few(WITH_BLOCKS, 6, seed=4), ids=name_of)
def test_the_blocks_of_a_page(runner, page):
    runner.run(page)


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_the_blocks_of_docstrings(runner, module):
    runner.run(module)


def test_a_docstring_that_shows_a_session():
    assert doctest.testmod(import_module("mixpanel_async.dates")).attempted > 0
    assert doctest.testmod(import_module("mixpanel_async.dates")).failed == 0


def test_blocks_that_do_not_run_are_counted():
    reasons = Counter(
        reason for page in PAGES for reason in re.findall(r'<!-- skip: next "(.*?)" -->', page.read_text("utf-8"))
    )
    assert reasons == SKIPPED


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_block_has_a_language_that_nothing_runs(page):
    others = {"sql"} if page.name in RUN_ELSEWHERE else set()
    assert set(languages(page)) <= {"python", "bash", "text", ""} | others


class TestTheRunner:
    """It finds what is wrong with a page."""

    def page(self, directory: Path, text: str) -> Path:
        page = directory / "page.md"
        page.write_text(text)
        return page

    @pytest.mark.parametrize(
        "block",
        ["```python\nprint(1)\n```\n\n```text\n2\n```\n", "```bash\nfalse | true\n```\n", "```bash\necho a\n```\n\n```text\nb\n```\n",
         "```python\nawait nothing()\n```\n", "```python\ndef test_it():\n    assert False\n```\n"],
    )  # fmt: skip
    def test_a_block_that_is_wrong(self, runner, tmp_path, block):
        with pytest.raises((AssertionError, NameError)) as raised:
            runner.run(self.page(tmp_path, f"# A page\n\n{block}"))
        assert raised.value.__notes__ == [f"in {tmp_path / 'page.md'}, line 3"]

    @pytest.mark.parametrize(
        ("printed", "fits"),
        [("took 12.5 s\nended 2026-01-31 09:00:00 UTC\n7 rows", True), ("took 1.2 s\nended 2026-11-30 18:08:02 UTC\n8 rows", False)],
    )  # fmt: skip
    def test_only_times_vary(self, runner, tmp_path, printed, fits):
        shown = "<!-- times vary -->\n\n```text\ntook 1.2 s\nended 2026-11-30 18:08:02 UTC\n7 rows\n```\n"
        page = self.page(tmp_path, f"```python\nprint({printed!r})\n```\n\n{shown}")
        with nullcontext() if fits else pytest.raises(AssertionError):
            runner.run(page)

    def test_a_command_that_fails_on_purpose_shows_its_errors_too(self, runner, tmp_path):
        block = "<!-- exits with 1 -->\n\n```bash\necho one\necho two >&2\nexit {}\n```\n\n```text\none\ntwo\n```\n"
        runner.run(self.page(tmp_path, block.format(1)))
        with pytest.raises(AssertionError):
            runner.run(self.page(tmp_path, block.format(0)))

    def test_a_block_that_is_skipped(self, runner, tmp_path):
        page = self.page(tmp_path, '<!-- skip: next "it is wrong" -->\n\n```python\n1 / 0\n```\n\n```bash\ntrue\n```\n')
        assert runner.run(page) == ["it is wrong"]

    def test_blocks_share_a_namespace_and_a_loop(self, runner, tmp_path):
        first = "import asyncio\nfuture = asyncio.get_running_loop().create_future()\nawait asyncio.sleep(0)"
        page = self.page(
            tmp_path,
            f"```python\n{first}\n```\n\n```python\nfuture.set_result(7)\nprint(await future)\n```\n\n```text\n7\n```\n",
        )
        assert runner.run(page) == []
