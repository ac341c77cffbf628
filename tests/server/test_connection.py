"""Unusual requests over real sockets: upgrades, expectations, trailers and very slow bodies."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from livejobs.server.patience import waited_for
from tests.server.test_runner import dial, problem_of, read_all, read_until, status_of, stub
from tests.support.server import Running

HOST = b"host: x\r\n"
LAST = b"GET /hello HTTP/1.1\r\nconnection: close\r\n" + HOST + b"\r\n"
TWO_TYPES = b"content-type: application/json\r\ncontent-type: application/x-ndjson\r\n"
KEY = b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with stub() as running:
        yield running


def upgrade(method: bytes, path: bytes, to: bytes, *lines: bytes) -> bytes:
    head = b"%b %b HTTP/1.1\r\n%bconnection: Upgrade\r\nupgrade: %b\r\n" % (method, path, HOST, to)
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def answers(sock: socket.socket) -> list[tuple[int, bytes]]:
    """Read all answers until the connection ends; each has a Content-Length."""
    rest, found = read_all(sock), []
    while rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields[b"content-length"])
        found.append((status_of(head), rest[:length]))
        rest = rest[length:]
    return found


# Upgrades

BODIES = {
    "a length": (b"content-length: 40", b"GET /hello HTTP/1.1\r\nhost: evil\r\n\r\n12345"),
    "chunks": (b"transfer-encoding: chunked", b"28\r\n" + 40 * b"x" + b"\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("pieces", [1, 3, 1000])
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("to", [b"foo", b"h2c", b"websocket", b"WebSocket", b"foo, websocket"])
def test_an_upgrade_that_is_not_supported_is_ignored_and_the_body_is_read(
    server: Running, to: bytes, body: str, pieces: int
) -> None:
    length, sent = BODIES[body]
    data = upgrade(b"POST", b"/size", to, length) + sent + LAST
    step = -(-len(data) // pieces)
    with dial(server) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), step):
            sock.sendall(data[start : start + step])
        assert answers(sock) == [(200, b"40"), (200, b"hello")]


def test_a_websocket_handshake_with_a_body_is_an_ordinary_request(server: Running) -> None:
    head = upgrade(b"GET", b"/hello", b"websocket", b"content-length: 5")
    with dial(server) as sock:
        sock.sendall(head + b"12345" + LAST)
        assert answers(sock) == [(200, b"hello"), (200, b"hello")]


def test_a_websocket_handshake_does_not_overtake_an_earlier_request(
    server: Running,
) -> None:
    first = b"POST /size HTTP/1.1\r\n" + HOST + b"content-length: 2\r\n\r\n12"
    with dial(server) as sock:
        sock.sendall(first + upgrade(b"GET", b"/hello", b"websocket") + LAST)
        assert answers(sock) == [(200, b"2"), (200, b"hello"), (200, b"hello")]


def test_many_upgrades_in_one_packet_are_each_answered(server: Running) -> None:
    with dial(server) as sock:
        sock.sendall(50 * upgrade(b"GET", b"/hello", b"foo") + LAST)
        assert answers(sock) == 51 * [(200, b"hello")]


def test_connect_is_refused_and_what_follows_is_not_read(server: Running) -> None:
    with dial(server) as sock:
        sock.sendall(b"CONNECT example:80 HTTP/1.1\r\n" + HOST + b"\r\n" + LAST)
        answer = read_all(sock)
        assert (status_of(answer), problem_of(answer)["code"]) == (405, "method_not_allowed")
        assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (b"/echo", b"x: " + 9000 * b"x"),
        (b"/echo?" + 9000 * b"x", b"x: x"),
        (b"/echo", b"\r\n".join(b"x%d: x" % n for n in range(200))),
    ],
)
def test_a_websocket_handshake_with_too_large_a_head_is_431(
    server: Running, path: bytes, line: bytes
) -> None:
    with dial(server) as sock:
        sock.sendall(upgrade(b"GET", path, b"websocket", KEY + line))
        answer = read_all(sock)
        assert (status_of(answer), problem_of(answer)["code"]) == (431, "headers_too_large")


# Expect


def test_an_answer_without_100_continue_closes_the_connection(server: Running) -> None:
    head = b"POST /hello HTTP/1.1\r\n" + HOST + b"expect: 100-continue\r\ncontent-length: 9\r\n\r\n"
    with dial(server) as sock:
        sock.sendall(head)
        answer = read_all(sock)
        assert status_of(answer) == 405
        assert b"\r\nconnection: close\r\n" in answer


def test_a_body_after_100_continue_keeps_the_connection_open(server: Running) -> None:
    head = b"POST /size HTTP/1.1\r\n" + HOST + b"expect: 100-continue\r\ncontent-length: 9\r\n\r\n"
    with dial(server) as sock:
        sock.sendall(head)
        assert read_until(sock, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"123456789" + LAST)
        assert answers(sock) == [(200, b"9"), (200, b"hello")]


# Bodies


def post(*lines: bytes) -> bytes:
    return b"\r\n".join([b"POST /size HTTP/1.1", b"host: x", *lines, b"\r\n"])


@pytest.mark.parametrize("kind", [TWO_TYPES.strip(), b"content-type: application/x-ndjsonish"])
def test_only_ndjson_may_be_silent(kind: bytes) -> None:
    with stub(body_silence_seconds=1) as server, dial(server) as sock:
        sock.sendall(post(kind, b"content-length: 9") + b"1234")
        assert status_of(read_all(sock)) == 408


def test_a_put_of_an_ndjson_file_may_not_be_silent() -> None:
    head = post(b"content-type: application/x-ndjson", b"content-length: 9").replace(
        b"POST", b"PUT"
    )
    with stub(body_silence_seconds=1) as server, dial(server) as sock:
        sock.sendall(head + b"1234")
        assert status_of(read_all(sock)) == 408


@pytest.mark.parametrize("kind", [b"application/jsonl", b"application/ndjson; charset=utf-8"])
def test_ndjson_of_any_name_may_be_silent(kind: bytes) -> None:
    with stub(body_silence_seconds=1) as server, dial(server) as worker, dial(server) as other:
        worker.sendall(post(b"content-type: " + kind, b"content-length: 9") + b"1234")
        other.sendall(post(b"content-length: 9") + b"1234")
        assert status_of(read_all(other)) == 408
        worker.sendall(b"56789")
        assert status_of(read_until(worker, b"\r\n\r\n9")) == 200


@pytest.mark.parametrize(
    ("framing", "drip"),
    [
        (b"content-length: 1000000", b"x"),
        (b"transfer-encoding: chunked", b"1\r\nx\r\n"),
        (b"transfer-encoding: chunked", b"1;" + 1000 * b"x" + b"\r\nx\r\n"),
    ],
)
def test_a_body_that_only_drips_is_cut(framing: bytes, drip: bytes) -> None:
    with stub(body_silence_seconds=2) as server, dial(server) as sock:
        sock.sendall(post(framing))
        sock.settimeout(0.2)  # between two drips
        answer = b""
        while not answer:
            sock.sendall(drip)
            try:
                answer = sock.recv(65536)
            except TimeoutError:
                continue
        assert (status_of(answer), problem_of(answer)["code"]) == (408, "request_timeout")


def longest_wait(*bytes_in_a_second: int) -> float:
    waited = longest = 0.0
    for received in bytes_in_a_second:
        waited = waited_for(waited, received)
        longest = max(longest, waited)
    return longest


def test_a_slow_body_is_allowed_and_one_that_drips_is_not() -> None:
    assert longest_wait(*(3600 * [1000])) == 0
    assert longest_wait(*(100 * [*(19 * [0]), 20_000])) < 20  # 1 KB/s, but in bursts
    assert longest_wait(*(2 * [*(28 * [0]), 1])) > 30
    assert longest_wait(*(40 * [100])) > 30


def test_the_size_of_trailers_is_limited(server: Running) -> None:
    with dial(server) as sock:
        sock.sendall(post(b"transfer-encoding: chunked") + b"0\r\nx: " + (1 << 20) * b"x")
        answer = read_all(sock)
        assert (status_of(answer), problem_of(answer)["code"]) == (431, "headers_too_large")


def test_a_trailer_does_not_count_as_a_header(server: Running) -> None:
    head = post(b"transfer-encoding: chunked").replace(b"/size", b"/types")
    with dial(server) as sock:
        sock.sendall(head + b"1\r\nx\r\n0\r\ncontent-type: text/evil\r\n\r\n" + LAST)
        assert answers(sock) == [(200, b"0"), (200, b"hello")]
