"""The demo, and other commands, as a process in a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-W", "error", "-m", "mixpanel_async"]
PATIENCE = 60.0


class Terminal:
    """A command whose stderr is a terminal, and whose stdout is a pipe."""

    def __init__(self, *command: str, cwd: Path, columns: int = 80) -> None:
        self.shown = b""
        self._screen, tty = pty.openpty()
        termios.tcsetwinsize(tty, (24, columns))
        self.columns = columns
        self.process = subprocess.Popen(
            command, cwd=cwd, stdin=tty, stdout=subprocess.PIPE, stderr=tty, start_new_session=True
        )
        os.close(tty)

    @property
    def text(self) -> str:
        return self.shown.decode()

    @property
    def lines(self) -> list[str]:
        """What a terminal makes of it, colours aside."""
        lines, column = [""], 0
        for character in re.sub(r"\x1b\[[\d;]*m", "", self.text):
            if character == "\r":
                column = 0
            elif character == "\n" or column == self.columns:
                lines.append("")
            if character not in "\r\n":
                column %= self.columns
                lines[-1] = lines[-1][:column].ljust(column) + character + lines[-1][column + 1 :]
                column += 1
        return [line.rstrip() for line in lines]

    def type(self, text: bytes) -> None:
        """Press keys."""
        os.write(self._screen, text)

    def until(self, pattern: str) -> re.Match[str]:
        """Read the screen until it shows the pattern."""
        deadline = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self.text)) is None:
            assert time.monotonic() < deadline, self.text
            assert self._read(), self.text
        return found

    def end(self) -> int:
        """Read to the end; gives the exit code."""
        while self._read():
            pass
        self.process.communicate(timeout=PATIENCE)
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self._screen)

    def _read(self) -> bytes:
        if not select.select([self._screen], [], [], PATIENCE)[0]:
            return b""
        try:
            piece = os.read(self._screen, 4096)
        except OSError:  # Linux: the other end is closed
            return b""
        self.shown += piece
        return piece


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Terminal]:
    """A demo that has shown its first committed chunk."""
    terminal = Terminal(*COMMAND, "demo", cwd=tmp_path)
    try:
        terminal.until(r"[1-9]\d*/30 chunks")
        yield terminal
    finally:
        terminal.close()
