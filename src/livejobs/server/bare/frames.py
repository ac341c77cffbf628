"""From bytes of a client to whole WebSocket messages."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, Protocol, State

CONTROL = (Opcode.PING, Opcode.PONG, Opcode.CLOSE)


class Unreadable(Exception):
    """The client breaks the protocol: close the connection with this code."""

    def __init__(self, code: int, reason: str) -> None:
        self.code, self.reason = code, reason


class Bounded(Protocol):
    """A parser that knows whether it has seen a part of a message."""

    after = 0  # bytes after the last frame of the latest piece; -1: no frame ended in it

    def receive_data(self, data: bytes | bytearray) -> None:
        self.after = -1
        super().receive_data(data)

    def recv_frame(self, frame: Frame) -> None:
        super().recv_frame(frame)
        self.after = len(self.reader.buffer)

    @property
    def between_messages(self) -> bool:
        return self.after == 0 and self.current_size is None


class Frames:
    """What came of a message so far. Between two messages it holds nothing."""

    __slots__ = ("_kind", "_parser", "_whole")

    def __init__(self, largest: int) -> None:
        # The logger of uvicorn, whose level keeps messages, with their tokens, out of the log.
        logger = logging.getLogger("uvicorn.error")
        self._parser = Bounded(SERVER, state=State.OPEN, max_size=largest, logger=logger)
        self._kind = Opcode.TEXT
        self._whole = bytearray()  # one buffer: a list of small fragments would take more

    @property
    def between_messages(self) -> bool:
        return self._parser.between_messages

    def parse(self, data: bytes) -> Iterator[Frame | Mapping[str, Any]]:
        """Control frames as they are, and messages as an ASGI app receives them. A message that is
        not whole yet comes with a later piece."""
        parser = self._parser
        parser.receive_data(data)
        parser.writes.clear()  # answers to pings and closes are the connection's
        for frame in parser.events_received():
            assert isinstance(frame, Frame)
            if frame.opcode in CONTROL:
                yield frame
            elif (message := self._joined(frame)) is not None:
                yield message
        if parser.parser_exc is not None:
            close = parser.close_sent
            code, reason = (close.code, close.reason) if close else (1002, "")
            raise Unreadable(code, reason) from parser.parser_exc

    def _joined(self, frame: Frame) -> Mapping[str, Any] | None:
        if frame.opcode is not Opcode.CONT:
            self._kind = frame.opcode
        self._whole += frame.data
        if not frame.fin:
            return None
        data, self._whole = bytes(self._whole), bytearray()
        if self._kind is Opcode.BINARY:
            return {"type": "websocket.receive", "bytes": data}
        try:
            return {"type": "websocket.receive", "text": data.decode()}
        except UnicodeDecodeError as error:
            raise Unreadable(1007, f"{error.reason} at position {error.start}") from error
