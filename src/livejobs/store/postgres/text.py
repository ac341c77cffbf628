"""Texts as PostgreSQL can keep, index and search them."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

LONGEST: Final = 1_000  # bytes of an indexed text; an index takes 2,704
BETWEEN: Final = "\x1f"  # id and title

_KEPT: Final = str.maketrans({"\0": r"\0", "\\": r"\\"})  # a text can't hold a NUL
_SEARCHED: Final = str.maketrans({"\0": "\ufffe", BETWEEN: "\uffff"})  # which no text has
_PATTERN: Final = str.maketrans({sign: f"\\{sign}" for sign in r"\%_"})


def kept(text: str) -> str:
    """A text that can be kept and indexed. Different texts stay different."""
    data = text.translate(_KEPT).encode("utf-8", "replace")
    if len(data) > LONGEST:
        return f"\\{sha256(data).hexdigest()}"
    return data.decode()


def searched(id: str, title: str) -> str:
    """The text in which a job is searched."""
    return f"{_folded(id)}{BETWEEN}{_folded(title)}"


def pattern(part: str) -> str:
    """The pattern, for LIKE, of texts that hold a part."""
    return f"%{_folded(part).translate(_PATTERN)}%"


def _folded(text: str) -> str:
    return text.lower().encode("utf-8", "replace").decode().translate(_SEARCHED)
