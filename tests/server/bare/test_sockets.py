"""Bare WebSockets of a real server, from clients that write every byte and leave at any time."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from websockets.frames import Close, Frame, Opcode

from tests.support.api import Api, Socket
from tests.support.server import Server

CLOSE = bytes(Frame(Opcode.CLOSE, Close(1000, "").serialize()).serialize(mask=True))
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close resets the connection


def text(**message: Any) -> bytes:
    return bytes(Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=True))


def line(job: str, number: int) -> bytes:
    log = {"type": "log", "message": str(number)}
    return text(op="report", id=number, job=job, reports=[log])


class Dialled(Socket):
    """A WebSocket whose handshake is done. Frames of the server are short here."""

    def __init__(self, server: Server, path: str = "/v1/ws", *, early: bytes = b"") -> None:
        super().__init__(server.url)
        self.send(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n",
            early,
        )
        assert self.head()[0] == 101

    def frame(self) -> bytes:
        size = self.file.read(2)[1]
        if size == 126:
            size = int.from_bytes(self.file.read(2), "big")
        return self.file.read(size)

    def messages(self, count: int) -> Iterator[Any]:
        return (json.loads(self.frame()) for _ in range(count))

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close()

    def close(self) -> None:
        self.file.close()
        self.socket.close()


class Leaving(NamedTuple):
    last: bytes
    leave: Callable[[Dialled], None]


LEAVINGS = {
    "a close frame in the same packet": Leaving(CLOSE, Dialled.close),
    "a reset": Leaving(b"", Dialled.reset),
    "a close with an answer unread": Leaving(b"", Dialled.close),
}


@pytest.mark.parametrize("way", LEAVINGS)
def test_what_a_client_reports_before_it_leaves_is_kept(shared: Server, way: str) -> None:
    leaving = LEAVINGS[way]
    with Api(shared.url) as api:
        job = api.create()
        client = Dialled(shared)
        client.send(text(op="ping", id=1))
        client.socket.recv(1, socket.MSG_PEEK)  # the server handles messages, and this one waits
        client.send(*(line(job, number) for number in range(5)), leaving.last)
        leaving.leave(client)
        api.until(job, lambda it: it["logs_total"] == 5)


def test_a_client_that_asks_early_is_answered_after_its_own_subscription(shared: Server) -> None:
    with Api(shared.url) as api:
        job = api.create()
    client = Dialled(shared, f"/v1/jobs/{job}")
    client.send(text(op="subscribe", id=0, job=job), text(op="unsubscribe", id=0))
    answers = [it for it in client.messages(4) if it["op"] != "snapshot"]
    assert [(it["op"], it["id"]) for it in answers] == [("ack", 0), ("error", 0), ("ack", 0)]
    client.close()


@pytest.mark.parametrize("size", [0, 1, 2, 6, 7, 30, 31, 60])
def test_frames_in_the_packet_of_the_handshake_are_not_lost(shared: Server, size: int) -> None:
    frames = text(op="ping", id=1) + text(op="ping", id=2)
    client = Dialled(shared, early=frames[:size])
    client.send(frames[size:])
    assert [it["id"] for it in client.messages(2)] == [1, 2]
    client.close()


ODD = bytes(Frame(Opcode.TEXT, b"\xff").serialize(mask=True))
ENDS = {"close": (CLOSE, 1000), "no frame": (b"\xff\xff", 1002), "no UTF-8": (ODD, 1007),
        "no UTF-8, and close": (ODD + CLOSE, 1000)}  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("path", ["/v1/ws", "/v1/jobs/nope"])
def test_an_end_in_the_packet_of_the_handshake_is_answered_after_it(
    shared: Server, path: str, end: str
) -> None:
    early, code = ENDS[end]
    client = Dialled(shared, path, early=early)
    assert int.from_bytes(client.frame()[:2], "big") == code
    assert client.file.read() == b""
    client.close()
    assert "Traceback" not in shared.stderr


def test_clients_that_reset_at_any_time_leave_nothing_behind(shared: Server) -> None:
    with Api(shared.url) as api:
        job = api.create()
        for asks in range(40):
            client = Dialled(shared, f"/v1/jobs/{job}")
            client.send(text(op="subscribe", id=1, job=job) * (asks % 2))
            client.reset()
        api.report(job, {"type": "succeed"})
        with Dialled(shared) as last:
            last.send(text(op="ping", id=1))
            list(last.messages(1))
    assert "Traceback" not in shared.stderr
