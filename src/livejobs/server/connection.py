"""One HTTP/1.1 connection: uvicorn's, with the bounds it lacks.

A request's head must arrive in time and stay under a size; a body must not fall silent; and
there are only so many connections. A second is counted by the server's tick, so a connection
needs no clock and no timer of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import Enum
from functools import partial
from time import thread_time  # CPU time of this thread, which no clock shows
from typing import Any, NamedTuple

import httptools
import uvicorn
from starlette.types import Message
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from livejobs.server.admission import OVERFLOW, Admission, Client, problem
from livejobs.web.http import NDJSON, media_type_of

PIPELINED = 100  # requests that wait for the one before; nobody who reads the answers sends more
LARGE_READ = 64 << 10  # bytes: there may be more at once where these came from
OTHERS = 3  # times what such a read took to parse is left to others before the next
LEAST_RATE = 500  # bytes of a body a second, on average; Apache's RequestReadTimeout asks the same
LINGER_SECONDS = 2  # for the refused to read their answer: closing at once would reset it away


class Bounds(NamedTuple):
    connections: int
    connections_per_address: int | None = None
    head_bytes: int = 64 << 10
    head_seconds: int = 10
    body_silence_seconds: int = 30
    stuck_seconds: int = 30  # that what we sent may lie there untaken
    pong_seconds: int = 20  # between two pings of a WebSocket, and for the answer


class Config(uvicorn.Config):
    """uvicorn's, which each of its connections is given, and what ours need beside it."""

    def __init__(self, app: Any, bounds: Bounds, **options: Any) -> None:
        super().__init__(app, **options)
        self.bounds = bounds
        self.admission = Admission(bounds.connections, bounds.connections_per_address)


class Bounded:
    """A connection of ours, whichever HTTP it speaks."""

    __slots__ = ()

    admission: Admission
    bounds: Bounds
    client: Client
    connections: set[Any]
    flow: FlowControl
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport

    def second_passed(self) -> None:
        """Told by the server."""
        raise NotImplementedError

    def enter(self) -> bool:
        """Whether it is served. Else it may be told so, if it is not cut already."""
        excess = self.admission.enter(self.client, len(self.connections))
        if excess > 0:
            self.admission.note_refusal(self.client)
        if excess > OVERFLOW:
            self.transport.abort()
        return excess <= 0

    def take_turns(self, received: int, began: float) -> None:
        # uvloop would read on from a fast sender many times over: others have their turn first,
        # the longer the more it is in small pieces
        if received > LARGE_READ and not self.flow.read_paused:
            self.transport.pause_reading()
            self.loop.call_later(OTHERS * (thread_time() - began), self.listen_on)

    def listen_on(self) -> None:
        if not self.flow.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()


class OwnStream:
    """Marks a `send` that is our own, beside those of uvicorn (see direct.py)."""

    __slots__ = ()

    scope: Any


class Owed(Enum):
    """What the client has begun and not brought."""

    NOTHING = "it waits for us, or for its worker to say something"
    REQUEST = "not a byte of one yet, and no keep-alive timer runs"
    HEAD = "part of it is here"
    BODY = "part of it may be here"
    ROOM = "for what we sent, on a stream of its own"
    LEAVE = "it was refused, and may read why"


