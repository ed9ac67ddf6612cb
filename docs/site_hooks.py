"""What MkDocs cannot do by itself: pages of files that lie outside `docs/`."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import TYPE_CHECKING, Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, InclusionLevel

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
BENCHMARK = ("benchmarks/results/chart.svg", "benchmarks/results/results.json")
OUTSIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", *BENCHMARK)
HIDDEN = {"index.md": ["navigation", "toc"], "exporters.md": ["toc"], "compare.md": ["toc"]}
"""What a page does not show, so that it has more room."""
LANGUAGES = {
    ".css": "css", ".html": "html", ".js": "javascript", ".py": "python", ".service": "ini", ".sql": "sql",
    ".timer": "ini", ".toml": "toml", ".yml": "yaml",
}  # fmt: skip
"""Examples that are shown as code. Markdown, notebooks and images are shown, too, and other files are left out."""
IMAGES = {".png", ".svg"}
LOADED = re.compile(r"<(?:script|img|iframe)[^>]+src=.?https?:[^ >]+|<link[^>]+stylesheet[^>]+https?:[^ >]+")
LINK = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)]*)?\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add pages for the files outside `docs/` that pages link to."""
    for path in OUTSIDE:
        content = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, path, content=content))
    for file in sorted((ROOT / "examples").rglob("*.*")):
        path = file.relative_to(ROOT).as_posix()
        where = InclusionLevel.INCLUDED if path == "examples/README.md" else InclusionLevel.NOT_IN_NAV
        if file.suffix in {".md", ".ipynb", *LANGUAGES}:
            files.append(File.generated(config, _page_of(path), content=_shown(file, path), inclusion=where))
        elif file.suffix in IMAGES:
            files.append(File.generated(config, path, abs_src_path=str(file)))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Point links to files outside `docs/` at their pages, and make room on wide pages."""
    page.meta["hide"] = HIDDEN.get(page.file.src_uri, [])
    known = set(files.src_uris)
    folder = PurePosixPath(page.file.src_uri).parent
    # on disk a page of docs/ lies one folder deeper than in the site
    depth = "" if page.file.generated_by else "docs"

    def moved(link: re.Match[str]) -> str:
        on_disk = normpath(f"{depth}/{folder}/{link[2]}" if depth else f"{folder}/{link[2]}")
        target = on_disk.removeprefix("docs/") if on_disk.startswith("docs/") else _page_of(on_disk)
        return f"{link[1]}{relpath(target, folder)}{link[3]}" if target in known else link[0]

    return LINK.sub(moved, markdown)


def on_post_page(output: str, page: Page, **_: Any) -> None:
    """Refuse a page that loads something from another host."""
    if loaded := LOADED.findall(output):
        raise PluginError(f"{page.file.src_uri} loads something from another host: {loaded}")


def _page_of(path: str) -> str:
    """Where the site has a file of the repository: an example's code is a page, all else is as it is."""
    kept = not path.startswith("examples/") or PurePosixPath(path).suffix in {".md", *IMAGES}
    return path if kept else f"{path}.md"


def _shown(file: Path, path: str) -> str:
    """The page of an example: its text, or its code."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".md":
        return text
    if file.suffix == ".ipynb":
        return f"# {path}\n\n" + "\n\n".join(_cells(text))
    return f"# {path}\n\n````{LANGUAGES[file.suffix]}\n{text}````\n"


def _cells(notebook: str) -> list[str]:
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(notebook)["cells"]]
    return [text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in cells]
