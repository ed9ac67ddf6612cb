"""The sessions of nox: `nox` runs what CI runs, `nox -l` lists all sessions."""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "types", "tests", "wheel"]

PYTHONS = [version for version in ("3.11", "3.12", "3.13") if shutil.which(f"python{version}")]
LINTERS = ["ruff==0.17.5", "nox"]
PEERS = ["httpx", "mixpanel-headless", "mixpanel-utils"]
WEBAPP = ["starlette", "uvicorn", "playwright"]
DBT = ["dbt-core<1.11", "dbt-duckdb<2"]
CHECKERS = ["mypy==2.4.1"]
SITE = ["mkdocs<2", "mkdocs-material>=9.7,<10", "mkdocstrings[python]>=1,<2"]
SPELLING = ["codespell==2.4.3"]
LOCK = Path(".ci/lock.txt")
EVERYTHING = {"MIXPANEL_ASYNC_NIGHTLY": "1"}
"""Runs all cases of slow tests: see `tests/slices.py`."""
WHEEL_TESTS = ["tests/wheel.py", "tests/test_public_names.py", "tests/system/test_examples.py", "tests/cli/test_cli.py"]
NIGHTLY: dict[str, list[str]] = {
    "whole": [],
    "kills": ["500"],
    "syscalls": [],
    "torn": [],
    "floors": [],
    "bench": ["--events", "200000", "--rounds", "1"],
    "contract": [],
    "dbt": [],
    "dlt": [],
    "dask": [],
    "browser": [],
    "docs": [],
}
"""Each session with its arguments. `whole` includes the tests of `cancels`, `deep` and `large`."""


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests, on each Python version that is installed."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "-q", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """The built wheel as a user installs it, without the source tree: files, modules, names, plugin, demo, examples."""
    session.install("build")
    directory = Path(session.create_tmp())
    session.run("python", "-m", "build", "--wheel", "--outdir", str(directory), silent=True)
    built = max(directory.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    session.install(f"{built}[test]")
    away = directory / "away"
    shutil.rmtree(away, ignore_errors=True)
    away.mkdir()
    for name in ("tests", "examples", "docs"):
        shutil.copytree(name, away / name)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(name, away)
    source = Path.cwd()
    session.chdir(away)
    where = {"WHEEL": str(source / built), "SOURCE_TREE": str(source), "MIXPANEL_ASYNC_NIGHTLY": "1"}
    session.run("python", "-m", "pytest", "-q", *WHEEL_TESTS, *session.posargs, env=where)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: the format, and every rule that `pyproject.toml` does not ignore with a reason. Codespell: the words."""
    session.install(*LINTERS, *SPELLING)
    session.run("codespell")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation's site, in `site/`: links, anchors, words, and every code block. `-- --serve` serves it."""
    session.install("-e", ".[test]", *SITE, *LINTERS, *SPELLING)  # ruff formats the signatures
    quiet = {"NO_MKDOCS_2_WARNING": "1"}  # the theme's advertisement for its successor
    if "--serve" in session.posargs:
        session.run("python", "-m", "mkdocs", "serve", env=quiet)
    session.run("codespell")
    session.run("python", "-m", "mkdocs", "build", env=quiet)
    session.run("python", "-m", "pytest", "-q", "tests/docs", "tests/test_docs.py", env=EVERYTHING)


@nox.session
def types(session: nox.Session) -> None:
    """Mypy: the package in strict mode, and the overloads as a caller sees them."""
    session.install("-e", ".", "pytest", *CHECKERS)
    session.run("mypy")
    session.run("mypy", "tests/typed_calls.py")


@nox.session
def demo(session: nox.Session) -> None:
    """The README's first command, in a temporary directory."""
    session.install(".")
    session.chdir(session.create_tmp())
    session.run("python", "-P", "-m", "mixpanel_async", "demo")


@nox.session
def floors(session: nox.Session) -> None:
    """The tests with the oldest releases that `pyproject.toml` allows; CI runs some: `nox -s floors -- tests/duck`."""
    project = nox.project.load_toml("pyproject.toml")["project"]
    requires = [*project["dependencies"], *project["optional-dependencies"]["pyarrow"]]
    oldest = [line.split(";")[0].split(",")[0].replace(">=", "==").strip() for line in requires]
    constraints = Path(session.create_tmp()).resolve() / "oldest.txt"  # instead of CI's constraints
    constraints.write_text("\n".join(oldest), encoding="utf-8")
    session.install("-e", ".[test]", env={"PIP_CONSTRAINT": str(constraints)})
    session.run("python", "-m", "pytest", "-q", *session.posargs)


@nox.session
def dask(session: nox.Session) -> None:
    """Exports by many processes: on a Dask cluster, with workers that are killed, and into a local S3 server."""
    session.install("-e", ".[test,dask]", "moto[server]", "dask[dataframe]")
    session.run("python", "-m", "pytest", "-q", "-n0", "tests/dataset", "tests/distributed", *session.posargs)


@nox.session
def whole(session: nox.Session) -> None:
    """The whole test suite: every seed, size, step and parameter. It includes `cancels`, `deep` and `large`."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "-q", *session.posargs, env=EVERYTHING)


@nox.session
def cancels(session: nox.Session) -> None:
    """A cancel at every step; a normal run of the tests takes some of the steps."""
    session.install("-e", ".[test]")
    places = ("tests/cancellation", "tests/stream/test_cancel.py", "tests/engage/test_ends.py")
    session.run("python", "-m", "pytest", "-q", *places, env=EVERYTHING)


@nox.session
def deep(session: nox.Session) -> None:
    """The state machine test with a hundred long, random sequences of actions."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "-q", "tests/system/test_state_machine.py", env=EVERYTHING)


