"""Every code block of the docs, and how the tests try it.

A new block needs a line in `WAYS`, or is in a language that `LANGUAGES` tries. A block of `bash`
runs against a server as it stands. A block of `sh` has a line in `SHELL`: the test that runs it, or
why nothing here can. Also then its syntax, the options of our commands and the files that it names
are checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.docs import checks

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = [*ROOT.glob("*.md"), *sorted(ROOT.glob("docs/**/*.md")), ROOT / "bench/README.md"]
FENCE: Final = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    page: str
    language: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


class Elsewhere(NamedTuple):
    """Another test reads this page, or all pages, and runs the blocks."""

    test: str


class Never(NamedTuple):
    """Nothing here can run it."""

    reason: str


Way = Elsewhere | Never | Callable[[str], None]

PROXIES: Final = Elsewhere("tests/interop/test_proxies.py")
WORKERS: Final = Elsewhere("tests/interop/test_workers.py")
HOWTO: Final = Elsewhere("tests/docs/test_howto.py")
START: Final = Elsewhere("tests/docs/test_start.py")
BROWSER: Final = Elsewhere("tests/docs/test_in_browser.py")
HOOKS: Final = Elsewhere("tests/hooks/test_docs.py")
README: Final = Elsewhere("tests/test_readme.py")
AGENTS: Final = Elsewhere("tests/mcp/extensions/test_docs.py")
RUN: Final = Elsewhere("tests/docs/test_shell.py")
ENGINE: Final = Never("It needs Docker's engine and Compose. tests/docker reads the files.")

WAYS: Final[dict[tuple[str, str], Way]] = {
    ("README.md", "bash"): README,
    ("README.md", "python"): README,
    ("docs/agents.md", "js"): AGENTS,
    ("docs/agents.md", "python"): AGENTS,
    ("docs/browser.md", "css"): BROWSER,
    ("docs/embedding.md", "python"): Elsewhere("tests/test_embedding.py"),
    ("docs/faces.md", "python"): Elsewhere("tests/faces/test_docs.py"),
    ("docs/files.md", "nginx"): Elsewhere("tests/interop/test_nginx.py"),
    ("docs/howto/django.md", "python"): HOWTO,
    ("docs/howto/fastapi.md", "python"): HOWTO,
    ("docs/howto/flask.md", "python"): HOWTO,
    ("docs/howto/github-actions.md", "yaml"): HOWTO,
    ("docs/howto/nextjs.md", "js"): HOWTO,
    ("docs/metrics.md", "yaml"): checks.is_prometheus,
    ("docs/pages.md", "md"): Never("A picture of a server that is not there."),
    ("docs/proxies.md", "apache"): PROXIES,
    ("docs/proxies.md", "caddyfile"): PROXIES,
    ("docs/proxies.md", "haproxy"): PROXIES,
    ("docs/proxies.md", "nginx"): PROXIES,
    ("docs/proxies.md", "yaml"): PROXIES,
    ("docs/python.md", "python"): Elsewhere("tests/client/test_docs.py"),
    ("docs/queues.md", "python"): Elsewhere("tests/queues/test_docs.py"),
    ("docs/reports.md", "json"): START,
    ("docs/retention.md", "toml"): checks.is_settings,
    ("docs/start/client.md", "bash"): START,
    ("docs/start/worker.md", "python"): START,
    ("docs/webhooks.md", "python"): HOOKS,
    ("docs/workers.md", "go"): WORKERS,
    ("docs/workers.md", "java"): WORKERS,
    ("docs/workers.md", "js"): WORKERS,
    ("docs/workers.md", "php"): WORKERS,
    ("docs/workers.md", "rust"): WORKERS,
}

LANGUAGES: Final[dict[str, Way]] = {
    "console": Never("What a command prints."),
    "html": BROWSER,
    "js": checks.is_javascript,
    "json": checks.is_json,
    "jsx": checks.is_javascript,
    "nginx": checks.is_nginx,
    "routes": checks.is_routes,
    "sh": checks.is_shell,
    "text": Never("What a command prints."),
    "toml": checks.is_toml,
}


# Of each page, one for each block.
SHELL: Final[dict[str, tuple[Elsewhere | Never, ...]]] = {
    "README.md": (
        Never("It sets up a checkout and never ends. tests/test_demo.py runs the demo."),
        Never("It builds the package. tests/release does, and serves it."),
        Never("It never ends. The test of docs/start/operator.md runs the same."),
    ),
    "docs/access.md": (RUN, RUN),
    "docs/agents.md": (
        Never(
            "It needs Claude Code. tests/mcp/extensions/test_docs.py uses its address and header."
        ),
        AGENTS,
    ),
    "docs/backup.md": (RUN, RUN, RUN),
    "docs/copies.md": (RUN, RUN, RUN),
    "docs/deploy.md": (ENGINE, ENGINE, ENGINE),
    "docs/doctor.md": (RUN,),
    "docs/drills.md": (Never("It takes an hour. tests/crash/test_drills.py runs a few rounds."),),
    "docs/files.md": (
        Never("It needs an object store. tests/files/test_objects.py starts servers on one."),
    ),
    "docs/operations.md": (RUN,),
    "docs/scale.md": (
        Never("It needs PostgreSQL. tests/store/test_postgres_serve.py starts servers on one."),
    ),
    "docs/start/contributor.md": (Never("It would run all tests, and so itself."),),
    "docs/start/operator.md": (RUN,),
    "docs/terminal.md": (RUN, RUN, RUN),
    "docs/webhooks.md": (
        *(HOOKS,) * 5,
        Never("It never ends. tests/hooks/conftest.py serves with this setting."),
    ),
    "docs/workers.md": (WORKERS,) * 3,
}


def blocks() -> Iterator[Block]:
    for path in PAGES:
        text = path.read_text()
        for found in FENCE.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield Block(str(path.relative_to(ROOT)), found[2], found[3], line)


def texts(page: str, language: str) -> list[str]:
    return [it.text for it in blocks() if (it.page, it.language) == (page, language)]


def way(block: Block) -> Way | None:
    return WAYS.get((block.page, block.language), LANGUAGES.get(block.language))
