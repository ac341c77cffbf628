"""A WebSocket after its handshake: frames out by `write`, frames in by websockets' parser.

Most clients only listen. So the parser is made when bytes come, and dropped between messages. It
parses in pieces, with other connections' turns in between. A client whose messages wait to be
handled is not read, so they do not pile up.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Mapping
from time import thread_time  # CPU time of this thread, which no clock shows
from typing import Any, Final, TypeAlias

from websockets.exceptions import PayloadTooBig
from websockets.frames import Close, Frame, Opcode

from livejobs.server.admission import Client
from livejobs.server.bare.connection import Bare, Home
from livejobs.server.bare.frames import Frames, Unreadable
from livejobs.server.limited import PAUSE_FACTOR
from livejobs.server.websocket import NO_ANSWER, PIECE

CLOSE_SECONDS: Final = 10  # for the client's answer to our close
RESTARTING: Final = 1012
PING: Final = bytes(Frame(Opcode.PING, b"ping").serialize(mask=False))

Event: TypeAlias = Mapping[str, Any]  # as an ASGI app receives it


class BareSocket(Bare):
    __slots__ = (
        "closing",
        "frames",
        "heard",
        "largest",
        "messages",
        "pinged",
        "pong",
        "pong_seconds",
        "quiet",
        "turn",
    )

    def __init__(
        self, fd: int, client: Client, home: Home, *, largest: int, pong_seconds: int
    ) -> None:
        super().__init__(fd, client, home)
        self.largest = largest  # bytes of a message
        self.pong_seconds = pong_seconds  # between two pings, and until the answer
        self.heard: Callable[[], None] | None = None  # called when messages begin to wait
        self.messages: deque[Event] = deque()  # received and not handled
        self.frames: Frames | None = None  # of a message that has come in part
        self.turn: asyncio.Handle | None = None  # in which the next piece is read
        self.pong = b""  # to be sent after what waits
        self.closing = False  # a close frame has been sent
        self.pinged = False
        self.quiet = 0  # seconds since the last ping

    # Sending

    def bytes_of(self, message: Mapping[str, Any]) -> bytes:
        if "ready" in message:
            ready: bytes = message["ready"]
            return ready
        if message["type"] == "websocket.close":
            return self._closing(message.get("code", 1000), message.get("reason") or "")
        text = message.get("text")
        if text is not None:
            return bytes(Frame(Opcode.TEXT, text.encode()).serialize(mask=False))
        return bytes(Frame(Opcode.BINARY, message["bytes"]).serialize(mask=False))

    def _closing(self, code: int, reason: str) -> bytes:
        if self.closing:
            return b""
        self.closing = True
        self.messages.clear()  # whoever closes is past listening
        asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.close)
        return bytes(Frame(Opcode.CLOSE, Close(code, reason).serialize()).serialize(mask=False))

    def flush(self) -> None:
        super().flush()
        if self.rest is None and self.pong and not self.closing:
            pong, self.pong = self.pong, b""
            self.write(pong)

    def _fail(self, code: int, reason: str) -> None:
        """Close without waiting for the client's answer."""
        self.write(self._closing(code, reason))
        self.end()

    # Receiving

    def next(self) -> Event | None:
        """The next message to handle. None: `heard` will be called when there is one."""
        if self.messages:
            return self.messages.popleft()
        self._read_on(0)
        return None

    def read(self) -> None:
        if not self.messages and self.turn is None:
            self._read()

    def lost(self) -> None:
        """The client's last messages may still wait in the kernel. Their end closes."""
        if self.rest is None:
            self.read()
        else:
            self.close()

    def _read_on(self, seconds: float) -> None:
        """Each read is a turn of the event loop, so that a busy client does not keep the others
        waiting."""
        if self.turn is None and self.fd >= 0:
            self.turn = asyncio.get_running_loop().call_later(seconds, self._read)

    def _read(self) -> None:
        self.turn = None
        began = thread_time()
        try:
            data = os.read(self.fd, PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._parse(data)
        if not self.messages:  # else `next` reads on
            full = len(data) == PIECE
            self._read_on(PAUSE_FACTOR * (thread_time() - began) if full else 0)

    def _parse(self, data: bytes) -> None:
        frames = self.frames or Frames(self.largest)
        waiting, heard = bool(self.messages), self.heard  # a close frame ends the connection
        try:
            for event in frames.parse(data):
                self._take(event)
        except Unreadable as error:
            if isinstance(error.__cause__, PayloadTooBig):
                self.home.admission.refused["max_body_bytes"] += 1
            self.messages.append({"type": "websocket.disconnect", "code": error.code})
            self._fail(error.code, error.reason)
        self.frames = None if frames.between_messages else frames
        if self.messages and not waiting and heard is not None:
            heard()

    def _take(self, event: Frame | Event) -> None:
        if not isinstance(event, Frame):
            if not self.closing:
                self.messages.append(event)
        elif event.opcode is Opcode.PING:
            self._answer_ping(event)
        elif event.opcode is Opcode.PONG:
            self.pinged = False
        elif self.closing:
            self.close()  # both sides have closed
        else:
            self.messages.append({"type": "websocket.disconnect"})
            self.closing = True
            self.write(bytes(Frame(Opcode.CLOSE, event.data).serialize(mask=False)))
            self.end()

    def _answer_ping(self, ping: Frame) -> None:
        # While a client reads nothing, pongs would pile up. The last one is enough.
        pong = bytes(Frame(Opcode.PONG, ping.data).serialize(mask=False))
        if self.closing:
            return
        if self.rest is None:
            self.write(pong)
        else:
            self.pong = pong

    # The end, and calls of the server

    def hang_up(self) -> None:
        if not self.closing:  # else the client's answer ends it, or the timer
            self.close()

    def second_passed(self) -> None:
        self.quiet += 1
        if self.quiet < self.pong_seconds or self.closing:
            return
        self.quiet = 0
        if self.pinged:
            self._fail(NO_ANSWER, "no answer to ping")
        elif self.rest is None:
            self.pinged = True
            self.write(PING)

    def shutdown(self) -> None:
        if not self.closing:
            self.messages.append({"type": "websocket.disconnect", "code": RESTARTING})
            self.write(self._closing(RESTARTING, ""))
        self.end()

    def close(self) -> None:
        super().close()
        self.heard = None
        if self.turn is not None:
            self.turn.cancel()
            self.turn = None
