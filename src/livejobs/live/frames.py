"""What streams say, and how it looks on each wire.

A Message is the same for everyone; a Wire turns messages into what an ASGI `send` takes. Each
wire encodes a change once for all who get it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from websockets.frames import Frame, Opcode

from livejobs.live.sse import ServerSentEvent

Op: TypeAlias = Literal[
    "state",
    "snapshot",
    "delta",
    "logs",
    "gone",
    "ready",
    "end",
    "reset",
    "ping",
    "bye",
    "unwelcome",
]
Sendable: TypeAlias = tuple[Mapping[str, Any], ...]  # ASGI messages; never changed, often shared

LAST_WORDS: Final = frozenset({"end", "bye", "unwelcome"})


class Message(NamedTuple):
    op: Op
    data: bytes  # JSON: a job for state and snapshot, an array for logs, else an object
    cursor: str | None = None  # where one is, having read this; what is not a change has none


PING: Final = Message("ping", b"{}")


class Wire(Protocol):
    def encode(self, messages: Sequence[Message]) -> Sendable:
        """All of them in one write where the transport allows."""


class SSEWire:
    def encode(self, messages: Sequence[Message]) -> Sendable:
        body = b"".join(map(event, messages))
        if messages[-1].op in LAST_WORDS:
            return ({"type": "http.response.body", "body": body, "more_body": False},)
        # Beside what ASGI knows, the same as it stands on an HTTP/1.1 wire (see direct.py).
        chunk = b"%x\r\n%b\r\n" % (len(body), body)
        return ({"type": "http.response.body", "body": body, "more_body": True, "ready": chunk},)


# Plain messages need no name; and to a browser every farewell is the same event.
_EVENTS: Final[Mapping[str, str | None]] = {"state": None, "unwelcome": "bye"}


def event(message: Message) -> bytes:
    name = _EVENTS.get(message.op, message.op)
    data = message.data.decode()
    return ServerSentEvent(data, event=name, id=message.cursor, sep="\n").encode()


SSE: Final = SSEWire()


class SocketWire:
    """JSON text messages that carry the id of their subscription. `ready`: the server takes
    finished frames, so that one is made for all subscribers."""

    def __init__(self, id: str, *, ready: bool) -> None:
        self.id = id.encode()  # as JSON
        self.ready = ready

    def encode(self, messages: Sequence[Message]) -> Sendable:
        texts = [self._text(message) for message in messages]
        if self.ready:
            frames = b"".join(map(ready_frame, texts))
            return ({"type": READY, "ready": frames},)
        return tuple({"type": "websocket.send", "text": text.decode()} for text in texts)

    def _text(self, message: Message) -> bytes:
        members = b'{"op":"%s","id":%s' % (message.op.encode(), self.id)
        if message.op in ("state", "snapshot"):
            return members + b',"job":' + message.data + b"}"
        if message.cursor is not None and message.op in ("logs", "end"):  # others have it within
            members += b',"cursor":"%s"' % message.cursor.encode()
        if message.op == "logs":
            return members + b',"logs":' + message.data + b"}"
        inner = message.data[1:]
        return members + (b"}" if inner == b"}" else b"," + inner)


UNAUTHENTICATED: Final = 4401


class ConnectionWire:
    """The WebSocket's own messages, of no subscription; after `bye` it closes."""

    def encode(self, messages: Sequence[Message]) -> Sendable:
        sent: list[Mapping[str, Any]] = []
        for message in messages:
            inner = message.data[1:]
            op = "bye" if message.op == "unwelcome" else message.op
            text = f'{{"op":"{op}"' + ("}" if inner == b"}" else f",{inner.decode()}")
            sent.append({"type": "websocket.send", "text": text})
            if message.op in LAST_WORDS:
                code = UNAUTHENTICATED if message.op == "unwelcome" else 1001
                sent.append({"type": "websocket.close", "code": code})
        return tuple(sent)


CONNECTION: Final = ConnectionWire()

READY: Final = "livejobs.frames"  # an ASGI message of our own runner (see websocket.py)


def ready_frame(text: bytes) -> bytes:
    return bytes(Frame(Opcode.TEXT, text).serialize(mask=False))


@lru_cache(maxsize=1024)
def socket_wire(id: str, ready: bool) -> SocketWire:
    """One object for all connections that chose the same id, so that they share frames."""
    return SocketWire(id, ready=ready)