@nox.session
def large(session: nox.Session) -> None:
    """A download of a quarter of a million profiles, and its memory."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "-q", "-s", "-n0", "tests/engage/test_memory.py", env=EVERYTHING)


@nox.session
def kills(session: nox.Session) -> None:
    """Fetches that are killed at random moments: `nox -s kills -- 500 --seed 1`."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.durability.kills", *session.posargs)


@nox.session
def syscalls(session: nox.Session) -> None:
    """A kill or an error at each system call that writes to the database; needs strace."""
    if shutil.which("strace") is None:
        session.skip("strace is not installed: on Linux, apt-get install strace.")
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.durability.syscalls", *session.posargs)


@nox.session
def torn(session: nox.Session) -> None:
    """A kill in the middle of each write of a block to the database; needs Linux and a C compiler."""
    if shutil.which("cc") is None:
        session.skip("There is no C compiler: on Debian, apt-get install gcc.")
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.durability.torn", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Speed, memory, event loop lag and file size, compared with other ways: `nox -s bench -- --help`."""
    session.install(".")
    for peer in PEERS:  # if one cannot be installed, it is missing in the report
        session.run("python", "-m", "pip", "install", "-q", peer, success_codes=[0, 1])
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def pictures(session: nox.Session) -> None:
    """The pictures of progress, made anew: a script in tmux, and a notebook and `examples/webapp` in Chromium."""
    if missing := [name for name in ("tmux", "chromium") if shutil.which(name) is None]:
        session.skip(f"{' and '.join(missing)} must be installed: on Debian, apt-get install tmux chromium.")
    session.install(".", "rich", "jupyterlab", "ipywidgets", "pillow", *WEBAPP)
    session.run("python", "docs/pictures/terminal.py")
    session.run("python", "docs/pictures/notebook.py")
    session.run("python", "docs/pictures/webapp.py")


@nox.session
def contract(session: nox.Session) -> None:
    """Clients of other authors with the fake: `nox -s contract -- mixpanel-utils`. It installs the clients."""
    session.install("-e", ".")
    session.run("python", "-m", "tests.contract", str(Path(session.create_tmp(), "clients")), *session.posargs)


@nox.session
def compare(session: nox.Session) -> None:
    """Which rows each exporter loses or doubles, into `docs/compare.md`. It takes an hour, and needs Linux."""
    session.install("-e", ".", env={"PIP_CONSTRAINT": ""})
    clients = str(Path(session.create_tmp(), "clients"))
    session.run("python", "-m", "tests.contract.compare", clients, *session.posargs, env={"PIP_CONSTRAINT": ""})


@nox.session
def dbt(session: nox.Session) -> None:
    """The dbt project of `examples/dbt`, built over views. It installs dbt into an environment of its own."""
    apart = Path(session.create_tmp(), "dbt").resolve()  # dbt needs other releases of packages than the tests
    session.run("python", "-m", "venv", str(apart))
    session.run(str(apart / "bin" / "pip"), "install", "-q", *DBT, external=True)
    session.install("-e", ".[test]")
    where = {"DBT": str(apart / "bin" / "dbt")}
    session.run("python", "-m", "pytest", "-q", "-n0", "tests/store/test_dbt.py", *session.posargs, env=where)


@nox.session
def dlt(session: nox.Session) -> None:
    """`examples/dlt_pipeline.py` into DuckDB, Parquet files and, if it is installed, PostgreSQL.

    dlt needs some 40 packages, one of them in an older version than CI's constraints have.
    """
    session.install(
        "-e", ".[pyarrow]", "dlt[duckdb,postgres]", "hypothesis", "pytest", "pytest-asyncio", "pytest-xdist",
        env={"PIP_CONSTRAINT": ""},
    )  # fmt: skip
    session.run("python", "-m", "pytest", "-q", "-n0", "tests/system/test_dlt_pipeline.py", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """`examples/webapp` on uvicorn, and its page in Chromium: on Debian, apt-get install chromium. Three minutes."""
    session.install("-e", ".[test]", *WEBAPP)
    session.run("python", "-m", "pytest", "-q", "-n0", "tests/system/test_webapp.py", *session.posargs)


@nox.session(venv_backend="none")
def nightly(session: nox.Session) -> None:
    """All long campaigns, one after the other; each also runs if an earlier one failed.

    How long they take on two cores, about:

    - `whole`, the test suite without slices: 25 to 35 minutes
    - `kills`, 500 of them: 15 to 20 minutes
    - `syscalls`, if strace is installed: 5 to 9 minutes
    - `torn`, if a C compiler is installed: 1 minute
    - `floors`, the normal test run with the oldest dependencies: 9 minutes
    - `bench`, a fifth of the events, once: 4 minutes
    - `contract`, the clients of other authors: 2 minutes
    - `dbt`, the project of `examples/dbt`: 2 minutes, most of it to install dbt
    - `dlt`, the example with dlt: 3 minutes
    - `dask`, exports by many processes: 5 minutes
    - `browser`, the page of `examples/webapp`: 3 minutes
    - `docs`, the site and all its code blocks: 2 minutes
    """
    for name, arguments in NIGHTLY.items():
        session.notify(name, arguments)


@nox.session
def audit(session: nox.Session) -> None:
    """Known vulnerabilities in the versions that CI installs; needs access to an advisory service on the internet."""
    session.install("pip-audit")
    session.run("pip-audit", "--no-deps", "--disable-pip", "-r", ".ci/lock.txt")


@nox.session
def lock(session: nox.Session) -> None:
    """Write the versions that CI installs to `.ci/lock.txt`: the newest releases."""
    session.install(".[test]")
    frozen = session.run("python", "-m", "pip", "freeze", "--exclude", "mixpanel-async", silent=True, log=False)
    LOCK.write_text(str(frozen), encoding="utf-8")
