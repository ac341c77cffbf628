"""One WebSocket connection: uvicorn's, with what the hub needs.

It takes finished frames, which the hub encodes once for all viewers. It closes with a code of
our own when a client does not answer a ping. What a client sends is parsed in pieces, with other
connections' turns in between, and does not pile up.
"""

from __future__ import annotations

from asyncio import Handle
from collections.abc import Mapping, Sequence
from time import thread_time  # CPU time of this thread, which no clock shows
from typing import Any, Final

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import PayloadTooBig
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from livejobs.live.frames import READY
from livejobs.server.admission import problem
from livejobs.server.bare.frames import Bounded
from livejobs.server.limited import PAUSE_FACTOR, Config

NO_ANSWER: Final = 4408
PIECE: Final = 4096  # bytes parsed in one turn; they may be hundreds of frames


class WebSocketHandshake(Bounded, ServerProtocol):
    """Refuses with a problem document, and other versions as RFC 6455 (4.4) demands."""

    CODES: Final = {403: "forbidden", 426: "upgrade_required", 431: "headers_too_large"}

    def accept(self, request: Request) -> Response:
        self.after = len(self.reader.buffer)
        if request.headers.get_all("Sec-WebSocket-Version") == ["13"]:
            return super().accept(request)
        refused = self.reject(426, "This server supports only version 13 of WebSocket.")
        refused.headers["Upgrade"] = "websocket"
        refused.headers["Sec-WebSocket-Version"] = "13"
        return refused

    def reject(self, status: int, text: str) -> Response:
        status = 431 if status == 414 else status  # as for other long request lines
        refused = super().reject(status, "")
        code = self.CODES.get(status, "internal" if status >= 500 else "bad_request")
        refused.body = problem(status, code, text.strip())
        del refused.headers["Content-Length"], refused.headers["Content-Type"]
        refused.headers["Content-Length"] = str(len(refused.body))
        refused.headers["Content-Type"] = "application/problem+json"
        return refused


class WebSocketConnection(WebSocketsSansIOProtocol):
    config: Config
    conn: WebSocketHandshake

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = WebSocketHandshake(max_size=self.config.ws_max_size, logger=self.conn.logger)
        self.rest = b""  # received and not parsed; while it is not empty, reading pauses
        self.turn: Handle | None = None  # in which the next piece will be parsed
        self.pending_pong = b""
        self.moved = False  # the connection goes on without this object (see bare/)

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections.add(self)  # uvicorn removes it; one that moved has left already
        super().connection_lost(exc)
        if not self.moved:
            self.config.admission.leave(self.client)  # it entered before it became a WebSocket

    # Sending

    async def send(self, message: Any) -> None:
        if message["type"] == READY:
            await self._send_ready(message)
            return
        if self.close_sent:  # perhaps because the client broke the protocol, and the app can't know
            raise ClientDisconnected
        await super().send(message)
        if self.rest and message["type"] == "websocket.accept":
            self.take_turn()

    async def _send_ready(self, message: Mapping[str, Any]) -> None:
        # The same checks as in uvicorn's `send`: the client reads, and has not gone.
        await self.writable.wait()
        if self.disconnected or self.close_sent or self.transport.is_closing():
            raise ClientDisconnected
        self.transport.write(message["ready"])

    def write_now(self, frames: bytes) -> bool:
        if not self.writable.is_set() or self.disconnected or self.close_sent:
            return False
        if self.transport.is_closing():
            return False
        self.transport.write(frames)
        return True

    # Receiving

    @property
    def all_parsed(self) -> bool:
        """Whether no part of a message waits for the rest of it."""
        return not self.rest and self.conn.between_messages

    def data_received(self, data: bytes) -> None:
        """uvicorn gives the head of the handshake first, and nothing else. Frames that came before
        our answer to it have to wait, or they would be answered first."""
        if not self.handshake_initiated:
            self.parse(data)
            return
        self.rest = self.rest + data if self.rest else data
        if not self.handshake_complete:
            self.transport.pause_reading()
        elif self.turn is None:
            self.take_turn()

    def take_turn(self) -> None:
        self.turn = None
        if self.transport.is_closing():
            return
        piece, self.rest = self.rest[:PIECE], self.rest[PIECE:]
        if not self.rest:
            self.parse(piece)
            self.read_on()
            return
        self.transport.pause_reading()
        began = thread_time()
        self.parse(piece)
        self.read_on(PAUSE_FACTOR * (thread_time() - began))

    def parse(self, piece: bytes) -> None:
        super().data_received(piece)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.refuse_handshake()

    def refuse_handshake(self) -> None:
        """uvicorn checks whether frames could be parsed, and not whether the handshake could."""
        refused = b"".join(self.conn.data_to_send())
        refused = refused or self.conn.reject(400, "The handshake is not valid.").serialize()
        self.transport.write(refused)
        self.transport.close()

    def read_on(self, seconds: float = 0) -> None:
        """Parse the rest after a pause, or read on if there is none. Not while the app has
        messages that it did not take."""
        if self.read_paused or self.transport.is_closing():
            return
        if not self.rest:
            self.transport.resume_reading()
        elif self.turn is None:
            self.turn = self.loop.call_later(seconds, self.take_turn)

    async def receive(self) -> Any:
        message = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            self.read_on()
        return message

    def handle_parser_exception(self) -> None:
        if isinstance(self.conn.parser_exc, PayloadTooBig):
            self.config.admission.refused["max_body_bytes"] += 1
        super().handle_parser_exception()

    def handle_cont(self, event: Frame) -> None:
        # One buffer: a list of one-byte fragments would take fifty times their size.
        whole: Any = self.frames[0]
        if not isinstance(whole, bytearray):
            self.frames = [whole := bytearray(whole)]  # type: ignore[list-item]  # see above
        whole += event.data
        if event.fin:
            self.frames = [bytes(whole)]
            self.send_receive_event_to_app()

    def send_receive_event_to_app(self) -> None:
        """uvicorn logs a stack trace for a text that is not UTF-8."""
        if self.curr_msg_data_type == "text" and not self.close_sent and not is_utf8(self.frames):
            self.frames = []
            if self.conn.close_sent is None:  # else the client closes, and has its answer
                self.conn.send_close(CloseCode.INVALID_DATA)
            self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()

    def handle_ping(self) -> None:
        # While a client reads nothing, pongs would pile up. The last one is enough.
        pong = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self.transport.write(pong)
        else:
            self.pending_pong = pong

    def resume_writing(self) -> None:
        pong, self.pending_pong = self.pending_pong, b""
        if pong and not self.close_sent:
            self.transport.write(pong)
        super().resume_writing()

    def keepalive_timeout(self) -> None:
        self.pong_timer = None
        self.pending_ping_payload = None
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(NO_ANSWER, "no answer to ping")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()


def is_utf8(pieces: Sequence[Any]) -> bool:
    try:
        b"".join(pieces).decode()
    except UnicodeDecodeError:
        return False
    return True
