"""One HTTP/2 connection: uvicorn's, with the bounds it lacks, and mends.

Its streams are bound as connections of HTTP/1.1 are: a body must not fall silent, what we sent
must not lie there untaken; and there must be a stream, or the connection ends. The size of a
head and the number of streams at a time (128) are bound by zttp.

Mends, of uvicorn 0.54 on zttp 0.0.35:
- zttp keeps all that a stream's window has no room for, and uvicorn's `send` goes on. Here
  `send` waits for the stream's own room; other streams go on.
- It ends the connection with its 4096th stream, or with the 256th that its client gave up.
  Well before that the client is told to open another, if possible in a quiet moment: some
  clients give up what is under way.
- It says that WebSockets may come as streams, which uvicorn can't do: a browser would try.
- uvicorn never hears that a request without a body has ended; takes cookies in crumbs;
  closes connections with answers half sent; reads pings as fast as they come.
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

from livejobs.server.admission import problem
from livejobs.server.connection import (
    LARGE_READ,
    LINGER_SECONDS,
    TOO_SLOW,
    Bounded,
    Bounds,
    Config,
    Owed,
    OwnStream,
    may_be_silent,
    waited_for,
)

MOST_STREAMS: Final = 4096
MOST_GIVEN_UP: Final = 256

WEBSOCKETS: Final = b"\x00\x08\x00\x00\x00\x01"  # in zttp's first frame: this setting, on
NO_WEBSOCKETS: Final = b"\x00\x08\x00\x00\x00\x00"


class Exchange(RequestResponseCycle, OwnStream):
    """A stream: one request and its answer."""

    bounds: Bounds
    room: asyncio.Event  # pulsed when there may be room again, or nobody any more to have it
    open_line: bool  # it may be silent
    heard = 0  # bytes of the body since the last tick
    owed: tuple[Owed, object] = Owed.NOTHING, None  # at the last tick
    waited = 0.0  # seconds with nothing new in that

    async def send(self, message: Any) -> None:
        while self.stream.pending_bytes and not self.disconnected:
            await self.room.wait()
        await super().send(message)

    def overdue(self) -> bool:
        """Asked once a second: is there something the client has owed for too long?"""
        owed = self.owes()
        self.waited = 0 if owed != self.owed else waited_for(self.waited, self.heard)
        self.owed, self.heard = owed, 0
        if owed[0] is Owed.ROOM:
            return self.waited >= self.bounds.stuck_seconds
        return owed[0] is Owed.BODY and self.waited >= self.bounds.body_silence_seconds

    def owes(self) -> tuple[Owed, object]:
        if untaken := self.stream.pending_bytes:
            return Owed.ROOM, untaken
        if self.more_body and not self.open_line:
            return Owed.BODY, None
        return Owed.NOTHING, None


class Http2Connection(Bounded, ZttpH2Protocol):
    cycles: dict[int, Exchange]  # type: ignore[assignment]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.admission, self.bounds = config.admission, config.bounds
        self.room = asyncio.Event()
        self.untaken: set[int] = set()  # streams answered, with part of the answer still here
        self.streams = 0  # ever
        self.given_up = 0  # of them, by the client
        self.turned_away = False
        self.retired = False
        self.idle = 0  # seconds without a stream
        self.patience = self.bounds.head_seconds  # with that

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.conn.initiate_connection()
        transport.write(self.conn.data_to_send().replace(WEBSOCKETS, NO_WEBSOCKETS))
        super().connection_made(transport)
        if not self.enter():
            self.app, self.turned_away = self.admission.turn_away, True

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.pulse()
        self.cycles.clear()
        self.admission.leave(self.client)

    def data_received(self, data: bytes) -> None:
        began = thread_time() if len(data) > LARGE_READ else 0.0
        super().data_received(data)
        for stream_id in list(self.untaken):
            self.on_response_complete(stream_id)
        self.pulse()
        self.take_turns(len(data), began)

    def pulse(self) -> None:
        """Whoever waits to send looks again whether it can."""
        self.room.set()
        self.room.clear()

    # One stream

    def events(self) -> Generator[zttp.Event]:
        for event in super().events():
            if isinstance(event, zttp.Data) and (cycle := self.cycles.get(event.stream_id)):
                cycle.heard += len(event.data)
            yield event

    def handle_request(self, event: zttp.Request) -> None:
        if self.retired:  # it is sent again, on another connection
            self.conn.stream(event.stream_id).reset(H2ErrorCode.REFUSED_STREAM)
            return
        if not event.path.isascii():  # as no URL is; uvicorn would fail
            self.conn.stream(event.stream_id).reset(H2ErrorCode.PROTOCOL_ERROR)
            return
        super().handle_request(event)
        cycle = self.cycles[event.stream_id]  # begins in a task, so not before this has ended
        cycle.__class__ = Exchange
        cycle.bounds, cycle.room = self.bounds, self.room
        cycle.open_line = may_be_silent(cycle.scope)
        cycle.scope["headers"] = join_cookies(list(cycle.scope["headers"]))
        if event.end_stream:
            cycle.more_body = False
            cycle.message_event.set()
        self.patience = self.timeout_keep_alive
        self.streams += 1

    def handle_rst_stream(self, event: zttp.RstStream) -> None:
        self.given_up += event.stream_id in self.cycles  # else it is the late rest of a body
        super().handle_rst_stream(event)

    def on_stream_closed(self) -> None:
        super().on_stream_closed()
        if self.age() > (0.75 if self.cycles else 0.5):
            self.retire()

    def on_response_complete(self, stream_id: int) -> None:
        cycle = self.cycles.get(stream_id)
        if cycle and cycle.response_complete and not cycle.disconnected:
            if cycle.stream.pending_bytes:
                self.untaken.add(stream_id)
                return
            if cycle.more_body:  # of which nobody wants to know any more
                cycle.stream.reset(H2ErrorCode.NO_ERROR)
                self.flush()
        self.untaken.discard(stream_id)
        self.shutdown_requested = self.shutdown_requested or self.turned_away
        super().on_response_complete(stream_id)

    # Time

    def second_passed(self) -> None:
        self.idle = 0 if self.cycles else self.idle + 1
        if self.idle >= (LINGER_SECONDS if self.retired else self.patience):
            self._close_connection()
        elif not self.flow.read_paused:  # else it is we who do not read
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
        """1 is the end, by zttp."""
        return max(self.streams / MOST_STREAMS, self.given_up / MOST_GIVEN_UP)

    def retire(self) -> None:
        """Have the client open another connection for what comes; what is under way goes on."""
        if not self.retired and not self.transport.is_closing():
            self.retired = True
            self.conn.close(H2ErrorCode.NO_ERROR)
            self.flush()

    def shutdown(self) -> None:
        self.retire()
        super().shutdown()

    # To a client that reads nothing, answers to its pings would pile up: so it is not heard.

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
    """HTTP/2 may bring them one by one; an app expects them in one header."""
    crumbs = [value for name, value in headers if name == b"cookie"]
    if len(crumbs) < 2:
        return headers
    rest = [header for header in headers if header[0] != b"cookie"]
    return [*rest, (b"cookie", b"; ".join(crumbs))]
