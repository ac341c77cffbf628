"""Who may come in: so many connections in all and, where that is set, so many from one address.

Every connection enters when it is made and leaves when it is lost. A few past a bound still get
an answer; the rest are cut.
"""

from __future__ import annotations

import secrets
from collections import Counter
from http import HTTPStatus
from typing import Final, TypeAlias

import msgspec
from starlette.types import Receive, Scope, Send

from livejobs.access.limits import party
from livejobs.web.http import header, takes
from livejobs.web.problems import document

OVERFLOW: Final = 32  # connections past a bound that still get an answer, not a reset

Client: TypeAlias = tuple[str, int] | None  # as uvicorn has it


class Admission:
    def __init__(self, most: int, most_per_address: int | None) -> None:
        self.most = most
        self.most_per_address = most_per_address
        self.addresses: Counter[str] = Counter()  # stays empty where that is not bounded
        self.refused: Counter[str] = Counter()  # by limit

    def enter(self, client: Client, here: int) -> int:
        """By how many it is too many; `here` are those in the house, with this one."""
        excess = here - self.most
        if self.most_per_address and client:
            address = party(client[0])
            self.addresses[address] += 1
            excess = max(excess, self.addresses[address] - self.most_per_address)
        return excess

    def full_for(self, client: Client) -> bool:
        """Whether it is its own address that has too many, not all together."""
        if not self.most_per_address or not client:
            return False
        return self.addresses[party(client[0])] > self.most_per_address

    def note_refusal(self, client: Client) -> None:
        own = self.full_for(client)
        self.refused["max_connections_per_address" if own else "max_connections"] += 1

    async def turn_away(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """The app of connections past a bound."""
        if self.full_for(scope.get("client")):
            detail = f"Your address has {self.most_per_address} connections, the most it may."
            await _turn_away("too_many_from_address", detail, scope, send)
        else:
            detail = "There is no room for another connection. Try again later."
            await _turn_away("too_many_connections", detail, scope, send)

    def leave(self, client: Client) -> None:
        if self.most_per_address and client:
            address = party(client[0])
            self.addresses[address] -= 1
            if not self.addresses[address]:
                del self.addresses[address]


async def _turn_away(code: str, detail: str, scope: Scope, send: Send) -> None:
    seconds = 5 + secrets.randbelow(10)  # spread, so that they do not all return at once
    if takes(header(scope, b"accept") or "", "text/event-stream"):
        # EventSource gives up for good on any answer but 200
        status, kind = 200, b"text/event-stream"
        body = b'retry: %d000\nevent: bye\ndata: {"reason": "%s"}\n\n' % (seconds, code.encode())
    else:
        status, kind = 503, b"application/problem+json"
        body = problem(503, code, detail)
    headers = [
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"retry-after", b"%d" % seconds),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def problem(status: int, code: str, detail: str) -> bytes:
    return msgspec.json.encode(document(status, HTTPStatus(status).phrase, code, detail))
