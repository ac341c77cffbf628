"""The docs as a site: the repository's pages, each as HTML and as Markdown, and `llms.txt`.

The pages are copied with the folders they link to, in their places. So one link works in the
repository and in the site.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
CONFIG: Final = ROOT / "zensical.toml"
FOLDERS: Final = ("docs", "docker", "examples", "static/pages/fonts")
FILES: Final = ("*.md", "LICENSE", "bench/README.md")
REST: Final = "  # The rest.\n"  # a line of CONFIG, for pages that it does not name
PORT: Final = 8001


class Page(NamedTuple):
    section: str
    title: str
    path: str


def main() -> None:
    match sys.argv[1:]:
        case ["serve"]:
            serve(build(ROOT / "build" / "docs"))
        case []:
            print(build(ROOT / "build" / "docs"))
        case [folder]:
            print(build(Path(folder)))
        case _:
            sys.exit("usage: scripts/docs [serve | reference | FOLDER]")


def build(folder: Path) -> Path:
    pages = folder / "pages"
    shutil.rmtree(pages, ignore_errors=True)
    copy(pages)
    (folder / "zensical.toml").write_text(configuration(pages))
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    ran = subprocess.run(  # noqa: S603 - our own command
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        sys.exit(ran.stdout + ran.stderr)
    site = folder / "site"
    for page in pages.rglob("*.md"):
        shutil.copy(page, site / page.relative_to(pages))
        if page.name == "README.md":  # its HTML is index.html
            shutil.copy(page, site / page.relative_to(pages).with_name("index.md"))
    (site / "llms.txt").write_text(llms(pages))
    return site


def copy(pages: Path) -> None:
    for name in FOLDERS:
        shutil.copytree(ROOT / name, pages / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (path for pattern in FILES for path in ROOT.glob(pattern)):
        target = pages / path.relative_to(ROOT)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)


def configuration(pages: Path) -> str:
    """CONFIG, with the pages that its `nav` does not name."""
    text = CONFIG.read_text()
    named = {page.path for page in listed(tomllib.loads(text)["project"]["nav"])}
    found = sorted(str(path.relative_to(pages)) for path in pages.glob("docs/**/*.md"))
    rest = [path for path in found if path not in named]
    assert text.count(REST) == 1
    return text.replace(REST, f'  {{ "More" = {json.dumps(rest)} }},\n' if rest else "")


def listed(nav: list[Any], section: str = "") -> Iterator[Page]:
    for entry in nav:
        for title, value in {"": entry}.items() if isinstance(entry, str) else entry.items():
            if isinstance(value, list):
                yield from listed(value, title)
            else:
                yield Page(section, title, value)


def llms(pages: Path) -> str:
    """The list of all pages for programs that read Markdown: see https://llmstxt.org."""
    project = tomllib.loads(configuration(pages))["project"]
    lines, last = [f"# {project['site_name']}", "", f"> {project['site_description']}"], ""
    for section, title, path in listed(project["nav"], "Pages"):
        if section != last:
            lines += ["", f"## {section}", ""]
        lines.append(f"- [{title or heading(pages / path)}]({path})")
        last = section
    return "\n".join([*lines, ""])


def heading(page: Path) -> str:
    return page.read_text().partition("# ")[2].partition("\n")[0]


def serve(site: Path) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", PORT), handler) as server, suppress(KeyboardInterrupt):
        print(f"http://127.0.0.1:{PORT}")
        server.serve_forever()


if __name__ == "__main__":
    main()
