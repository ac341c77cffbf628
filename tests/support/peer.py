"""An HTTP/2 client whose every frame the test controls."""

from __future__ import annotations

import json
import socket
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Self

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes

from tests.server.test_runner import dial
from tests.support.certificate import Certificate
from tests.support.server import Running

GOAWAY = 7  # the type of a frame

Headers = list[tuple[str, str]]


def whole(big_endian: bytes) -> int:
    return int.from_bytes(big_endian, "big")


class Peer:
    """It acknowledges data at once, except on streams in `closed_hand`, whose window fills up."""

    def __init__(self, server: Running, certificate: Certificate) -> None:
        plain = dial(server)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = certificate.trust("h2", "http/1.1")
        self.sock = context.wrap_socket(plain, server_hostname="localhost")
        assert self.sock.selected_alpn_protocol() == "h2"
        self.h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self.heads: dict[int, dict[str, str]] = {}
        self.bodies: defaultdict[int, bytes] = defaultdict(bytes)
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.goaway: tuple[int, int] | None = (
            None  # the last stream that the server handles, and the error code
        )
        self.unread = b""
        self.closed = False
        self.closed_hand: set[int] = set()
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(
            1 << 24
        )  # of the connection: the tests are about streams
        self.send()
        self.until(lambda: self.h2.remote_settings.max_concurrent_streams < 2**32)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.sock.close()

    def send(self) -> None:
        self.sock.sendall(self.h2.data_to_send())

    def request(
        self, method: str, path: str, body: bytes | None = b"", more: Headers | None = None
    ) -> int:
        """Send a request and return its stream id. With `body=None` the request stays open."""
        stream = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":path", path), (":scheme", "https")]
        headers = [*pseudo, (":authority", "localhost"), *(more or [])]
        self.h2.send_headers(stream, headers, end_stream=body == b"")
        if body:
            self.h2.send_data(stream, body, end_stream=True)
        self.send()
        return stream

    def get(self, path: str) -> int:
        return self.request("GET", path)

    def answer(self, stream: int) -> tuple[int, bytes]:
        """Wait for the whole answer: its status and body."""
        self.until(lambda: stream in self.ended)
        return int(self.heads[stream][":status"]), self.bodies[stream]

    def served(self, path: str) -> bool:
        """Whether the server answered. If not, the request belongs on another connection."""
        stream = self.get(path)
        self.until(lambda: stream in self.ended or stream in self.resets or self.closed)
        return stream in self.ended

    def call(self, method: str, path: str, value: Any) -> Any:
        """Send JSON and return the answer's JSON."""
        body = json.dumps(value).encode()
        stream = self.request(method, path, body, [("content-type", "application/json")])
        status, answer = self.answer(stream)
        assert status < 300, answer
        return json.loads(answer)

    def until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            data = self.sock.recv(65536)
            if not data:
                self.closed = True
                assert reached(), "the server closed the connection"
                return
            for frame in self.frames(data):
                for event in self.h2.receive_data(frame):
                    self.take(event)
            self.send()

    def frames(self, data: bytes) -> Iterator[bytes]:
        """All frames but GOAWAY: h2 would take it as the end of every stream."""
        self.unread += data
        while len(self.unread) >= 9 and len(self.unread) >= (end := 9 + whole(self.unread[:3])):
            frame, self.unread = self.unread[:end], self.unread[end:]
            if frame[3] == GOAWAY:
                self.goaway = whole(frame[9:13]), whole(frame[13:17])
            else:
                yield frame

    def until_closed(self) -> None:
        self.until(lambda: self.closed)

    def take(self, event: events.Event) -> None:
        match event:
            case events.ResponseReceived(stream_id=stream, headers=headers):
                self.heads[stream] = {str(name): str(value) for name, value in headers}
            case events.DataReceived(stream_id=stream, data=data):
                self.bodies[stream] += data
                if stream not in self.closed_hand and event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
            case events.StreamEnded(stream_id=stream):
                self.ended.add(stream)
            case events.StreamReset(stream_id=stream, error_code=code):
                self.resets[stream] = int(code)

    def give_up(self, stream: int) -> None:
        self.h2.reset_stream(stream, ErrorCodes.CANCEL)
        self.send()

    def open_hand(self, stream: int, room: int = 1 << 20) -> None:
        self.closed_hand.discard(stream)
        self.h2.increment_flow_control_window(room, stream)
        self.send()
