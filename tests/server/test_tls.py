"""TLS: the protocols over it, and handshakes that never end."""

from __future__ import annotations

import signal
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from cryptography.hazmat.primitives import serialization
from websockets.sync.client import connect as connect_websocket

from livejobs.server.admission import OVERFLOW
from livejobs.server.tls import HTTP1, make_context
from tests.server.test_runner import dial, read_all, stub
from tests.support.certificate import Certificate
from tests.support.server import Server


def test_with_a_certificate_it_speaks_https(tmp_path: Path, certificate: Certificate) -> None:
    with Server(tmp_path / "data", "--host", "localhost", *certificate.flags) as server:
        assert server.url.startswith("https://localhost:")
        answer = httpx2.get(server.url + "/healthz", verify=certificate.trust())
        assert (answer.status_code, answer.http_version) == (200, "HTTP/1.1")


def test_websockets_work_over_tls(certificate: Certificate) -> None:
    with (
        stub(*certificate.flags) as server,
        connect_websocket(
            f"wss://127.0.0.1:{server.port}/echo", ssl=certificate.trust()
        ) as websocket,
    ):
        websocket.send("hello")
        assert websocket.recv() == "hello"


def test_without_the_setting_alpn_does_not_choose_http2(certificate: Certificate) -> None:
    context = certificate.trust("h2", "http/1.1")
    with (
        stub(*certificate.flags) as server,
        dial(server) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        assert sock.selected_alpn_protocol() == "http/1.1"


def test_a_handshake_over_its_time_limit_is_aborted(certificate: Certificate) -> None:
    with stub(*certificate.flags, head_seconds=1) as server, dial(server) as sock:
        assert read_all(sock) == b""
        assert server.stop() == 0
        assert "Traceback" not in server.stderr


def test_a_connection_without_tls_is_aborted_and_others_are_served(
    certificate: Certificate,
) -> None:
    with stub(*certificate.flags) as server:
        with dial(server) as sock:
            sock.sendall(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
            read_all(sock)  # an alert
        answer = httpx2.get(server.url + "/hello", verify=certificate.trust())
        assert answer.text == "hello"
        assert server.stop() == 0
        assert "Traceback" not in server.stderr


def test_a_handshake_counts_as_a_connection(certificate: Certificate) -> None:
    with stub(*certificate.flags, connections=1) as server:
        with dial(server):
            refused = httpx2.get(server.url + "/hello", verify=certificate.trust())
            assert (refused.status_code, refused.json()["code"]) == (503, "too_many_connections")
        assert httpx2.get(server.url + "/hello", verify=certificate.trust()).status_code == 200


def test_handshakes_far_over_the_limit_are_aborted_at_once(certificate: Certificate) -> None:
    limits = {"connections": 1, "head_seconds": 1000}
    with stub(*certificate.flags, **limits) as server, ExitStack() as silent:
        for _ in range(1 + OVERFLOW):
            silent.enter_context(dial(server))
        with dial(server) as one_more:
            assert read_all(one_more) == b""


def test_an_open_handshake_does_not_delay_a_stop(certificate: Certificate) -> None:
    with stub(*certificate.flags) as server, dial(server):
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert "Traceback" not in server.stderr


def test_a_disconnect_during_the_handshake_frees_the_connection(certificate: Certificate) -> None:
    with stub(*certificate.flags, connections=100, connections_per_address=1) as server:
        for _ in range(3):
            with dial(server) as sock:
                sock.sendall(b"\x16\x03\x01\x02\x00")  # the first bytes of a ClientHello
                sock.shutdown(socket.SHUT_WR)
                read_all(sock)
        assert httpx2.get(server.url + "/hello", verify=certificate.trust()).status_code == 200


def test_an_encrypted_key_is_an_error_and_no_prompt(
    tmp_path: Path, certificate: Certificate
) -> None:
    key = serialization.load_pem_private_key(certificate.key.read_bytes(), None)
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ssl.SSLError):
        make_context(certificate.cert, tmp_path / "key.pem", {HTTP1: object})
