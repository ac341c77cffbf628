"""What a webhook says to people: a few words about a job, in any chat."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from livejobs.core.progress import counted

BAR: Final = 12  # characters
TITLE: Final = 120
TEXT: Final = 600
UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


class Look(NamedTuple):
    mark: str
    words: str
    tag: str  # the mark's name at ntfy
    color: int
    urgency: int = 3  # from 1 to 5, as ntfy has it


RUNNING: Final = Look("🔵", "is running", "large_blue_circle", 0x3B82F6, 2)
LOOKS: Final = {
    "created": Look("⚪", "is queued", "white_circle", 0x9CA3AF, 2),
    "started": Look("🔵", "has started", "large_blue_circle", 0x3B82F6, 2),
    "progress": RUNNING,
    "waiting": Look("🟣", "needs an answer", "purple_circle", 0x8B5CF6, 4),
    "stalled": Look("🟡", "is silent", "yellow_circle", 0xEAB308, 4),
    "succeeded": Look("✅", "has succeeded", "white_check_mark", 0x22C55E),
    "failed": Look("❌", "has failed", "x", 0xEF4444, 4),
    "cancelled": Look("🟠", "was cancelled", "orange_circle", 0xF97316),
    "test": Look("👋", "would be shown like this", "wave", 0x3B82F6),
}


class Message(NamedTuple):
    look: Look
    title: str  # of the job
    lines: tuple[str, ...]  # progress, question, error
    facts: tuple[str, ...]  # small print
    link: str | None  # to the job's page


def message(event: str, job: Mapping[str, Any], link: str | None) -> Message:
    """`job`: the head, as clients see it."""
    lines = (_progress(job), _question(job), _error(event, job))
    facts = (job["type"], _duration(job), _results(job), f"Attempt {job['attempt']}")
    kept = facts if job["attempt"] > 1 else facts[:-1]
    return Message(
        LOOKS["test"] if event == "test" else look_of(job),
        clean(job["title"] or job["type"] or job["id"], TITLE),
        tuple(clean(it, TEXT) for it in lines if it),
        tuple(clean(it, TITLE) for it in kept if it),
        link,
    )


def look_of(job: Mapping[str, Any]) -> Look:
    """By what the job is: the events of a change have the same head."""
    if job["status"] == "queued":
        return LOOKS["created"]
    if job["status"] != "running":
        return LOOKS[job["status"]]
    if job["waiting"]:
        return LOOKS["waiting"]
    return LOOKS["stalled"] if job["stalled"] else RUNNING


def clean(text: str, most: int) -> str:
    """On one line, without what could change how the rest is shown."""
    kept = "".join(" " if unicodedata.category(it) in UNSAFE else it for it in text[: most * 2])
    line = " ".join(kept.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _progress(job: Mapping[str, Any]) -> str | None:
    it = job["progress"]
    if job["status"] == "queued":
        return None
    amount = _amount(it)
    bar = None if it["percent"] is None else f"{_bar(it['percent'])} {it['percent']} %"
    return " · ".join(part for part in (bar, amount, it["message"]) if part) or None


def _bar(percent: int) -> str:
    done = percent * BAR // 100
    return "▰" * done + "▱" * (BAR - done)


def _amount(it: Mapping[str, Any]) -> str | None:
    if it["current"] is None or (it["total"] is None and not it["unit"]):
        return None
    return counted(it["current"], it["total"], it["unit"])


def _question(job: Mapping[str, Any]) -> str | None:
    return str(job["waiting"]["prompt"]) if job["waiting"] else None


def _error(event: str, job: Mapping[str, Any]) -> str | None:
    if job["error"]:
        return str(job["error"]["message"])
    return "Its worker sends nothing." if event == "stalled" else None


def _results(job: Mapping[str, Any]) -> str | None:
    n = job["errors_total"]
    return f"{n} error{'' if n == 1 else 's'} of single items" if n else None


def _duration(job: Mapping[str, Any]) -> str | None:
    seconds = job["timing"]["run_seconds"]
    return None if seconds is None else f"took {duration(seconds)}"


def duration(seconds: float) -> str:
    """The two largest units: `3 min 12 s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    whole = round(seconds)
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    parts = []
    for name, size in units:
        n, whole = divmod(whole, size)
        parts.append((n, name))
    first = next(at for at, (n, _) in enumerate(parts) if n)
    return " ".join(f"{n} {name}" for n, name in parts[first : first + 2] if n)
