"""axe-core on an open page: what it finds hard or impossible to use for some people."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Frame, Page

from tests.support.needs import need

SOURCE: Final = Path(__file__).parents[1] / "interop/node_modules/axe-core/axe.min.js"
SEVERE: Final = ("serious", "critical")


def severe(page: Page | Frame, within: str = "html") -> list[str]:
    """A line for each element that fails a rule in a serious way. Shadow trees are searched too."""
    need(SOURCE.is_file(), "axe-core is not installed (tests/interop)")
    if not page.evaluate("'axe' in window"):
        page.evaluate(SOURCE.read_text() + ";0")
    # A colour on its way is neither of the two that a person will see.
    page.evaluate(
        "document.getAnimations().forEach((it) => it.finish?.call ? end(it) : 0);"
        "function end(it) { try { it.finish() } catch { it.cancel() } }"
    )
    found: Any = page.evaluate("(it) => axe.run(it, { resultTypes: ['violations'] })", within)
    return [
        f"{rule['id']}: {node['html'][:160]} ({node['failureSummary'].splitlines()[-1].strip()})"
        for rule in found["violations"]
        if rule["impact"] in SEVERE
        for node in rule["nodes"]
    ]
