"""One HTTP connection: uvicorn's, with the bounds it lacks.

A request's head must arrive in time and stay under a size; a body must not fall silent; and
there are only so many connections. A second is counted by the server's tick, so a connection
needs no clock and no timer of its own.
"""

from __future__ import annotations

import asyncio
import secrets
from enum import Enum
from http import HTTPStatus
from typing import Any, NamedTuple

import httptools
import msgspec
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from livejobs.web.problems import document

OVERFLOW = 32  # connections past the cap that still get an answer, not a reset
LINGER_SECONDS = 2  # for the refused to read their answer: closing at once would reset it away


class Bounds(NamedTuple):
    connections: int
    head_bytes: int = 64 << 10
    head_seconds: int = 10
    body_silence_seconds: int = 30


class Phase(Enum):
    HEAD = "a head has begun, or the connection is new"
    BODY = "its body is coming"
    REST = "nothing is owed to us"
    LEAVING = "refused; what still comes is not read"


class Connection(HttpToolsProtocol):
    def __init__(
        self,
        bounds: Bounds,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.bounds = bounds
        self.phase = Phase.HEAD
        self.waited = 0  # seconds since the phase began, or since the body's last bytes
        self.piece_bytes = 0  # the piece just received
        self.head_bytes = 0  # of a head that comes in pieces: all but its first

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        excess = len(self.connections) - self.bounds.connections
        if excess > OVERFLOW:
            transport.abort()
        elif excess > 0:
            self.app = turn_away
            self.ws_protocol_class = None

    def data_received(self, data: bytes) -> None:
        phase, idle = self.phase, self.timeout_keep_alive_task is not None
        if phase is Phase.LEAVING:
            return
        if phase is Phase.BODY:
            self.waited = 0
        self.piece_bytes = len(data)
        super().data_received(data)
        if self.phase is Phase.HEAD and phase is Phase.HEAD:
            self.head_bytes += len(data)
            if self.head_bytes > self.bounds.head_bytes:
                self.refuse_head()
        elif idle and self.phase is Phase.REST and self.cycle.response_complete:
            self.enter(Phase.HEAD)  # an empty line: no head yet, but the keep-alive timer is off

    def enter(self, phase: Phase) -> None:
        self.phase, self.waited, self.head_bytes = phase, 0, 0

    # What the parser tells

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.enter(Phase.HEAD)

    def on_headers_complete(self) -> None:
        # Few heads come near the bound, so it is rarely that one is measured.
        may_be = self.head_bytes + self.piece_bytes > self.bounds.head_bytes
        if may_be and self.head_size() > self.bounds.head_bytes:
            self.refuse_head()
            raise httptools.HttpParserError  # stops the parser; see send_400_response
        super().on_headers_complete()
        self.enter(Phase.BODY)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.enter(Phase.REST)

    def head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    # Time

    def second_passed(self) -> None:
        self.waited += 1
        if self.phase is Phase.LEAVING and self.waited >= LINGER_SECONDS:
            self.transport.close()
        elif self.flow.read_paused:
            self.waited = 0  # it is we who do not read
        elif self.phase is Phase.HEAD and self.waited > self.bounds.head_seconds:
            self.time_out("The request's head did not arrive in time.")
        elif self.phase is Phase.BODY and self.waited > self.bounds.body_silence_seconds:
            if self.may_be_silent():
                return
            self.time_out("The request's body stopped arriving.")

    def may_be_silent(self) -> bool:
        """NDJSON is a worker's open line: it speaks when there is something to say. And who
        waits for "100 Continue" waits for us."""
        return self.cycle.waiting_for_100_continue or any(
            name == b"content-type" and value.lower().startswith(b"application/x-ndjson")
            for name, value in self.headers
        )

    def time_out(self, detail: str) -> None:
        if self.scope is not None:  # else not a byte came; browsers open connections ahead
            self.refuse(408, "request_timeout", detail)
        self.transport.close()

    def shutdown(self) -> None:
        if self.phase is Phase.LEAVING:
            self.transport.close()
        else:
            super().shutdown()

    # Refusing, without the app

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls when the parser stops."""
        if self.phase is not Phase.LEAVING:
            self.refuse(400, "bad_request", msg)

    def refuse_head(self) -> None:
        detail = f"The request's head is longer than {self.bounds.head_bytes} bytes."
        self.refuse(431, "headers_too_large", detail)

    def refuse(self, status: int, code: str, detail: str) -> None:
        self.enter(Phase.LEAVING)
        if self.cycle is not None and not self.cycle.response_complete:
            if self.cycle.response_started:
                self.transport.close()  # another answer is under way; a second would garble it
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = problem(status, code, detail)
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: application/problem+json\r\nconnection: close\r\n"
            + b"content-length: %d\r\n\r\n" % len(body)
            + body
        )

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing to warn of: the request is answered as if it had asked for no upgrade."""


def problem(status: int, code: str, detail: str) -> bytes:
    return msgspec.json.encode(document(status, HTTPStatus(status).phrase, code, detail))


async def turn_away(scope: Scope, _receive: Receive, send: Send) -> None:
    """The app of connections past the cap."""
    seconds = 5 + secrets.randbelow(10)  # spread, so that they do not all return at once
    accept = dict(scope["headers"]).get(b"accept", b"")
    if b"text/event-stream" in accept:
        # EventSource gives up for good on any answer but 200
        status, kind = 200, b"text/event-stream"
        body = b'retry: %d000\nevent: bye\ndata: {"reason": "too_many_connections"}\n\n' % seconds
    else:
        status, kind = 503, b"application/problem+json"
        detail = "This server has as many connections as it takes. Try again later."
        body = problem(503, "too_many_connections", detail)
    headers = [
        (b"content-type", kind),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"retry-after", b"%d" % seconds),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
