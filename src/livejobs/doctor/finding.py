"""What a check found, and the remedy."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from livejobs.service.nodes import MOST_SKEW

Level: TypeAlias = Literal["ok", "warning", "failure"]


class Finding(Struct, frozen=True):
    level: Level
    check: str
    found: str
    remedy: str | None = None  # None: nothing needs to be done


def ok(check: str, found: str) -> Finding:
    return Finding("ok", check, found)


def warning(check: str, found: str, remedy: str) -> Finding:
    return Finding("warning", check, found, remedy)


def failure(check: str, found: str, remedy: str) -> Finding:
    return Finding("failure", check, found, remedy)


def apart(sentences: str) -> tuple[str, str]:
    """What is wrong, and the remedy: the last sentence of a refusal."""
    wrong, _, remedy = sentences.rstrip(".").rpartition(". ")
    return (f"{wrong}.", f"{remedy}.") if wrong else (sentences, "Correct the setting.")


def skew(check: str, ms: int, whose: str) -> Finding:
    if abs(ms) > MOST_SKEW:
        how = "ahead of" if ms > 0 else "behind"
        return warning(
            check,
            f"This clock is {abs(ms) / 1000:,.1f} s {how} that of {whose}.",
            "Synchronize both clocks, with chrony or systemd-timesyncd.",
        )
    return ok(check, f"Within {MOST_SKEW / 1000:g} s of the clock of {whose}.")
