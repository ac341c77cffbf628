"""Starting, stopping and the limits of connections, each with a real process.

The tests of connections use the small app of tests/support/stub.py.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as connect_websocket

from tests.support.command import livejobs
from tests.support.forked import Fork
from tests.support.server import BIN, LONG_ENOUGH, Running, Server

STUB = ("-m", "tests.support.stub")
SIGNALS = [signal.SIGTERM, signal.SIGINT]


class Stub(Running):
    """The small app, as a fork of the servers' template if there is one."""

    def __init__(self, *args: str, program: Sequence[str] = STUB) -> None:
        super().__init__(sys.executable, *program, *args)

    def _launch(self, command: list[str]) -> subprocess.Popen[bytes] | Fork:
        template = Server.template
        if template is None or command[1] != "-m" or not template.fits(self.env):
            return super()._launch(command)
        return template.fork(command, self.env, stderr=self._errors)


def stub(*args: str, **limits: int) -> Running:
    limits.setdefault("connections", 100)
    return Stub("--limits", json.dumps(limits), *args)


@pytest.fixture(scope="module")
def calm() -> Iterator[Running]:
    """A stub with the usual limits, for tests that do not stop it."""
    with stub() as server:
        yield server


@pytest.fixture(scope="module")
def hurried() -> Iterator[Running]:
    with stub(head_seconds=SHORT) as server:
        yield server


