"""Text that a job's worker wrote, made safe for a terminal.

A title, a message or a log line may come from anyone. It must not move the cursor, set the
terminal's title, ring, or change the order in which the rest of the line is read.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Control characters, formatting ones (bidi marks, zero-width), halves of a pair, line separators.
UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Emoji and some scripts need the joiners, and they control nothing.
JOINERS: Final = frozenset("\u200c\u200d")
TAB: Final = 4  # columns
LONGEST: Final = 20_000  # characters of a value that are shown: more than the server's longest line

_BREAK = re.compile(r"\r\n|\n|\r(?=\n)")


def plain(text: str) -> str:
    """The text on one line, with every unsafe character as an escape, such as \\x1b."""
    text = text[:LONGEST]
    if text.isascii() and text.isprintable():
        return text
    text = _BREAK.sub(" ", text.rstrip("\r\n")).replace("\t", " " * TAB)
    return "".join(map(_safe, text))


def escaped(text: str) -> str:
    """As `plain`, but line breaks and tabs are escapes too: for lines that programs read."""
    return "".join(map(_escape_break, text[:LONGEST]))


def lines_of(text: str) -> list[str]:
    """The lines of the text, each as `plain`. At least one."""
    return [plain(line) for line in _BREAK.split(text.rstrip("\r\n"))]


def _escape_break(one: str) -> str:
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(one) or _safe(one)


def _safe(one: str) -> str:
    if one in JOINERS or unicodedata.category(one) not in UNSAFE:
        return one
    code = ord(one)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
