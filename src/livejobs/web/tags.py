"""Entity tags in requests (RFC 9110, 8.8.3). If-Match and If-None-Match are parsed only here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]  # as in an ASGI scope

ANY: Final = b"*"
_TAG: Final = re.compile(rb'(?<![^\s,])(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"(?![^\s,])')


def quote(value: object) -> bytes:
    return b'"%b"' % str(value).encode()


def tags(headers: Headers, name: bytes) -> list[bytes] | None:
    """The tags of all headers with this name; None if there is no such header. `*` counts only
    alone: in a list it is malformed, and to ignore it can't cause a wrong 304."""
    values = [value for header, value in headers if header == name]
    if not values:
        return None
    text = b",".join(values)
    return [ANY] if text.strip() == ANY else _TAG.findall(text)


def not_modified(headers: Headers, *current: bytes) -> bool | None:
    """Whether If-None-Match names one of these tags, given without `W/`: it compares weakly
    (RFC 9110, 13.1.2). None if there is no If-None-Match."""
    known = tags(headers, b"if-none-match")
    return None if known is None else names(known, *current)


def names(known: Sequence[bytes], *current: bytes) -> bool:
    """Whether tags that were sent name one of these, given without `W/`, in the weak comparison."""
    return any(tag == ANY or tag.removeprefix(b"W/") in current for tag in known)
