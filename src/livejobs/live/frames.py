"""The messages of streams, and their encodings.

A Message is the same for every client. A Wire turns messages into what an ASGI `send` takes. Each
wire encodes a change once for all clients that get it.
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
    "form",
    "trimmed",
    "gone",
    "ready",
    "end",
    "reset",
    "ping",
    "bye",
    "unwelcome",
]
Transport: TypeAlias = Literal["sse", "websocket", "text"]
Sendable: TypeAlias = tuple[Mapping[str, Any], ...]  # ASGI messages; never changed, often shared

LAST_WORDS: Final = frozenset({"end", "bye", "unwelcome"})


class Message(NamedTuple):
    op: Op
    #: JSON: a job for state and snapshot, an array for logs, else an object. `form` has its own.
    data: bytes
    cursor: str | None = None  # the client's position after it; None: not a change


PING: Final = Message("ping", b"{}")


class Wire(Protocol):
    @property
    def transport(self) -> Transport: ...

    def encode(self, messages: Sequence[Message]) -> Sendable:
        """All of them in one write where the transport allows."""

    def __hash__(self) -> int: ...


@lru_cache(maxsize=16)
def encoded(wire: Wire, message: Message) -> Sendable:
    """A message that all connections get at once, encoded once for each wire."""
    return wire.encode([message])


class SSEWire:
    transport: Final = "sse"

    def encode(self, messages: Sequence[Message]) -> Sendable:
        return body_piece(b"".join(map(event, messages)), messages)


def body_piece(body: bytes, messages: Sequence[Message]) -> Sendable:
    """A piece of an HTTP response, the last one if these messages end the stream."""
    if messages[-1].op in LAST_WORDS:
        return ({"type": "http.response.body", "body": body, "more_body": False},)
    if not body:
        return ()
    # `ready` is no key of ASGI: it is the piece as HTTP/1.1 writes it (see direct.py).
    chunk = b"%x\r\n%b\r\n" % (len(body), body)
    return ({"type": "http.response.body", "body": body, "more_body": True, "ready": chunk},)


# Plain messages need no name. For a browser, both ends by the server are the same event.
_EVENTS: Final[Mapping[str, str | None]] = {"state": None, "unwelcome": "bye"}


def event(message: Message) -> bytes:
    name = _EVENTS.get(message.op, message.op)
    data = message.data.decode()
    return ServerSentEvent(data, event=name, id=message.cursor, sep="\n").encode()


SSE: Final = SSEWire()


class FormWire:
    """Messages that a face has worded itself. A ping is a comment, as these clients know no event
    of ours, and of the end they see only the end of the response."""

    transport: Final = "sse"

    def encode(self, messages: Sequence[Message]) -> Sendable:
        return body_piece(b"".join(map(self._text, messages)), messages)

    def _text(self, message: Message) -> bytes:
        if message.op == "ping":
            return b": ping\n\n"
        return message.data if message.op == "form" else b""


FORM: Final = FormWire()


class SocketWire:
    """JSON text messages with the id of their subscription. `ready`: the server takes finished
    frames, so one frame serves all subscribers."""

    transport: Final = "websocket"

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
        if message.cursor is not None and message.op in (
            "logs",
            "end",
        ):  # others have it in their data
            members += b',"cursor":"%s"' % message.cursor.encode()
        if message.op == "logs":
            return members + b',"logs":' + message.data + b"}"
        inner = message.data[1:]
        return members + (b"}" if inner == b"}" else b"," + inner)


UNAUTHENTICATED: Final = 4401


class ConnectionWire:
    """Messages of the WebSocket itself, without a subscription. It closes after `bye`."""

    transport: Final = "websocket"

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
    """One object for all connections that use the same id, so that they share frames."""
    return SocketWire(id, ready=ready)