class Connection(Bounded, HttpToolsProtocol):
    # Beside uvicorn's attributes: with them in one dict it would pass the size at which Python
    # shares the keys of dicts, and an idle connection would take a kilobyte more.
    __slots__ = (
        "admission",
        "answering",
        "bare_bytes",
        "bounds",
        "counted",
        "head_bytes",
        "heard",
        "open_line",
        "piece_bytes",
        "refused",
        "seen",
        "waited",
    )

    scope: Any  # None before the first request, which uvicorn's type does not say

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.admission, self.bounds = config.admission, config.bounds
        self.refused = False
        # What the app is at; uvicorn's `cycle` is the request that came last, and it may queue.
        self.answering: RequestResponseCycle | None = None
        self.heard = 0  # bytes of a body since the last tick
        self.bare_bytes = 0  # since a head or a byte of a body: framing and trailers
        self.open_line = False  # the request that came last may be silent
        self.piece_bytes = 0  # of the bytes that came last
        self.head_bytes = 0  # of a head that comes in pieces: all but its first
        self.counted: object = None  # the scope of that head
        self.seen: tuple[Owed, object] = Owed.REQUEST, None  # at the last tick
        self.waited = 0.0  # seconds with nothing new in that

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if not self.enter():
            self.app = self.admission.turn_away
            self.ws_protocol_class = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.answering is not None and not self.answering.response_complete:
            self.answering.disconnected = True
            self.answering.message_event.set()
        self.admission.leave(self.client)

    def data_received(self, data: bytes) -> None:
        if self.refused:
            return
        self.piece_bytes = len(data)
        self.bare_bytes += len(data)
        began = thread_time() if len(data) > LARGE_READ else 0.0
        self.feed(data)
        if self.in_head():
            self.head_goes_on()
        elif self.bare_bytes > self.bounds.head_bytes and not self.refused:
            self.refuse_head("chunk extensions or trailers are")
        self.take_turns(len(data), began)

    def in_head(self) -> bool:
        """Whether a head has begun that is not complete."""
        return self.cycle is None or self.cycle.scope is not self.scope

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_head():  # else a trailer, which must not pass for a header (RFC 9110, 6.5.1)
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self.heard += len(body)
        self.bare_bytes = 0
        super().on_body(body)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.answering = cycle
        if cycle.waiting_for_100_continue:
            cycle.__class__ = Expecting
        if may_be_silent(cycle.scope):
            receive: Any = partial(receive_all, cycle, cycle.receive)
            cycle.receive = receive  # type: ignore[method-assign]
        super()._start_asgi_task(cycle, app)

    # The size of heads

    def head_goes_on(self) -> None:
        if self.counted is not self.scope:
            self.counted, self.head_bytes = self.scope, 0
        else:
            self.head_bytes += self.piece_bytes
        if self.head_bytes > self.bounds.head_bytes and not self.refused:
            self.refuse_head()

    def on_headers_complete(self) -> None:
        # Most heads come in one small piece, so few are measured.
        may_be = self.counted is self.scope or self.piece_bytes > self.bounds.head_bytes
        if may_be and self.head_size() > self.bounds.head_bytes:
            self.refuse_head()
            raise httptools.HttpParserError  # stops the parser; see send_400_response
        if self.parser.should_upgrade():
            return  # see `feed`
        self.bare_bytes = 0
        super().on_headers_complete()
        self.open_line = may_be_silent(self.scope)
        if len(self.pipeline) > PIPELINED:
            self.refused = True
            self.transport.abort()  # an answer would come before those that are owed
            raise httptools.HttpParserError

    def head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    # Upgrades

    def feed(self, data: bytes) -> None:
        """uvicorn's `data_received`, except for an upgrade. The parser takes the head of such a
        request for all of it. Any upgrade but to WebSocket is ignored (RFC 9110, 7.8): the head
        is parsed again without it, and then the body, and the requests after that."""
        self._unset_keepalive_if_required()
        rest = memoryview(data)
        try:
            while (end := self.upgrade_ends(rest)) is not None:
                rest = rest[end:]
                if self.wants_websocket():
                    self.scope["method"] = "GET"
                    self.handle_websocket_upgrade()
                    return
                self.parse_without_upgrade()
        except httptools.HttpParserError:
            self.send_400_response("The request is not valid HTTP.")

    def upgrade_ends(self, data: memoryview) -> int | None:
        """Where in the data the head of a request with an upgrade ends; None if all was parsed."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            end: int = upgrade.args[0]
            return end
        return None

    def wants_websocket(self) -> bool:
        """Whether this is a handshake of RFC 6455, and no answer is owed before its own."""
        if self.ws_protocol_class is None or self.parser.get_method() != b"GET":
            return False
        if self.parser.get_http_version() != "1.1":
            return False
        if self.cycle is not None and not self.cycle.response_complete:
            return False
        has_body = any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in self.headers
        )
        upgrades = [value.lower() for name, value in self.headers if name == b"upgrade"]
        return upgrades == [b"websocket"] and not has_body

    def parse_without_upgrade(self) -> None:
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            self.refuse(405, "method_not_allowed", "This server is no proxy: CONNECT is refused.")
            raise httptools.HttpParserError
        lines = [b"%b %b HTTP/%b\r\n" % (method, self.url, version.encode())]
        lines += [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        # A new parser: the old one may believe that the connection is to be closed.
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.parser.feed_data(b"".join(lines) + b"\r\n")

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    # Time

    def second_passed(self) -> None:
        owed = self.owed()
        news = self.seen[0] is not owed or self.seen[1] is not self.scope
        heard = self.heard if owed is Owed.BODY else 0
        self.waited = 0 if news else waited_for(self.waited, heard)
        self.seen, self.heard = (owed, self.scope), 0
        if owed is Owed.BODY and self.waited >= self.bounds.body_silence_seconds:
            self.refuse(408, "request_timeout", TOO_SLOW)
            self.transport.close()
        elif owed is Owed.HEAD and self.waited >= self.bounds.head_seconds:
            self.refuse(408, "request_timeout", "The request's head did not arrive in time.")
            self.transport.close()
        elif owed is Owed.REQUEST and self.waited >= self.bounds.head_seconds:
            self.transport.close()  # without a word: browsers open connections ahead
        elif owed is Owed.LEAVE and self.waited >= LINGER_SECONDS:
            self.transport.close()

    def owed(self) -> Owed:
        if self.refused:
            return Owed.LEAVE
        if self.flow.read_paused:
            return Owed.NOTHING  # it is we who do not read
        if self.scope is None:
            return Owed.REQUEST
        if self.in_head():
            return Owed.HEAD
        if self.cycle.response_complete:
            return Owed.NOTHING if self.timeout_keep_alive_task else Owed.REQUEST
        waits_for_us = self.cycle.waiting_for_100_continue or self.open_line
        return Owed.BODY if self.cycle.more_body and not waits_for_us else Owed.NOTHING

    def shutdown(self) -> None:
        if self.refused:
            self.transport.close()
        else:
            super().shutdown()

    # Refusing, without the app

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls when the parser stops."""
        if not self.refused:
            self.refuse(400, "bad_request", msg)

    def refuse_head(self, what: str = "head is") -> None:
        detail = f"The request's {what} longer than {self.bounds.head_bytes} bytes."
        self.refuse(431, "headers_too_large", detail)

    def refuse(self, status: int, code: str, detail: str) -> None:
        self.refused = True
        if self.answering is not None and not self.answering.response_complete:
            if self.answering.response_started:
                self.transport.close()  # another answer is under way; a second would garble it
                return
            self.answering.disconnected = True
            self.answering.message_event.set()
        body = problem(status, code, detail)
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: application/problem+json\r\nconnection: close\r\n"
            + b"content-length: %d\r\n\r\n" % len(body)
            + body
        )


