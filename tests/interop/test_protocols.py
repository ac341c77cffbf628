"""Rare cases of HTTP and WebSocket, byte by byte: RFC 9110, 9112 and 6455."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator

import pytest

from tests.abuse.crowd import (
    TEXT,
    close_code,
    dial,
    frame,
    read_all,
    read_frame,
    read_until,
    websocket,
)
from tests.support.server import Server

PING = 9
PONG = 10
BINARY = 2
CONTINUATION = 0
HOST = b"host: 127.0.0.1\r\n"
UPGRADE = (
    b"upgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"sec-websocket-version: 13\r\n"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("protocols") / "data", fresh=True) as running:
        with dial(running.port) as sock:
            sock.sendall(b"PUT /v1/jobs/j HTTP/1.1\r\n" + HOST + b"content-length: 0\r\n\r\n")
            assert answer(sock)[0] == 201
        yield running


def answer(sock: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read the next answer on a connection: status, headers and body."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += received(sock, 1)
    status, *lines = head.decode("latin-1").split("\r\n")[:-2]
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = b""
    while len(body) < int(headers.get("content-length", 0)):
        body += received(sock, int(headers["content-length"]) - len(body))
    return int(status.split()[1]), headers, body


def received(sock: socket.socket, most: int) -> bytes:
    data = sock.recv(most)
    assert data, "the connection was closed"
    return data


def get(path: str = "/healthz", *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "host: 127.0.0.1", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


# The handshake of a WebSocket


@pytest.mark.parametrize("version", ["8", "14", "x", ""])
def test_another_websocket_version_is_426_with_our_version(version: str, server: Server) -> None:
    with dial(server.port) as sock:
        wrong = UPGRADE.replace(b": 13", b": " + version.encode())
        sock.sendall(b"GET /v1/ws HTTP/1.1\r\nconnection: upgrade\r\n" + HOST + wrong + b"\r\n")
        status, headers, body = answer(sock)
        assert (status, json.loads(body)["code"]) == (426, "upgrade_required")
        assert headers["sec-websocket-version"] == "13"
        assert headers["content-type"] == "application/problem+json"


def test_a_handshake_without_its_key_is_400(server: Server) -> None:
    with dial(server.port) as sock:
        wrong = UPGRADE.replace(b"sec-websocket-key", b"x")
        sock.sendall(b"GET /v1/ws HTTP/1.1\r\nconnection: upgrade\r\n" + HOST + wrong + b"\r\n")
        status, _, body = answer(sock)
        assert (status, json.loads(body)["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    "connection", [b"Upgrade", b"upgrade", b"keep-alive, Upgrade", b"Upgrade , keep-alive"]
)
def test_upgrade_may_be_one_of_several_tokens_of_connection(
    connection: bytes, server: Server
) -> None:
    with dial(server.port) as sock:
        head = b"GET /v1/ws HTTP/1.1\r\nconnection: " + connection + b"\r\n"
        sock.sendall(head + HOST + UPGRADE + b"\r\n")
        assert answer(sock)[0] == 101


def test_a_request_without_upgrade_in_connection_is_a_plain_one(server: Server) -> None:
    with dial(server.port) as sock:
        sock.sendall(b"GET /v1/jobs/j HTTP/1.1\r\nconnection: keep-alive\r\n" + HOST + UPGRADE)
        sock.sendall(b"\r\n")
        assert answer(sock)[0] == 200


def test_an_upgrade_to_another_protocol_is_ignored(server: Server) -> None:
    with dial(server.port) as sock:
        sock.sendall(get("/healthz", "connection: upgrade", "upgrade: h2c"))
        assert answer(sock)[0] == 200


def test_the_subprotocol_is_chosen_only_if_offered(server: Server) -> None:
    for offered, chosen in ((b"x, livejobs.v1", b"livejobs.v1"), (b"x, y", None)):
        with dial(server.port) as sock:
            head = b"GET /v1/ws HTTP/1.1\r\nconnection: upgrade\r\n" + HOST + UPGRADE
            sock.sendall(head + b"sec-websocket-protocol: " + offered + b"\r\n\r\n")
            said = read_until(sock, b"\r\n\r\n").lower()
            line = b"sec-websocket-protocol: " + (chosen or b"")
            assert (line in said) == (chosen is not None)


def test_compression_is_declined(server: Server) -> None:
    with dial(server.port) as sock:
        head = b"GET /v1/ws HTTP/1.1\r\nconnection: upgrade\r\n" + HOST + UPGRADE
        sock.sendall(head + b"sec-websocket-extensions: permessage-deflate\r\n\r\n")
        assert b"extensions" not in read_until(sock, b"\r\n\r\n").lower()


# The frames of a WebSocket


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(b"\xff\xfe"), 1007),
        (frame(b"\xc3", last=False) + frame(b"\x28", CONTINUATION), 1007),
        (frame(3 * 1024 * 1024 * b"x")[:100], 1009),  # refused as soon as its length is known
        (frame(2 * 1024 * 1024 * b"x", last=False) + frame(b"y", CONTINUATION), 1009),
        (frame(b"hello"), 4400),
        (frame(b"{}", BINARY), 4400),
        (frame(b'{"op": "ping", "id": "' + 1_100_000 * b"x" + b'"}'), 4400),
        (b"\x81\x02{}", 1002),  # not masked
        (bytes([0xC1]) + frame(b"{}")[1:], 1002),  # a reserved bit
        (frame(b"", CONTINUATION), 1002),
        (frame(b"{", last=False) + frame(b"}"), 1002),
        (frame(126 * b"x", PING), 1002),
        (frame(struct.pack("!H", 999), 8), 1002),
    ],
)
def test_a_frame_that_is_not_allowed_closes_the_socket(
    sent: bytes, code: int, server: Server
) -> None:
    with websocket(server.port) as sock:
        sock.sendall(sent)
        assert close_code(sock) == code


def test_a_message_in_fragments_may_have_a_ping_between(server: Server) -> None:
    with websocket(server.port) as sock:
        sock.sendall(frame(b'{"op": "pi', TEXT, last=False) + frame(b"now", PING))
        sock.sendall(frame(b"", CONTINUATION, last=False) + frame(b'ng"}', CONTINUATION))
        assert read_frame(sock) == (PONG, b"now")
        assert json.loads(read_frame(sock)[1]) == {"op": "pong", "id": None}


def test_a_close_is_answered_with_its_code(server: Server) -> None:
    with websocket(server.port) as sock:
        sock.sendall(frame(struct.pack("!H", 3999) + b"enough", 8))
        assert close_code(sock) == 3999
        assert sock.recv(1) == b""


@pytest.mark.parametrize("step", [1, 3, 4096])
def test_frames_may_arrive_in_pieces_of_any_length(step: int, server: Server) -> None:
    wanted = [{"op": "ping", "id": n} for n in range(300)]
    data = b"".join(map(frame, wanted))
    with websocket(server.port) as sock:
        for at in range(0, len(data), step):
            sock.sendall(data[at : at + step])
        got = [json.loads(read_frame(sock)[1]) for _ in wanted]
    assert got == [{"op": "pong", "id": n} for n in range(300)]


# One connection, many requests


def test_a_connection_is_reused_after_a_refusal_whose_body_was_not_read(
    server: Server,
) -> None:
    refused = b"POST /nothing HTTP/1.1\r\n" + HOST + b"content-length: 300000\r\n\r\n"
    with dial(server.port) as sock:
        for _ in range(3):
            sock.sendall(refused + 300_000 * b"x")
            status, headers, body = answer(sock)
            assert (status, json.loads(body)["code"]) == (404, "not_found")
            assert "connection" not in headers
            sock.sendall(get())
            assert answer(sock)[0] == 200


def test_a_body_that_is_too_large_is_refused_and_the_connection_closed(server: Server) -> None:
    with dial(server.port) as sock:
        sock.sendall(b"POST /v1/jobs HTTP/1.1\r\n" + HOST + b"content-length: 9000000\r\n\r\n{")
        status, headers, _ = answer(sock)
        assert (status, headers["connection"]) == (413, "close")


def test_requests_may_be_pipelined(server: Server) -> None:
    report = b'{"type": "heartbeat"}'
    post = b"POST /v1/jobs/j/reports HTTP/1.1\r\n" + HOST
    post += b"content-length: %d\r\n\r\n%s" % (len(report), report)
    with dial(server.port) as sock:
        sock.sendall(20 * (get() + post + get("/nothing")))
        statuses = [answer(sock)[0] for _ in range(60)]
    assert statuses == 20 * [200, 200, 404]


def test_a_request_behind_a_stream_is_answered(server: Server) -> None:
    with dial(server.port) as sock:
        sock.sendall(b"PUT /v1/jobs/short HTTP/1.1\r\n" + HOST + b"content-length: 0\r\n\r\n")
        assert answer(sock)[0] in (200, 201)
        sock.sendall(get("/v1/jobs/short/events") + get("/v1/jobs/short"))
        read_until(sock, b"\n\n")
        with dial(server.port) as other:
            body = b'{"type": "succeed"}'
            head = b"POST /v1/jobs/short/reports HTTP/1.1\r\n" + HOST
            other.sendall(head + b"content-length: %d\r\n\r\n%s" % (len(body), body))
            assert answer(other)[0] == 200
        said = b""
        while not said.endswith(b"\r\n0\r\n\r\n"):
            said += received(sock, 1)
        status, _, body = answer(sock)
        assert (status, json.loads(body)["status"]) == (200, "succeeded")


def test_connection_close_closes_the_connection(server: Server) -> None:
    with dial(server.port) as sock:
        sock.sendall(get("/healthz", "connection: close"))
        said = read_all(sock)
        assert said.startswith(b"HTTP/1.1 200")
        assert b"connection: close\r\n" in said.lower()


# Expect and HEAD


def test_an_expected_body_gets_100_continue(server: Server) -> None:
    body = b'{"type": "heartbeat"}'
    with dial(server.port) as sock:
        head = b"POST /v1/jobs/j/reports HTTP/1.1\r\nexpect: 100-continue\r\n" + HOST
        sock.sendall(head + b"content-length: %d\r\n\r\n" % len(body))
        assert read_until(sock, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert answer(sock)[0] == 200


def test_a_refused_body_gets_no_100_continue(server: Server) -> None:
    with dial(server.port) as sock:
        head = b"POST /v1/jobs/none/reports HTTP/1.1\r\nexpect: 100-continue\r\n" + HOST
        sock.sendall(head + b"content-length: 10\r\n\r\n")
        assert answer(sock)[0] == 404


@pytest.mark.parametrize(
    "path", ["/v1/jobs/j", "/v1/jobs", "/v1/jobs/j/logs", "/healthz", "/readyz", "/"]
)
def test_head_has_the_headers_of_get_and_no_body(path: str, server: Server) -> None:
    with dial(server.port) as sock:
        sock.sendall(get(path))
        status, headers, _ = answer(sock)
        sock.sendall(get(path).replace(b"GET", b"HEAD"))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += received(sock, 1)
        assert head.startswith(b"HTTP/1.1 %d " % status)
        for name in ("content-type", "content-length", "etag", "cache-control", "vary"):
            if name in headers:
                assert f"{name}: {headers[name]}\r\n".encode() in head
        sock.sendall(get())
        assert answer(sock)[0] == 200


def test_head_of_a_stream_ends_at_once(server: Server) -> None:
    with dial(server.port) as sock:
        sock.sendall(get("/v1/jobs/j/events").replace(b"GET", b"HEAD") + get())
        head = read_until(sock, b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert b"content-type: text/event-stream" in head
        assert b"HTTP/1.1 200" in (head.partition(b"\r\n\r\n")[2] or sock.recv(4096))
