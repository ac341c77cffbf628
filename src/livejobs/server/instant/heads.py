"""Heads of requests that were parsed before.

A worker sends nearly the same head with each report, and a poller the same one with each poll. What
a head means follows from its bytes alone. So a head is parsed once, and recognized when the same
bytes come again; only its Content-Length may differ. That saves the parser with its callbacks, and
all that the app finds in the headers (`once` in web/http.py).

Only heads of requests that the app took are kept: they are plain, and their callers are known.
"""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec import Struct

LONGEST: Final = 1024  # bytes of a head that is kept
KEPT: Final = 2000
END: Final = b"\r\n\r\n"
# A line cannot begin otherwise within a head, and the parser refuses a second such line.
_LENGTH: Final = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: (\d{1,7})\r\n")


class Known(Struct, frozen=True):
    """A head as it was parsed, and what the app has found in it."""

    method: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    notes: dict[Any, Any]
    has_body: bool


class Found(Struct, frozen=True):
    """A known head at the beginning of a read, and where the body begins and ends."""

    known: Known
    body: int
    end: int


class Heads:
    """The heads that were parsed last, by their bytes without the digits of the length."""

    def __init__(self) -> None:
        self._known: dict[bytes, Known] = {}

    def find(self, data: bytes) -> Found | None:
        """The head that the data begins with. None: it is not known."""
        head = head_of(data)
        if len(head) == len(data):
            known = self._known.get(head)
            if known is not None and not known.has_body:
                return Found(known, len(head), len(head))
        length = _LENGTH.search(head)
        if length is None:
            return None
        known = self._known.get(_without(head, length))
        if known is None:
            return None
        return Found(known, len(head), len(head) + int(length[1]))

    def keep(self, head: bytes, known: Known) -> None:
        found = _LENGTH.search(head) if known.has_body else None
        if known.has_body and found is None:
            return
        if len(self._known) >= KEPT:
            del self._known[next(iter(self._known))]
        self._known[head if found is None else _without(head, found)] = known


def head_of(data: bytes) -> bytes:
    """The head that the data begins with; empty if it is too long or not complete."""
    end = data.find(END, 0, LONGEST)
    return data[: end + len(END)] if end >= 0 else b""


def _without(head: bytes, length: re.Match[bytes]) -> bytes:
    begin, end = length.span(1)
    return head[:begin] + head[end:]
