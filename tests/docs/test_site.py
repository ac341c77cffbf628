"""The docs build as a site: no link is broken, and nothing comes from outside."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import pytest

ROOT: Final = Path(__file__).parents[2]
LOADS: Final = {("script", "src"), ("img", "src"), ("source", "srcset"), ("iframe", "src")}


class Links(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.to: set[str] = set()
        self.loaded: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "id":
                self.ids.add(value or "")
            elif name in ("href", "src", "srcset") and value:
                self.to.add(value)
                if (tag, name) in LOADS or tag == "link":
                    self.loaded.add(value)


Pages = dict[Path, Links]


def built(root: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, str(root / "scripts" / "docs.py"), str(folder)]
    return subprocess.run(program, capture_output=True, text=True, check=False)


def broken(site: Path, pages: Pages) -> list[str]:
    return [
        f"{path.relative_to(site)}: {link}"
        for path, links in pages.items()
        for link in links.to
        if not urlsplit(link).scheme and not leads(path, link, pages)
    ]


def leads(path: Path, link: str, pages: Pages) -> bool:
    parts = urlsplit(link)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file():
        return False
    return not parts.fragment or target not in pages or unquote(parts.fragment) in pages[target].ids


def outside(site: Path, pages: Pages) -> set[str]:
    """What a browser would load from another server."""
    loaded = {link for links in pages.values() for link in links.loaded if urlsplit(link).netloc}
    styles = [path.read_text() for path in site.rglob("*.css")]
    return loaded | {url for text in styles for url in re.findall(r"url\([\"']?(\w+:)?//", text)}


def test_the_site_is_whole(tmp_path: Path) -> None:
    ran = built(ROOT, tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    site = tmp_path / "site"
    found = {path for path in site.rglob("*.html") if path.name != "404.html"}
    # An example is a file for the reader's own site.
    pages = {path: Links(path.read_text()) for path in found if "examples" not in path.parts}
    assert broken(site, pages) == []
    assert outside(site, pages) == set()
    assert [path for path in pages if not path.with_suffix(".md").exists()] == []
    listed = re.findall(r"^- \[.+\]\((.+)\)$", (site / "llms.txt").read_text(), re.MULTILINE)
    assert [link for link in listed if not (site / link).exists()] == []
    assert {str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md")} <= set(listed)


NAV: Final = 'nav = [\n  { "Home" = "README.md" },\n  # The rest.\n]'


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A repository with the generator and two pages. One is not in the navigation."""
    for name in ("bench", "docker", "examples", "scripts", "static/pages/fonts"):
        (tmp_path / name).mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "docs.py", tmp_path / "scripts")
    shutil.copytree(ROOT / "docs" / "site", tmp_path / "docs" / "site")
    config = (ROOT / "zensical.toml").read_text()
    small = re.sub(r"^nav = \[.*?^\]", NAV, config, flags=re.DOTALL | re.MULTILINE)
    (tmp_path / "zensical.toml").write_text(small)
    (tmp_path / "docs" / "a.md").write_text("# A\n\n## B\n")
    return tmp_path


def test_a_page_that_the_navigation_does_not_name_is_in_it(small: Path) -> None:
    (small / "README.md").write_text("# A page\n\n[link](docs/a.md#b)\n")
    ran = built(small, small / "out")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "- [A](docs/a.md)" in (small / "out/site/llms.txt").read_text()
    assert 'href="docs/a.html"' in (small / "out/site/index.html").read_text().replace("./", "")


def test_broken_links_and_anchors_fail_the_build(small: Path) -> None:
    (small / "README.md").write_text("# A page\n\n[one](docs/a.md#c), [two](docs/gone.md)\n")
    ran = built(small, small / "out")
    assert ran.returncode != 0
    said = re.sub(r"\x1b\[[\d;]*m", "", ran.stderr)
    assert ("anchor does not exist" in said, "page does not exist" in said) == (True, True), said
