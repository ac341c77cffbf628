"""What is sent to the server, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, Literal, NamedTuple

BATCH: Final = 1000  # reports in a request: the server's own limit
BYTES: Final = 512 * 1024  # of a request: half the server's limit

ENDS: Final = frozenset({"succeed", "fail", "cancelled"})

# No answer, a timeout, "too early", "too many", and a proxy in front of a server that is away.
AWAY: Final = frozenset({0, 408, 425, 429, 502, 503, 504})


class Record(NamedTuple):
    """A numbered report."""

    n: int
    kind: str
    body: bytes


class Request(NamedTuple):
    kind: Literal["create", "reports", "heartbeat"]
    body: bytes
    records: tuple[Record, ...] = ()


class Answer(NamedTuple):
    """What came back. Status 0: nothing, for the reason in `error`."""

    status: int
    said: Mapping[str, Any] = {}
    retry_after: float | None = None
    error: str = ""

    @property
    def reason(self) -> str:
        errors = self.said.get("errors")
        first = errors[0] if isinstance(errors, list) and errors else {}
        pointer = first.get("pointer", "") if isinstance(first, dict) else ""
        detail = str(self.said.get("detail") or self.error or f"HTTP status {self.status}")
        return f"{detail} (at {pointer})" if pointer else detail

    @property
    def path(self) -> tuple[str, ...]:
        """Where the server points to, as the tokens of a JSON pointer."""
        errors = self.said.get("errors")
        first = errors[0] if isinstance(errors, list) and errors else None
        pointer = first.get("pointer") if isinstance(first, dict) else None
        return tuple(str(pointer).split("/")[1:]) if pointer else ()


class Verdict(Enum):
    """When to send this job's next request."""

    GO = "as usual"
    AGAIN = "this job later"
    AWAY = "every job later: the server does not answer, or has no room"
    SLOWLY = "every job much later: a person has to mend it"
    OVER = "never: the job takes no more reports"


def culprit(count: int, answer: Answer) -> int | None:
    """The index of the report that is wrong, of so many in the request. None: some of them, or all
    of them together."""
    if count == 1:
        return 0
    token = answer.path[0] if answer.path else ""
    if answer.status == 413 or not token.isdecimal() or int(token) >= count:
        return None
    return int(token)
