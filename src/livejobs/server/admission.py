"""Limit the number of connections: in all and, if so set, from one address.

Every connection enters when it is made and leaves when it is lost. The first few connections
over a limit still get an answer that says so; further ones are closed without an answer.
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

OVERFLOW: Final = 32  # connections over a limit that still get an answer, not a reset

Client: TypeAlias = tuple[str, int] | None  # as in uvicorn


class Admission:
    def __init__(self, limit: int, limit_per_address: int | None) -> None:
        self.limit = limit
        self.limit_per_address = limit_per_address
        self.addresses: Counter[str] = Counter()  # connections; empty without a limit
        self.refused: Counter[str] = Counter()  # by limit

    def enter(self, client: Client, count: int) -> int:
        """Count a connection in, and return by how many it is over a limit. `count`: all open
        connections, with this one."""
        excess = count - self.limit
        if self.limit_per_address and client:
            address = party(client[0])
            self.addresses[address] += 1
            excess = max(excess, self.addresses[address] - self.limit_per_address)
        return excess

    def address_is_full(self, client: Client) -> bool:
        """Whether the client's own address is over its limit."""
        if not self.limit_per_address or not client:
            return False
        return self.addresses[party(client[0])] > self.limit_per_address

    def note_refusal(self, client: Client) -> None:
        own = self.address_is_full(client)
        self.refused["max_connections_per_address" if own else "max_connections"] += 1

    async def refuse(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """The ASGI app of connections over a limit."""
        if self.address_is_full(scope.get("client")):
            detail = (
                f"Your address has reached its limit of {self.limit_per_address} connections. "
                "Close one, or try again later."
            )
            await _refuse("too_many_from_address", detail, scope, send)
        else:
            detail = "The server has reached its limit of connections. Try again later."
            await _refuse("too_many_connections", detail, scope, send)

    def leave(self, client: Client) -> None:
        if self.limit_per_address and client:
            address = party(client[0])
            self.addresses[address] -= 1
            if not self.addresses[address]:
                del self.addresses[address]


async def _refuse(code: str, detail: str, scope: Scope, send: Send) -> None:
    seconds = 5 + secrets.randbelow(10)  # spread, so that clients do not all return at once
    if takes(header(scope, b"accept") or "", "text/event-stream"):
        # After any status but 200, EventSource never tries again.
        status, media_type = 200, b"text/event-stream"
        body = b'retry: %d000\nevent: bye\ndata: {"reason": "%s"}\n\n' % (seconds, code.encode())
    else:
        status, media_type = 503, b"application/problem+json"
        body = problem(503, code, detail)
    headers = [
        (b"content-type", media_type),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"retry-after", b"%d" % seconds),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def problem(status: int, code: str, detail: str) -> bytes:
    return msgspec.json.encode(document(status, HTTPStatus(status).phrase, code, detail))
