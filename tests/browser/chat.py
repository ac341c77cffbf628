"""A page that shows MCP Apps, as a chat does, by the official packages for hosts."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.browser.site import Site
from tests.support.needs import need

INTEROP = Path(__file__).parents[1] / "interop"
HOST = """
<!doctype html><html lang="en"><title>Host</title>
<style>body { margin: 16px } iframe { border: 0; width: 100%; height: 0 }</style>
<main><h1>Chat</h1><iframe title="Job" sandbox="allow-scripts"></iframe></main>
<script type="module" src="/host.js"></script></html>
"""


def node(script: str, path: Path) -> str:
    need((INTEROP / "node_modules/@modelcontextprotocol/ext-apps").is_dir(), "tests/interop")
    made = subprocess.run(
        ["node", str(INTEROP / script), str(path)], capture_output=True, text=True, check=True
    )
    return made.stdout


@contextmanager
def chat() -> Iterator[Site]:
    with Site() as site:
        site.pages["/host.js"] = (
            "text/javascript", node("browserify.mjs", INTEROP / "apphost.js")
        )  # fmt: skip
        site.write("/", HOST)
        yield site
