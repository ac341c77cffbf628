"""Every download that reached its client counts, however fast the client closed; no other does."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx2 as httpx
import pytest

from tests.support.certificate import Certificate
from tests.support.desk import eventually
from tests.support.objects import ObjectStore
from tests.support.peer import Peer
from tests.support.server import LONG_ENOUGH, Server, clean_environment, hold_port

SIZES: Final = (10, 100_000, 3 << 20)  # by `send`, by the kernel, by the kernel in many rounds
TIMES: Final = 30
LARGE: Final = 40 << 20  # more than the kernels on both sides hold
BIN: Final = Path(sys.executable).parent


class Place(NamedTuple):
    """A server and its address."""

    url: str
    trust: ssl.SSLContext | None = None

    def dial(self, receive_buffer: int | None = None) -> socket.socket:
        where = httpx.URL(self.url)
        sock = socket.socket()
        sock.settimeout(LONG_ENOUGH)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect((where.host, where.port))
        return (
            sock
            if self.trust is None
            else self.trust.wrap_socket(sock, server_hostname="localhost")
        )

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, verify=self.trust or False, timeout=LONG_ENOUGH)


@contextmanager
def ours(tmp_path: Path, _: pytest.FixtureRequest) -> Iterator[Place]:
    with Server(tmp_path / "data") as server:
        yield Place(server.url)


@contextmanager
def over_tls(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    certificate: Certificate = request.getfixturevalue("certificate")
    with Server(tmp_path / "data", *certificate.flags) as server:
        yield Place(server.url, certificate.trust("http/1.1"))


@contextmanager
def from_a_store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    store: ObjectStore = request.getfixturevalue("store")
    files = f"s3://bucket/{tmp_path.name}"
    with Server(tmp_path / "data", "--files", files, env=store.environment) as server:
        yield Place(server.url)


@contextmanager
def under(tmp_path: Path, *command: str) -> Iterator[Place]:
    """Another ASGI server."""
    environment = {**clean_environment(), "DATA": str(tmp_path / "data"), "PYTHONPATH": "."}
    with closing(hold_port()) as held:
        port = held.getsockname()[1]
        program = [
            str(BIN / command[0]),
            *command[1:],
            "tests.support.path_sender:app",
            "--port",
            str(port),
        ]
        process = subprocess.Popen(program, env=environment)
        place = Place(f"http://127.0.0.1:{port}")
        try:
            with place.client() as http:
                eventually(lambda: ready(http))
            yield place
        finally:
            process.terminate()  # granian ends its worker only when it is asked to
            process.wait(60)


def ready(http: httpx.Client) -> bool:
    with suppress(httpx.ConnectError):
        return http.get("/readyz").is_success
    return False


PLACES: Final[dict[str, Any]] = {
    "ours": ours,
    "tls": over_tls,
    "object store": from_a_store,
    "uvicorn": lambda tmp, _: under(tmp, "uvicorn", "--log-level", "error"),
    "uvicorn h11": lambda tmp, _: under(tmp, "uvicorn", "--http", "h11", "--log-level", "error"),
    "granian": lambda tmp, _: under(tmp, "granian", "--interface", "asgi", "--log-level", "error"),
}


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with ObjectStore() as store:
        yield store


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        yield stack.enter_context(PLACES[request.param](tmp_path, request))


def shelve(http: httpx.Client, *sizes: int) -> None:
    http.put("/v1/jobs/j").raise_for_status()
    for size in sizes:
        http.put(f"/v1/jobs/j/files/{size}", content=os.urandom(size)).raise_for_status()


def downloads(http: httpx.Client) -> dict[str, int]:
    return {it["name"]: it["downloads"] for it in http.get("/v1/jobs/j/files").json()["files"]}


def noted(http: httpx.Client) -> int:
    """How many responses with bytes of a file the server has recorded."""
    acts = [it["detail"] for it in http.get("/v1/audit?action=download&limit=1000").json()["acts"]]
    return sum(it.get("answers", 1) for it in acts if "file" in it)


def ask(sock: socket.socket, name: object, fields: str = "") -> None:
    sock.sendall(
        f"GET /v1/jobs/j/files/{name} HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n".encode()
    )


def take_and_close(place: Place, size: int, fields: str = "", length: int | None = None) -> None:
    """Read exactly to the last byte, then close at once."""
    with place.dial() as sock:
        ask(sock, size, fields)
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(65536)
        left = (size if length is None else length) - len(data.partition(b"\r\n\r\n")[2])
        while left:
            left -= len(sock.recv(min(left, 1 << 20)))


def test_a_client_that_closes_right_after_the_last_byte_counts(place: Place) -> None:
    with place.client() as http:
        shelve(http, *SIZES)
        for _ in range(TIMES):
            for size in SIZES:
                take_and_close(place, size)
        eventually(lambda: noted(http) == TIMES * len(SIZES))
        assert downloads(http) == {str(size): TIMES for size in SIZES}


def test_a_range_to_the_last_byte_counts_however_fast_its_client_closes(place: Place) -> None:
    size = SIZES[-1]
    with place.client() as http:
        shelve(http, size)
        for length in (1, 100_000):
            for _ in range(TIMES):
                take_and_close(place, size, f"range: bytes=-{length}\r\n", length)
        eventually(lambda: noted(http) == 2 * TIMES)
        assert downloads(http) == {str(size): 2 * TIMES}


@pytest.mark.parametrize("place", ["ours", "tls", "object store", "uvicorn"], indirect=True)
def test_a_client_that_dies_midway_does_not_count(place: Place) -> None:
    with place.client() as http:
        shelve(http, LARGE)
        for _ in range(3):
            with place.dial() as sock:
                ask(sock, LARGE)
                sock.recv(1000)
        eventually(lambda: noted(http) == 3)
        assert downloads(http) == {str(LARGE): 0}


@pytest.mark.parametrize("place", ["ours"], indirect=True)
def test_bytes_that_only_our_kernel_has_do_not_count(place: Place) -> None:
    size = 700_000
    with place.client() as http, ExitStack() as stack:
        shelve(http, size)
        socks = [stack.enter_context(place.dial(receive_buffer=4096)) for _ in range(3)]
        for sock in socks:
            ask(sock, size)
        eventually(lambda: "livejobs_files_read 0.0" in http.get("/metrics").text)
        assert downloads(http) == {str(size): 0}
        for sock in socks[1:]:
            sock.recv(1000)
            sock.close()
        eventually(lambda: noted(http) == 2)
        left = size
        while left > 0 and (data := socks[0].recv(1 << 20)):
            left -= len(data)
        eventually(lambda: downloads(http) == {str(size): 1})


def test_a_stop_does_not_wait_for_acknowledgments_and_counts_what_the_kernel_has(
    tmp_path: Path,
) -> None:
    size = 700_000
    with Server(tmp_path / "data") as server:
        place = Place(server.url)
        with place.client() as http, place.dial(receive_buffer=4096) as sock:
            shelve(http, size)
            ask(sock, size)
            eventually(lambda: "livejobs_downloads_arriving 1.0" in http.get("/metrics").text)
            assert server.stop() == 0
            assert len(b"".join(iter(lambda: sock.recv(1 << 20), b""))) > size
        server.restart()
        with place.client() as http:
            assert downloads(http) == {"700000": 1}


def test_an_http2_stream_that_arrived_whole_counts(
    tmp_path: Path, certificate: Certificate
) -> None:
    size, server = 3 << 20, Server(tmp_path / "data", "--http2", *certificate.flags)
    place = Place(server.url, certificate.trust("http/1.1"))
    path = f"/v1/jobs/j/files/{size}"
    with server, place.client() as http:
        shelve(http, size)
        for _ in range(5):
            with Peer(server, certificate) as peer:
                assert len(peer.answer(peer.get(path))[1]) == size
        for _ in range(3):  # two streams whose window is too small to finish
            with Peer(server, certificate) as peer:
                streams = {peer.get(path), peer.get(path)}
                peer.closed_hand |= streams
                peer.until(lambda: all(peer.bodies[stream] for stream in streams))  # noqa: B023  called at once
                peer.give_up(streams.pop())
        eventually(lambda: noted(http) == 5 + 6)
        assert downloads(http) == {str(size): 5}
        assert "Traceback" not in server.stderr