def serve(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the server; it is expected to fail."""
    return livejobs("serve", *args, **env)


def dial(server: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=LONG_ENOUGH)


def read_all(sock: socket.socket) -> bytes:
    """Read until the other side closes."""
    return b"".join(iter(lambda: sock.recv(65536), b""))


def read_until(sock: socket.socket, mark: bytes) -> bytes:
    data = b""
    while mark not in data:
        piece = sock.recv(65536)
        assert piece, data
        data += piece
    return data


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def problem_of(answer: bytes) -> dict[str, object]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    problem: dict[str, object] = json.loads(body)
    assert problem["status"] == status_of(answer)
    assert {"type", "title", "detail", "code"} <= problem.keys()
    return problem


# Starting


def test_stdout_gets_the_ready_line_and_nothing_else(server: Server) -> None:
    assert httpx2.get(server.url + "/healthz").status_code == 200
    httpx2.get(server.url + "/nothing")
    assert server.stop() == 0
    assert server.rest_of_stdout() == ""


def test_port_0_picks_a_free_port(tmp_path: Path) -> None:
    with Server(tmp_path / "a", fresh=True) as one, Server(tmp_path / "b") as two:
        assert one.port != two.port
        assert 0 not in {one.port, two.port}


def test_it_listens_on_ipv6_too(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--host", "::1") as server:
        assert server.url == f"http://[::1]:{server.port}"
        assert httpx2.get(server.url + "/healthz").status_code == 200


def test_a_server_without_keys_logs_that_everyone_is_admin(shared: Server) -> None:
    assert "everyone who can connect is admin" in shared.stderr


def test_a_port_in_use_prints_one_line_and_exits_with_1(shared: Server, tmp_path: Path) -> None:
    failed = serve("--port", str(shared.port), "--data", str(tmp_path / "other"))
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == (
        f"livejobs: can't listen on 127.0.0.1:{shared.port}: Address already in use. "
        "Stop the program that uses this port, or give another --port\n"
    )


def test_a_database_in_use_prints_one_line_and_exits_with_1(shared: Server) -> None:
    failed = serve("--port", "0", "--data", str(shared.data))
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith("livejobs: ")
    assert failed.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "env", "line"),
    [
        (["--port", "x"], {}, "port (--port): takes a whole number from 0 to 65535, not 'x'"),
        ([], {"LIVEJOBS_MAX_BATCH": "-1"}, "max_batch (LIVEJOBS_MAX_BATCH): takes a whole number"),
        (["--config", "none.toml"], {}, "config (--config): can't read 'none.toml': No such file"),
        (["--host", "0.0.0.0"], {}, "host (0.0.0.0): other machines can reach this address"),
        (["--ssl-certfile", "c", "--ssl-keyfile", "k"], {}, "ssl_certfile (c): "),
        (["--max-connections", "999999999"], {}, "max_connections (999999999): takes at most "),
    ],
)
def test_a_wrong_setting_prints_one_line_and_exits_with_2(
    args: list[str], env: dict[str, str], line: str, tmp_path: Path
) -> None:
    failed = serve("--port", "0", "--data", str(tmp_path / "data"), *args, **env)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.startswith(f"livejobs: {line}")
    assert failed.stderr.count("\n") == 1


def test_a_misspelt_variable_is_named(tmp_path: Path) -> None:
    with Server(tmp_path / "data", env={"LIVEJOBS_PROT": "1"}) as server:
        assert "livejobs: LIVEJOBS_PROT: there is no such setting" in server.stderr


def test_with_open_the_server_listens_on_any_address(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--host", "0.0.0.0", "--open") as server:
        assert server.url == f"http://0.0.0.0:{server.port}"


def test_version_prints_the_version_of_the_package() -> None:
    done = subprocess.run([BIN / "livejobs", "--version"], capture_output=True, check=True)
    assert done.stdout.startswith(b"livejobs 0.")


# Stopping


@pytest.mark.parametrize("number", SIGNALS)
def test_after_a_signal_the_exit_code_is_0(server: Server, number: signal.Signals) -> None:
    server.signal(number)
    assert server.wait() == 0
    assert "Traceback" not in server.stderr


def test_signals_up_to_the_last_moment_leave_the_exit_code_at_0(tmp_path: Path) -> None:
    with Server(tmp_path / "data", fresh=True) as server:
        while server.process.poll() is None:
            server.signal(signal.SIGTERM)
        assert server.wait() == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_streams_get_bye_before_they_are_closed(number: signal.Signals) -> None:
    with stub() as server, dial(server) as sock:
        sock.sendall(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
        read_until(sock, b"data: hello")
        server.signal(number)
        assert read_all(sock).endswith(b"event: bye\ndata: {}\n\n\r\n0\r\n\r\n")
        assert server.wait() == 0


def test_the_server_stops_whatever_its_clients_do() -> None:
    with stub() as server, ExitStack() as clients:
        begun, upload, deaf = (clients.enter_context(dial(server)) for _ in range(3))
        begun.sendall(b"GET /hel")
        upload.sendall(b"POST /size HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n1234")
        deaf.sendall(b"GET /stream?deaf HTTP/1.1\r\nhost: x\r\n\r\n")
        read_until(deaf, b"data: hello")
        clients.enter_context(connect_websocket(f"ws://127.0.0.1:{server.port}/echo"))
        server.signal(signal.SIGTERM)
        assert (
            server.process.wait(25) == 0
        )  # the docs promise 10 s; a silent body has a limit of 30 s
        assert "Traceback" not in server.stderr


def test_after_a_second_signal_the_server_does_not_wait_for_clients() -> None:
    with stub() as server, dial(server) as sock:
        sock.sendall(b"GET /stream?deaf HTTP/1.1\r\nhost: x\r\n\r\n")
        read_until(sock, b"data: hello")
        server.signal(signal.SIGTERM)
        while listening(server):
            pass
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert "Traceback" not in server.stderr


def test_a_new_connection_may_still_bring_a_request_while_the_server_stops() -> None:
    request = b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n"
    with stub(first_seconds=30) as server, dial(server) as new, dial(server) as idle:
        idle.sendall(request)
        read_until(idle, b"hello")
        server.signal(signal.SIGTERM)
        assert read_all(idle) == b""
        new.sendall(request)
        answer = read_all(new)
        assert status_of(answer) == 200
        assert b"connection: close" in answer
        assert server.wait() == 0


def test_requests_that_come_while_the_server_stops_are_answered() -> None:
    with stub() as server, ExitStack() as clients:
        server.signal(signal.SIGSTOP)  # but the kernel connects
        waiting = [clients.enter_context(dial(server)) for _ in range(50)]
        for sock in waiting:
            sock.sendall(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGCONT)
        for sock in waiting:
            assert status_of(read_all(sock)) == 200
        assert server.wait() == 0


def listening(server: Running) -> bool:
    try:
        dial(server).close()
    except ConnectionError:  # refused, or reset at the moment of closing
        return False
    return True


# The limits of a connection

# The server's tick counts seconds, so the first may be over at once. With a limit of one second,
# a client could be cut off between its connect and its first byte.
SHORT = 3


def test_a_head_that_does_not_arrive_in_time_is_cut(hurried: Running) -> None:
    with dial(hurried) as slow, dial(hurried) as silent:
        slow.sendall(b"GET /hello HTTP/1.1\r\nhost: ")
        answer = read_all(slow)
        assert (status_of(answer), problem_of(answer)["code"]) == (408, "request_timeout")
        assert read_all(silent) == b""


def test_a_second_head_has_the_same_time_limit(hurried: Running) -> None:
    with dial(hurried) as sock:
        sock.sendall(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
        read_until(sock, b"hello")
        sock.sendall(b"GET /hello HTTP/1.1\r\n")
        assert status_of(read_all(sock)) == 408


def test_empty_lines_do_not_keep_a_connection_open(hurried: Running) -> None:
    with dial(hurried) as sock:
        sock.sendall(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
        read_until(sock, b"hello")
        sock.sendall(b"\r\n")
        assert b"GET" not in read_all(sock)


def test_a_body_that_falls_silent_is_cut() -> None:
    with stub(body_silence_seconds=1) as server, dial(server) as sock:
        sock.sendall(b"POST /size HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n1234")
        answer = read_all(sock)
        assert (status_of(answer), problem_of(answer)["code"]) == (408, "request_timeout")


def test_an_ndjson_body_may_be_silent_for_longer_than_others() -> None:
    head = b"POST /size HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n"
    with stub(body_silence_seconds=1) as server, dial(server) as worker, dial(server) as other:
        worker.sendall(head + b"content-type: application/x-ndjson\r\n\r\n1234")
        other.sendall(head + b"\r\n1234")
        assert status_of(read_all(other)) == 408
        worker.sendall(b"56789")
        assert read_until(worker, b"\r\n\r\n9").startswith(b"HTTP/1.1 200 OK")


def test_a_viewer_may_be_silent_for_as_long_as_its_stream_lasts() -> None:
    limits = {"head_seconds": SHORT, "body_silence_seconds": 1}
    with stub(**limits) as server, dial(server) as viewer, dial(server) as silent:
        viewer.sendall(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
        read_until(viewer, b"data: hello")
        assert read_all(silent) == b""
        server.signal(signal.SIGTERM)
        assert b"event: bye" in read_all(viewer)


@pytest.mark.parametrize("pieces", [1, 2, 1000])
def test_a_head_over_its_limit_is_refused(calm: Running, pieces: int) -> None:
    line = b"x-filler: " + 1000 * b"x" + b"\r\n"
    head = b"GET /hello HTTP/1.1\r\n" + 80 * line + b"\r\n"
    step = -(-len(head) // pieces)
    with dial(calm) as sock:
        for start in range(0, len(head), step):
            sock.sendall(head[start : start + step])
        answer = read_all(sock)
        assert (status_of(answer), problem_of(answer)["code"]) == (431, "headers_too_large")


def test_one_header_without_an_end_is_refused_too(calm: Running) -> None:
    with dial(calm) as sock:
        sock.sendall(b"GET /hello HTTP/1.1\r\nx: " + (1 << 20) * b"x")
        assert status_of(read_all(sock)) == 431


def test_a_large_body_is_not_a_large_head(calm: Running) -> None:
    body = (1 << 20) * b"x"
    answer = httpx2.post(calm.url + "/size", content=body, headers={"x-filler": 60000 * "x"})
    assert (answer.status_code, answer.text) == (200, str(len(body)))


def test_what_is_not_http_gets_a_problem(calm: Running) -> None:
    with dial(calm) as sock:
        sock.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        answer = read_all(sock)
        assert (status_of(answer), problem_of(answer)["code"]) == (400, "bad_request")


def test_connections_over_the_limit_get_503_with_retry_after() -> None:
    with stub(connections=2) as server, dial(server) as one, dial(server) as two:
        for sock in (one, two):
            sock.sendall(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
            read_until(sock, b"hello")
        refused = httpx2.get(server.url + "/hello")
        assert (refused.status_code, refused.json()["code"]) == (503, "too_many_connections")
        assert int(refused.headers["retry-after"]) > 0
        assert refused.headers["connection"] == "close"


def test_a_stream_over_the_limit_gets_200_so_that_eventsource_retries() -> None:
    with stub(connections=1) as server, dial(server) as one:
        one.sendall(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
        read_until(one, b"hello")
        turned = httpx2.get(server.url + "/stream", headers={"accept": "text/event-stream"})
        assert turned.status_code == 200
        assert turned.headers["content-type"] == "text/event-stream"
        assert turned.text.startswith("retry: ")


def test_a_websocket_counts_as_a_connection_and_is_refused_over_the_limit() -> None:
    with stub(connections=1) as server:
        address = f"ws://127.0.0.1:{server.port}/echo"
        with connect_websocket(address) as socket_:
            socket_.send("hello")
            assert socket_.recv() == "hello"
            assert httpx2.get(server.url + "/hello").status_code == 503
            with pytest.raises(InvalidStatus) as refused:
                connect_websocket(address)
            assert refused.value.response.status_code == 503


def test_a_closed_connection_makes_room_for_another() -> None:
    with stub(connections=1) as server:
        with dial(server) as one:
            one.sendall(b"GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            read_all(one)
        assert httpx2.get(server.url + "/hello").status_code == 200


def test_an_address_over_its_limit_is_refused_and_others_are_not() -> None:
    with stub(connections_per_address=1) as server, dial(server) as one:
        one.sendall(b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n")
        read_until(one, b"hello")
        assert hello_from("127.0.0.1", server) == 503
        assert hello_from("127.0.0.2", server) == 200


def test_a_closed_connection_makes_room_for_another_of_its_address() -> None:
    with stub(connections_per_address=1) as server:
        with connect_websocket(f"ws://127.0.0.1:{server.port}/echo"):
            assert hello_from("127.0.0.1", server) == 503
        assert hello_from("127.0.0.1", server) == 200
        assert hello_from("127.0.0.1", server) == 200


def hello_from(address: str, server: Running) -> int:
    """The status. It is read until the connection ends, so the server has seen the end too."""
    to = ("127.0.0.1", server.port)
    with socket.create_connection(to, LONG_ENOUGH, source_address=(address, 0)) as sock:
        sock.sendall(b"GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        return status_of(read_all(sock))


def test_a_token_in_the_url_of_a_websocket_is_not_logged() -> None:
    with stub("--log-level", "debug") as server:
        with connect_websocket(f"ws://127.0.0.1:{server.port}/echo?token=hunter2"):
            pass
        httpx2.get(server.url + "/hello?token=hunter2", headers={"authorization": "hunter2"})
        server.stop()
        assert "hunter2" not in server.stderr
