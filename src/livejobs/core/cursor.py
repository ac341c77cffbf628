"""A cursor is `<epoch>.<seq>`: which database and project, and how far into its changes."""

from __future__ import annotations

import re
from typing import NamedTuple

# A browser sends these bytes back in Last-Event-ID without a preflight.
_PATTERN = re.compile(r"([A-Za-z0-9_-]{1,40})\.(0|[1-9][0-9]{0,17})\Z")


class Cursor(NamedTuple):
    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.seq}"


def parse(text: str) -> Cursor | None:
    """The cursor, or None if the text is not one."""
    found = _PATTERN.match(text)
    return Cursor(found[1], int(found[2])) if found else None
