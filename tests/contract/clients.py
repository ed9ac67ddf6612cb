"""The clients: where each comes from, how it is run, and what it makes of values that nobody can undo."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SCRIPTS = Path(__file__).parent / "scripts"
Row = dict[str, object]
Telling = Callable[[Row], Row]
"""What a client makes of a row; made of the truth as well, and again of what it was made of, it changes nothing more."""

OF_ANY_TYPE = {"$browser_version", "plan", "utm_source", "nothing"}
"""Properties of the fake's profiles that have values of more than one type, or nothing but null."""


class NotHereError(Exception):
    """A client that cannot be installed."""


def run(*command: str | Path, **how: object) -> str:
    """Run a command; gives what it printed, and raises CalledProcessError if it failed."""
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=True, timeout=900, **how
    ).stdout


@dataclass(frozen=True)
class PythonClient:
    """A client from PyPI, in a virtual environment."""

    name: str
    told: Mapping[str, Telling] = field(default_factory=dict)

    def install(self, home: Path) -> str:
        """Install it unless it is there; gives its version."""
        python = home / "bin" / "python"
        asked = (python, "-c", f"from importlib.metadata import version; print(version({self.name!r}))")
        try:
            if not python.exists():
                run(sys.executable, "-m", "venv", home)
            with contextlib.suppress(subprocess.CalledProcessError):
                return run(*asked).strip()
            run(python, "-m", "pip", "install", "-q", self.name)
        except subprocess.CalledProcessError as failed:
            raise NotHereError(failed.stderr.strip().splitlines()[-1]) from None
        return run(*asked).strip()

    def export(self, home: Path, task: Path, out: Path, url: str) -> None:
        """Let it get all that there is."""
        script = SCRIPTS / f"{self.name.replace('-', '_')}_client.py"
        # a home of its own: no configuration of the user's counts
        run(home / "bin" / "python", script, task, out, cwd=out.parent, env=os.environ | {"HOME": str(out.parent)})


@dataclass(frozen=True)
class NodeClient:
    """A client from npm, below a prefix."""

    name: str
    told: Mapping[str, Telling] = field(default_factory=dict)

    def install(self, home: Path) -> str:
        """Install it, without scripts of its packages'; gives its version."""
        if shutil.which("npm") is None:
            raise NotHereError("there is no npm")
        home.mkdir(exist_ok=True)
        try:
            run("npm", "install", "--silent", "--ignore-scripts", "--prefix", home, self.name)
        except subprocess.CalledProcessError as failed:
            raise NotHereError((failed.stderr.strip() or "npm install failed").splitlines()[-1]) from None
        return json.loads((home / "node_modules" / self.name / "package.json").read_text())["version"]

    def export(self, home: Path, task: Path, out: Path, url: str) -> None:
        """Let it get all that there is."""
        script = SCRIPTS / f"{self.name.replace('-', '_')}_client.cjs"
        env = os.environ | {"NODE_PATH": str(home / "node_modules"), "FAKE_MIXPANEL": url}
        run("node", "--require", SCRIPTS / "to_the_fake.cjs", script, task, out, cwd=out.parent, env=env)


Client = PythonClient | NodeClient


def as_texts(event: Row) -> Row:
    """tap-mixpanel: Python's `str` of every property but null and the time."""
    properties = {
        name: value if value is None or name == "time" else str(value) for name, value in event["properties"].items()
    }
    return event | {"properties": properties}


def by_type(profile: Row) -> Row:
    """tap-mixpanel: numbers as text; and what has values of several types, or none, may become anything, `true` too."""
    properties = {
        name: "anything" if name in OF_ANY_TYPE else str(value) if type(value) in {int, float} else value
        for name, value in profile["$properties"].items()
    }
    return profile | {"$properties": properties}


def as_javascript(profile: Row) -> Row:
    """mixpanel-import: every number is a float."""
    return json.loads(json.dumps(profile), parse_int=float)


CLIENTS = (
    PythonClient("mixpanel-utils"),
    PythonClient("mixpanel-headless"),
    PythonClient("tap-mixpanel", {"event": as_texts, "profile": by_type}),
    NodeClient("mixpanel-import", {"profile": as_javascript}),
)
