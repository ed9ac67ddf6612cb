"""The code blocks of a page, and how each is run: by sybil, in order, in one directory and one namespace.

    ```python    runs here; `await` at the top level is allowed, as in a notebook
    ```bash      runs in bash, which stops at the first command that fails
    ```text      directly after one of these: what it prints, where `...` stands for anything

They run at `NOW`, so that they always print the same. Blocks that readers do not see can order faults of `fake`.

`<!-- times vary -->` before a block of output: any seconds will do where it shows some, any moment of the real clock, and
any number of lines of a bar, which comes every ten seconds.
`<!-- exits with 1 -->` before a block of commands; then the output has what it prints on stderr, too.
`<!-- skip: next "reason" -->` before a block marks it as not run, and `<!-- invisible-code-block: python` runs one that
readers do not see. Blocks without a language are pictures and lines of other programs.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import datetime as dt
import doctest
import inspect
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from unittest import SkipTest

from sybil.document import Document, PythonDocStringDocument
from sybil.parsers.markdown import CodeBlockParser, SkipParser

from mixpanel_async import MixpanelClient

ROOT = Path(__file__).parents[2]
NOW = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)
"""When the outputs were made; `today/sitecustomize.py` sets the clock of processes to it."""
PATIENCE = 300.0
OUTPUT = re.compile(r"\s*(<!-- times vary -->)?\s*^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^ *```(\w*)[^\n]*\n.*?^ *```$", re.MULTILINE | re.DOTALL)
PYTEST_INI = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"


class PageRunner:
    """Runs the blocks of one page; `with` closes what they leave open."""

    def __init__(self, directory: Path, names: dict[str, object]) -> None:
        self.directory = directory
        self._names = names
        self._loop = asyncio.Runner()

    def run(self, path: Path) -> list[str]:
        """Run the page's blocks in order. Returns the reasons of those that are skipped."""
        document = parsed(path, self)
        document.namespace.update(self._names)
        skipped = []
        try:
            for example in document.examples():
                try:
                    example.evaluate()
                except SkipTest as reason:
                    skipped.append(str(reason))
                except Exception as error:
                    error.add_note(f"in {path}, line {example.line}")
                    raise
        finally:
            for value in document.namespace.values():
                if isinstance(value, MixpanelClient):
                    self._loop.run(value.close())
        return skipped

    def python(self, example) -> None:
        """Run a block of Python; one with tests is given to pytest."""
        if re.search(r"^(async )?def test_", example.parsed, re.MULTILINE):
            (self.directory / "pytest.ini").write_text(PYTEST_INI)
            (self.directory / "test_block.py").write_text(example.parsed)
            printed = self._process(
                sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "test_block.py"
            )
        else:
            printed = self._printed_here(example)
        check_output(example, printed)

    def bash(self, example) -> None:
        """Run a block of commands."""
        before = example.document.text[: example.region.start].rstrip()
        code = 1 if before.endswith("<!-- exits with 1 -->") else 0
        check_output(example, self._process("bash", "-euo", "pipefail", "-c", example.parsed, code=code))

    def close(self) -> None:
        """End the loop and all that its tasks hold."""
        self._loop.close()

    def _printed_here(self, example) -> str:
        source = "\n" * example.line + example.parsed
        code = compile(source, example.path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.chdir(self.directory):
            made = eval(code, example.namespace)
            if inspect.iscoroutine(made):
                self._loop.run(made)
        return printed.getvalue()

    def _process(self, *command: str, code: int = 0) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        modules = os.pathsep.join([str(Path(__file__).parent / "today"), os.environ.get("PYTHONPATH", "")])
        environment = {"PATH": path, "PYTHONPATH": modules, "NOW_IN_DOCUMENTS": NOW.isoformat(), "COLUMNS": "80"}
        ended = subprocess.run(
            command, cwd=self.directory, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT if code else subprocess.PIPE,
            text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert ended.returncode == code, f"{ended.stdout}\n{ended.stderr}"
        return ended.stdout

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()


def parsed(path: Path, runner: PageRunner | None = None) -> Document:
    """The page with its blocks; of a Python file, those of its docstrings."""
    kind = PythonDocStringDocument if path.suffix == ".py" else Document
    evaluators = {"python": runner.python, "bash": runner.bash} if runner else dict.fromkeys(("python", "bash"), print)
    return kind.parse(str(path), SkipParser(), *(CodeBlockParser(name, run) for name, run in evaluators.items()))


def languages(path: Path) -> list[str]:
    """The language of each block of a page."""
    return FENCE.sub(lambda block: f"\0{block[1]}\0", path.read_text(encoding="utf-8")).split("\0")[1::2]


def check_output(example, printed: str) -> None:
    """Compare what was printed with the block after this one, if that shows output."""
    shown = OUTPUT.match(example.document.text, example.region.end)
    if shown is None:
        return
    wanted, got = ("\n".join(line.rstrip() for line in text.splitlines()) + "\n" for text in (shown[2], printed))
    if shown[1]:
        wanted, got = without_times(wanted), without_times(got)
    assert doctest.OutputChecker().check_output(wanted, got, doctest.ELLIPSIS), f"printed:\n{printed}"


def without_times(text: str) -> str:
    """The text with `0` for seconds and for moments of the real clock, and without bars; all other numbers stay."""
    text = re.sub(r"^events: \d+/\d+ chunks,.*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"\b[\d,.]+ s\b|\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$", "0", text, flags=re.MULTILINE)