class Expecting(RequestResponseCycle):
    """A request whose client waits to be asked for the body (Expect: 100-continue)."""

    async def send(self, message: Any) -> None:
        if self.waiting_for_100_continue and self.more_body:
            # Answered without the body: whether that still comes, nobody knows. So what comes
            # next can't be told from it.
            self.keep_alive = False
        await super().send(message)


async def receive_all(cycle: RequestResponseCycle, receive: Any) -> Message:
    """What came before the connection was lost, and only then that it was: uvicorn forgets it,
    and with it the last lines of a worker that dies."""
    message: Message = await receive()
    if message["type"] == "http.disconnect" and cycle.body and not cycle.response_complete:
        body, cycle.body = bytes(cycle.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": cycle.more_body}
    return message


def may_be_silent(scope: Mapping[str, Any]) -> bool:
    """NDJSON is a worker's open line: it speaks when there is something to say."""
    return scope["method"] == "POST" and media_type_of(scope) in NDJSON


TOO_SLOW = f"The request's body stopped arriving, or came at less than {LEAST_RATE} bytes/s."


def waited_for(waited: float, heard: int) -> float:
    """How long a body is overdue, a second later, in which so many bytes of it came. Those count
    as the time that they may take, so a byte now and then does not hold a request."""
    return max(0.0, waited + 1 - heard / LEAST_RATE)
