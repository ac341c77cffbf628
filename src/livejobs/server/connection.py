"""One HTTP/1.1 connection: uvicorn's, with the limits that uvicorn lacks.

There is a limit for the time and the size of a request's head, for the silence of a body, and
for the number of connections. The server's tick counts the seconds, so a connection needs no
clock and no timer of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from time import thread_time  # CPU time of this thread, which no clock shows
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from livejobs.server.access_log import AccessLine
from livejobs.server.admission import problem
from livejobs.server.cycle import Expecting, receive_all
from livejobs.server.limited import LARGE_READ, Config, LimitedConnection
from livejobs.server.patience import LATE, LINGER_SECONDS, Awaited, body_may_pause, waited_for

PIPELINED = 100  # requests that wait for earlier ones; a client that reads the answers sends fewer
IDLE_SECONDS = 0.05  # when the server stops, for a request that is on its way


class Connection(LimitedConnection, HttpToolsProtocol):
    # Slots, not the dict of uvicorn's attributes: with these in it, the dict would be too large
    # for Python to share its keys, and an idle connection would take a kilobyte more.
    __slots__ = (
        "admission",
        "answering",
        "awaited_before",
        "body_bytes",
        "counted",
        "framing_bytes",
        "head_bytes",
        "last",
        "limits",
        "may_pause",
        "moved",
        "piece_bytes",
        "refused",
        "resting",
        "waited",
    )

    config: Config
    scope: Any  # None before the first request, contrary to uvicorn's type

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.admission, self.limits = config.admission, config.limits
        self.refused = False
        self.last = False  # the server stops: the next request is the last one
        self.moved = False  # the connection goes on without this object (see bare/)
        self.resting = False  # all requests are answered, and nothing has come since
        # The request that the app answers. uvicorn's `cycle` is the latest request: it may wait.
        self.answering: RequestResponseCycle | None = None
        self.body_bytes = 0  # of a body, since the last tick
        self.framing_bytes = 0  # of chunks and trailers, since a head or a byte of a body
        self.may_pause = False  # the body of the latest request may pause for long
        self.piece_bytes = 0  # size of the latest read
        self.head_bytes = 0  # of a head that comes in several reads: all but its first
        self.counted: object = None  # the scope of that head
        self.awaited_before: tuple[Awaited, object] = Awaited.REQUEST, None  # at the last tick
        self.waited = 0.0  # seconds, for the same

    # The transport of a stream has this type.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        if not self.enter():
            self.app = self.admission.refuse
            self.ws_protocol_class = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.answering is not None and not self.answering.response_complete:
            self.answering.disconnected = True
            self.answering.message_event.set()
        if not self.moved:
            self.admission.leave(self.client)

    def data_received(self, data: bytes) -> None:
        if self.refused:
            return
        self.piece_bytes = len(data)
        self.framing_bytes += len(data)
        began = thread_time() if len(data) > LARGE_READ else 0.0
        self.feed(data)
        if self.in_head():
            self.count_head()
        elif self.framing_bytes > self.limits.head_bytes and not self.refused:
            self.refuse_head("chunk extensions or trailers are")
        self.take_turns(len(data), began)

    def in_head(self) -> bool:
        """Whether a head has begun and is not complete."""
        return self.cycle is None or self.cycle.scope is not self.scope

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_head():  # else a trailer, which must not count as a header (RFC 9110, 6.5.1)
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self.body_bytes += len(body)
        self.framing_bytes = 0
        super().on_body(body)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.answering = cycle
        if cycle.access_log:
            # uvicorn only calls its `info`.
            cycle.access_logger = AccessLine(cycle.scope)  # type: ignore[assignment]
        if cycle.waiting_for_100_continue:
            cycle.__class__ = Expecting
        # A request that had to queue is not the one whose head came last.
        latest = cycle.scope is self.scope
        if self.may_pause if latest else body_may_pause(cycle.scope):
            receive: Any = partial(receive_all, cycle, cycle.receive)
            cycle.receive = receive  # type: ignore[method-assign]  # uvicorn has no hook
        super()._start_asgi_task(cycle, app)

    # The size of heads

    def count_head(self) -> None:
        if self.counted is not self.scope:
            self.counted, self.head_bytes = self.scope, 0
        else:
            self.head_bytes += self.piece_bytes
        if self.head_bytes > self.limits.head_bytes and not self.refused:
            self.refuse_head()

    def on_headers_complete(self) -> None:
        # Most heads come in one small read, so few are measured.
        may_be_large = self.counted is self.scope or self.piece_bytes > self.limits.head_bytes
        if may_be_large and self.head_size() > self.limits.head_bytes:
            self.refuse_head()
            raise httptools.HttpParserError  # stops the parser; see send_400_response
        if self.parser.should_upgrade():
            return  # see `feed`
        self.framing_bytes = 0
        self.scope["method"] = self.parser.get_method().decode("ascii")  # uvicorn does it later
        self.begin_request()

    def begin_request(self) -> None:
        """The head is complete: call the app, or wait until earlier requests are answered."""
        self.may_pause = body_may_pause(self.scope)
        super().on_headers_complete()
        if self.last:
            super().shutdown()  # closes the connection after the answer
        if len(self.pipeline) > PIPELINED:
            self.refused = True
            self.transport.abort()  # a refusal would overtake the answers to earlier requests
            raise httptools.HttpParserError

    def head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    # Upgrades

    def feed(self, data: bytes) -> None:
        """uvicorn's `data_received`, except for its timer and for upgrades. The parser stops after
        the head of a request with an upgrade. Upgrades to anything but WebSocket are ignored
        (RFC 9110, 7.8): the head is parsed again without the upgrade, then the body and further
        requests."""
        self.resting = False
        rest: bytes | memoryview = data
        try:
            while True:
                try:
                    self.parser.feed_data(rest)
                except httptools.HttpParserUpgrade as upgrade:
                    rest = memoryview(rest)[upgrade.args[0] :]
                else:
                    return
                if self.wants_websocket():
                    self.scope["method"] = "GET"
                    self.handle_websocket_upgrade()
                    if rest:  # of a client that did not wait for the answer
                        protocol = self.transport.get_protocol()
                        assert isinstance(protocol, asyncio.Protocol)
                        protocol.data_received(bytes(rest))
                    return
                self.parse_without_upgrade()
        except httptools.HttpParserError:
            self.send_400_response("The request is not valid HTTP.")

    def wants_websocket(self) -> bool:
        """Whether this is a handshake of RFC 6455, and all earlier requests are answered."""
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
            self.refuse(405, "method_not_allowed", "CONNECT is refused: this is not a proxy.")
            raise httptools.HttpParserError
        lines = [b"%b %b HTTP/%b\r\n" % (method, self.url, version.encode())]
        lines += [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        # A new parser: the old one may be in a state that expects the connection to close.
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.parser.feed_data(b"".join(lines) + b"\r\n")

    def on_response_complete(self) -> None:
        """uvicorn's, without its timer: the tick counts the seconds until the next request."""
        if self.pipeline:
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self.resting = True

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    # Time

    def second_passed(self) -> None:
        awaited = self.awaited()
        before, scope = self.awaited_before
        if awaited is before and self.scope is scope:
            received = self.body_bytes if awaited is Awaited.BODY else 0
            self.waited = waited_for(self.waited, received)
        else:
            self.waited = 0
        self.awaited_before, self.body_bytes = (awaited, self.scope), 0
        if awaited is Awaited.NOTHING or self.waited < self.patience[awaited]:
            return
        if awaited in LATE:  # others just close: browsers open connections in advance
            self.refuse(408, "request_timeout", LATE[awaited])
        self.transport.close()

    @property
    def patience(self) -> Mapping[Awaited, int]:
        """For how many seconds the server waits."""
        return {
            Awaited.REQUEST: self.limits.head_seconds,
            Awaited.NEXT: self.timeout_keep_alive,
            Awaited.HEAD: self.limits.head_seconds,
            Awaited.BODY: self.limits.body_silence_seconds,
            Awaited.CLOSE: LINGER_SECONDS,
        }

    def awaited(self) -> Awaited:
        if self.refused:
            return Awaited.CLOSE
        if self.flow.read_paused:
            return Awaited.NOTHING  # the server itself has paused reading
        if self.scope is None:
            return Awaited.REQUEST
        if self.in_head():
            return Awaited.HEAD
        if self.cycle.response_complete:
            return Awaited.NEXT if self.resting else Awaited.REQUEST
        if self.cycle.waiting_for_100_continue or self.may_pause:
            return Awaited.NOTHING
        return Awaited.BODY if self.cycle.more_body else Awaited.NOTHING

    def shutdown(self) -> None:
        if self.refused:
            self.transport.close()
        elif self.cycle is not None and not self.cycle.response_complete:
            super().shutdown()
        else:
            self.last = True
            new = self.scope is None and self.waited < 1
            patience = self.limits.first_seconds if new else IDLE_SECONDS
            self.loop.call_later(patience, self.close_idle)

    def close_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    # Refusals, without the app

    def send_400_response(self, msg: str) -> None:
        """uvicorn calls it when the parser fails."""
        if not self.refused:
            self.refuse(400, "bad_request", msg)

    def refuse_head(self, what: str = "head is") -> None:
        detail = f"The request's {what} longer than {self.limits.head_bytes} bytes."
        self.refuse(431, "headers_too_large", detail)

    def refuse(self, status: int, code: str, detail: str) -> None:
        self.refused = True
        if self.answering is not None and not self.answering.response_complete:
            if self.answering.response_started:
                self.transport.close()  # an answer has begun; a refusal would be taken for its rest
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
