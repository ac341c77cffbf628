"""One HTTP/2 connection: uvicorn's, with the limits that uvicorn lacks, and corrections.

Each stream has the limits of an HTTP/1.1 connection: a body must not fall silent, and the client
must read what the server sent. A connection without a stream is closed. zttp limits the size of
a head and the number of streams at a time (128).

Corrections to uvicorn 0.54 on zttp 0.0.35:
- zttp keeps all data that does not fit into a stream's window, and uvicorn's `send` returns at
  once. Here `send` waits until the stream's window has room; other streams are not held up.
- zttp ends the connection with its 4096th stream, or with the 256th that the client cancelled.
  Well before that, the server asks the client to open another connection, if possible while no
  stream is open: some clients cancel the open ones.
- zttp announces WebSockets over streams. A browser would try that, and uvicorn can't do it.
- uvicorn never learns that a request without a body has ended. It passes on cookies in several
  headers, closes connections before an answer is sent in full, and answers any number of pings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from time import thread_time  # CPU time of this thread, which no clock shows
from typing import Any, Final

import zttp
from uvicorn.protocols.http.zttp_h2_impl import RequestResponseCycle, ZttpH2Protocol
from uvicorn.server import ServerState
from zttp import H2ErrorCode

from livejobs.server.access_log import AccessLine
from livejobs.server.admission import problem
from livejobs.server.limited import (
    LARGE_READ,
    Config,
    ConnectionLimits,
    LimitedConnection,
    OwnStream,
)
from livejobs.server.patience import LINGER_SECONDS, TOO_SLOW, Awaited, body_may_pause, waited_for

MAX_STREAMS: Final = 4096  # of a connection, ever; by zttp, as is the next
MAX_CANCELLED: Final = 256

WEBSOCKETS: Final = b"\x00\x08\x00\x00\x00\x01"  # a setting in zttp's first frame, on
NO_WEBSOCKETS: Final = b"\x00\x08\x00\x00\x00\x00"


class Exchange(RequestResponseCycle, OwnStream):
    """A stream: one request and its answer."""

    limits: ConnectionLimits
    writable: asyncio.Event  # pulsed when the window may have room, or the stream has ended
    may_pause: bool  # the body may pause for long
    body_bytes = 0  # of the body, since the last tick
    awaited_before: tuple[Awaited, object] = Awaited.NOTHING, None  # at the last tick
    waited = 0.0  # seconds, for the same

    async def send(self, message: Any) -> None:
        while self.stream.pending_bytes and not self.disconnected:
            await self.writable.wait()
        await super().send(message)

    def overdue(self) -> bool:
        """Called once a second: whether the client has kept the server waiting for too long."""
        awaited = self.awaited()
        same = awaited == self.awaited_before
        self.waited = waited_for(self.waited, self.body_bytes) if same else 0
        self.awaited_before, self.body_bytes = awaited, 0
        if awaited[0] is Awaited.READING:
            return self.waited >= self.limits.stuck_seconds
        return awaited[0] is Awaited.BODY and self.waited >= self.limits.body_silence_seconds

    def awaited(self) -> tuple[Awaited, object]:
        if unread := self.stream.pending_bytes:
            return Awaited.READING, unread
        if self.more_body and not self.may_pause:
            return Awaited.BODY, None
        return Awaited.NOTHING, None


class Http2Connection(LimitedConnection, ZttpH2Protocol):
    cycles: dict[int, Exchange]  # type: ignore[assignment]  # no others are made

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.admission, self.limits = config.admission, config.limits
        self.writable = asyncio.Event()
        self.unread: set[int] = set()  # streams whose answer is complete and not sent in full
        self.streams = 0  # ever
        self.cancelled = 0  # streams that the client cancelled
        self.refused = False
        self.retired = False
        self.idle = 0  # seconds without a stream
        self.max_idle = self.limits.head_seconds

    # The transport of a stream has this type.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        self.conn.initiate_connection()
        transport.write(self.conn.data_to_send().replace(WEBSOCKETS, NO_WEBSOCKETS))
        super().connection_made(transport)
        if not self.enter():
            self.app, self.refused = self.admission.refuse, True

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.pulse()
        self.cycles.clear()
        self.admission.leave(self.client)

    def data_received(self, data: bytes) -> None:
        began = thread_time() if len(data) > LARGE_READ else 0.0
        super().data_received(data)
        for stream_id in list(self.unread):
            self.on_response_complete(stream_id)
        self.pulse()
        self.take_turns(len(data), began)

    def pulse(self) -> None:
        """Let each `send` that waits check again."""
        self.writable.set()
        self.writable.clear()

    # One stream

    def events(self) -> Generator[zttp.Event]:
        for event in super().events():
            if isinstance(event, zttp.Data) and (cycle := self.cycles.get(event.stream_id)):
                cycle.body_bytes += len(event.data)
            yield event

    def handle_request(self, event: zttp.Request) -> None:
        if self.retired:  # the client sends it again, on another connection
            self.conn.stream(event.stream_id).reset(H2ErrorCode.REFUSED_STREAM)
            return
        if not event.path.isascii():  # no URL is; uvicorn would raise
            self.conn.stream(event.stream_id).reset(H2ErrorCode.PROTOCOL_ERROR)
            return
        super().handle_request(event)
        cycle = self.cycles[event.stream_id]  # its task begins after this method
        cycle.__class__ = Exchange
        cycle.limits, cycle.writable = self.limits, self.writable
        cycle.may_pause = body_may_pause(cycle.scope)
        cycle.scope["headers"] = join_cookies(list(cycle.scope["headers"]))
        if cycle.access_log:
            # uvicorn only calls its `info`.
            cycle.access_logger = AccessLine(cycle.scope)  # type: ignore[assignment]
        if event.end_stream:
            cycle.more_body = False
            cycle.message_event.set()
        self.max_idle = self.timeout_keep_alive
        self.streams += 1

    def handle_rst_stream(self, event: zttp.RstStream) -> None:
        self.cancelled += event.stream_id in self.cycles  # else the answer was complete
        super().handle_rst_stream(event)

    def on_stream_closed(self) -> None:
        super().on_stream_closed()
        if self.age() > (0.75 if self.cycles else 0.5):
            self.retire()

    def on_response_complete(self, stream_id: int) -> None:
        cycle = self.cycles.get(stream_id)
        if cycle and cycle.response_complete and not cycle.disconnected:
            if cycle.stream.pending_bytes:
                self.unread.add(stream_id)
                return
            if cycle.more_body:  # which nothing will read
                cycle.stream.reset(H2ErrorCode.NO_ERROR)
                self.flush()
        self.unread.discard(stream_id)
        self.shutdown_requested = self.shutdown_requested or self.refused
        super().on_response_complete(stream_id)

    # Time

    def second_passed(self) -> None:
        self.idle = 0 if self.cycles else self.idle + 1
        if self.idle >= (LINGER_SECONDS if self.retired else self.max_idle):
            self._close_connection()
        elif not self.flow.read_paused:  # else the server itself does not read
            for cycle in list(self.cycles.values()):
                if cycle.overdue():
                    self.cut_off(cycle)

    def cut_off(self, cycle: Exchange) -> None:
        if cycle.response_started:
            cycle.stream.reset(H2ErrorCode.CANCEL)
        else:
            body = problem(408, "request_timeout", TOO_SLOW)
            cycle.stream.send_response(408, [(b"content-type", b"application/problem+json")])
            cycle.stream.send_data(body)
            cycle.stream.end_message()
            cycle.stream.reset(H2ErrorCode.NO_ERROR)
        self.flush()
        cycle.disconnected = True
        cycle.message_event.set()
        self.pulse()
        if cycle.response_complete:
            self.on_response_complete(cycle.stream.stream_id)

    def age(self) -> float:
        """From 0 to 1, at which zttp ends the connection."""
        return max(self.streams / MAX_STREAMS, self.cancelled / MAX_CANCELLED)

    def retire(self) -> None:
        """Make the client open another connection for its next requests. Open streams go on."""
        if not self.retired and not self.transport.is_closing():
            self.retired = True
            self.conn.close(H2ErrorCode.NO_ERROR)
            self.flush()

    def shutdown(self) -> None:
        self.retire()
        super().shutdown()

    # While a client reads nothing, nothing is read from it: the answers to its pings would pile up.

    def pause_writing(self) -> None:
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.resume_reading_if_idle()

    def resume_reading_if_idle(self) -> None:
        if not self.flow.write_paused:
            super().resume_reading_if_idle()


def join_cookies(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """HTTP/2 allows a header for each cookie; apps expect all of them in one header."""
    cookies = [value for name, value in headers if name == b"cookie"]
    if len(cookies) < 2:
        return headers
    rest = [header for header in headers if header[0] != b"cookie"]
    return [*rest, (b"cookie", b"; ".join(cookies))]
