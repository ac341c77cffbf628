"""What the server waits for from a client, and how long a body is overdue."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from livejobs.web.http import NDJSON, media_type_of

LEAST_RATE = 500  # bytes of a body a second, on average, as in Apache's RequestReadTimeout
LINGER_SECONDS = 2  # to read a refusal: an immediate close would reset the connection and lose it


class Awaited(Enum):
    """What the server waits for from the client."""

    NOTHING = "the client waits for the server, or its worker has nothing to report"
    REQUEST = "no byte of a request has come, only empty lines or nothing at all"
    NEXT = "all requests are answered, and nothing has come since"
    HEAD = "a part of a request's head has come"
    BODY = "the head has come, and perhaps a part of the body"
    READING = "the client must read what the server sent on a stream of HTTP/2"
    CLOSE = "the client was refused, and may read why"


TOO_SLOW = f"The request's body stopped, or arrived slower than {LEAST_RATE} bytes a second."
# The detail of the answer to a client that was too slow.
LATE = {
    Awaited.HEAD: "The request's head did not arrive in time.",
    Awaited.BODY: TOO_SLOW,
}


def waited_for(waited: float, received: int) -> float:
    """How long a body is overdue, one second later. The bytes that came in this second count as
    the time that they may take, so a byte now and then does not keep a request open."""
    return max(0.0, waited + 1 - received / LEAST_RATE)


def body_may_pause(scope: Mapping[str, Any]) -> bool:
    """Whether the body may pause for long: a worker sends NDJSON lines when it has some."""
    return scope["method"] == "POST" and media_type_of(scope) in NDJSON
