"""Ids of requests, to find the lines of a log that are about an answer.

A client, or the proxy in front, may send one. The server makes one only when it logs something
about the request: an id that stands nowhere else helps nobody.
"""

from __future__ import annotations

import re
from secrets import token_hex
from typing import Final

from starlette.types import Scope

from livejobs.web.http import header

HEADER: Final = "X-Request-Id"
KEPT: Final = "livejobs.request_id"  # in the scope
SANE: Final = re.compile(r"[A-Za-z0-9._:~+/=@-]{1,128}")


def sent_id(scope: Scope) -> str | None:
    """The id that the client sent, or that the server has made for the request meanwhile."""
    if KEPT in scope:
        kept: str = scope[KEPT]
        return kept
    sent = header(scope, b"x-request-id")
    return sent if sent is not None and SANE.fullmatch(sent) else None


def echoed(id: str | None) -> dict[str, str]:
    """The headers of an answer to the request with this id."""
    return {} if id is None else {HEADER: id}


def request_id(scope: Scope) -> str:
    """The same, or an id that is made now."""
    id = sent_id(scope) or token_hex(8)
    scope[KEPT] = id
    return id
