"""A stop with many open streams: each gets `bye`, and none delays the stop."""

from __future__ import annotations

import selectors
import signal
import socket
import threading
from pathlib import Path

import httpx2 as httpx

from tests.server.test_runner import listening
from tests.support.api import Socket
from tests.support.server import Server

HOST = "Host: 127.0.0.1\r\n"
STREAM = f"GET /v1/jobs/j/events HTTP/1.1\r\n{HOST}\r\n"
LOG = f"GET /v1/jobs/j/logs?follow=1 HTTP/1.1\r\n{HOST}Accept: text/plain\r\n\r\n"
SOCKET = (
    f"GET /v1/jobs/j HTTP/1.1\r\n{HOST}Upgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Audience:
    """Connections that are read until they end or have received a given text."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open = selectors.DefaultSelector()
        self.received: dict[socket.socket, bytes] = {}
        self._closes_on: dict[socket.socket, bytes] = {}

    def join(self, request: str, closes_on: bytes = b"\0never") -> socket.socket:
        viewer = socket.create_connection(("127.0.0.1", self._port))
        viewer.sendall(request.encode())
        self.received[viewer], self._closes_on[viewer] = b"", closes_on
        self._open.register(viewer, selectors.EVENT_READ)
        return viewer

    def listen(self, *, until: bytes | None = None) -> None:
        while self._open.get_map():
            for key, _ in self._open.select(1):
                assert isinstance(key.fileobj, socket.socket)
                self._read(key.fileobj)
            if until and all(until in text for text in self.received.values()):
                return

    def _read(self, viewer: socket.socket) -> None:
        data = viewer.recv(65536)
        self.received[viewer] += data
        if not data or self._closes_on[viewer] in self.received[viewer]:
            self._open.unregister(viewer)
            viewer.close()


def test_every_stream_gets_bye_on_a_stop_and_the_exit_code_is_0(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        httpx.put(server.url + "/v1/jobs/j")
        httpx.post(server.url + "/v1/jobs/j/reports", json={"type": "log", "message": '"id"'})
        audience = Audience(server.port)
        streams = [audience.join(STREAM) for _ in range(1000)]
        sockets = [audience.join(SOCKET, closes_on=b'"op":"bye"') for _ in range(200)]
        log = audience.join(LOG)
        audience.listen(until=b'"id"')  # each stream has begun
        ends: list[int] = []
        waiting = threading.Thread(target=lambda: ends.append(server.wait()))
        server.signal(signal.SIGTERM)
        waiting.start()
        audience.listen()
        waiting.join()
    assert ends == [0]
    assert all(b"event: bye\n" in audience.received[viewer] for viewer in streams)
    assert all(audience.received[viewer].endswith(b"0\r\n\r\n") for viewer in [*streams, log])
    assert all(b'"op":"bye"' in audience.received[viewer] for viewer in sockets)


def test_after_a_second_signal_a_client_that_reads_nothing_is_cut_off(tmp_path: Path) -> None:
    lines = [{"type": "log", "message": "x" * 16_000}] * 20
    with Server(tmp_path / "data") as server, Socket(server.url, receive_buffer=2048) as slow:
        httpx.put(server.url + "/v1/jobs/j")
        httpx.post(server.url + "/v1/jobs/j/reports", json=lines).raise_for_status()
        slow.send(STREAM.replace("events", "events?logs=1"))
        assert slow.head()[0] == 200
        assert (
            b"connections" in httpx.get(server.url + "/metrics").content
        )  # it has been written to
        server.signal(signal.SIGTERM)
        while listening(server):
            pass
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert "Traceback" not in server.stderr
