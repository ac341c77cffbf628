"""How a job looks in a terminal: a mark and a style for each status, and bars.

Each status has its own mark and its word, so that nothing depends on colour.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from livejobs.cli.text import plain


class Look(NamedTuple):
    mark: str
    ascii: str
    style: str


LOOKS: Final[Mapping[str, Look]] = {
    "queued": Look("○", "o", "dim"),
    "pending": Look("○", "o", "dim"),
    "running": Look("●", "*", "cyan"),
    "stalled": Look("!", "!", "yellow"),
    "waiting": Look("?", "?", "magenta"),
    "cancelling": Look("●", "*", "yellow"),
    "succeeded": Look("✓", "+", "green"),
    "failed": Look("✗", "x", "red"),
    "cancelled": Look("■", "-", "yellow"),
    "skipped": Look("·", "-", "dim"),
}

LEVELS: Final[Mapping[str, str]] = {
    "debug": "dim", "info": "", "warning": "yellow", "error": "red",
}  # fmt: skip

FULL, HALF, EMPTY = "━", "╸", "─"


def terminal(*, stderr: bool = False) -> Console:
    """rich's own inventions (markup, emoji codes, guessed highlights) stay away from what jobs
    say."""
    stream = sys.stderr if stderr else sys.stdout
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")  # a character that the terminal lacks is no crash
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=False)


def state_of(job: Mapping[str, Any]) -> str:
    """The status, or what is more urgent about a running job."""
    if job["status"] == "running":
        if job["cancel_requested"]:
            return "cancelling"
        if job.get("waiting"):
            return "waiting"
        if job["stalled"]:
            return "stalled"
    return str(job["status"])


def part(text: str, style: str) -> Text:
    """The first part of a line. A style that is given to Text itself would also be that of all
    parts that follow."""
    return Text().append(text, style)


def mark(state: str, *, unicode: bool) -> Text:
    look = LOOKS[state]
    return part(look.mark if unicode else look.ascii, look.style)


def badge(state: str, *, unicode: bool) -> Text:
    """The mark and the word."""
    return mark(state, unicode=unicode).append(f" {state}", LOOKS[state].style)


def bar(value: float | None, width: int, state: str, *, unicode: bool) -> Text:
    """`value`: percent, or None when nobody can know."""
    style = LOOKS[state].style
    halves = 0 if value is None else round(max(0.0, min(100.0, value)) / 100 * width * 2)
    if not unicode:
        done = halves // 2
        return part("#" * done, style).append("." * (width - done), "dim")
    text = part(FULL * (halves // 2) + HALF * (halves % 2), style)
    return text.append(EMPTY * (width - (halves + 1) // 2), "dim")


def name_of(job: Mapping[str, Any]) -> str:
    """What people call the job."""
    return plain(job["title"] or job["type"] or job["id"])


def fitted(text: Text, width: int) -> Text:
    """On one line of at most so many columns."""
    fits = text.copy()
    fits.truncate(max(0, width), overflow="ellipsis")
    return fits


def tail(text: str, width: int) -> str:
    """The end of the text, in at most so many columns."""
    if cell_len(text) <= width:
        return text
    while text and cell_len(text) > width - 1:
        text = text[1:]
    return "…" + text
