"""Several workers under a supervisor, each a real process.

Tests of the supervisor use the small app of tests/support/stub.py, which needs no database.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner

from livejobs import clock
from livejobs.cli.operator.demo import demo
from livejobs.server.workers import LONG_LIFE, LONGEST_PAUSE, Post
from tests.server.test_runner import (
    STUB,
    Stub,
    dial,
    listening,
    read_all,
    read_until,
    serve,
    status_of,
)
from tests.support.certificate import Certificate
from tests.support.server import Running, hold_port

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
BYE = b"event: bye\ndata: {}\n\n\r\n0\r\n\r\n"
# The small app, with less time to stop.
IMPATIENT = """\
from livejobs.server import workers
workers.STOP_SECONDS = 0.5
from tests.support.stub import main
main()
"""


class Workers(Stub):
    """The stub keeps nothing, so it does not use its database."""

    def __init__(self, count: int, *args: str, program: Sequence[str] = STUB) -> None:
        self.count = count
        how = ("--workers", str(count), "--database", NOWHERE)
        super().__init__(*how, *args, program=program)

    def kill(self) -> None:
        """Kill the supervisor. Its workers end too, and the last of them frees the port."""
        self.process.kill()
        self.rest_of_stdout()
        super().kill()


def pids(server: Running) -> Sequence[int]:
    """The processes of the workers."""
    pid = server.process.pid
    return [int(it) for it in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Viewer:
    """A connection that first asks for the process that serves it, then opens a stream."""

    def __init__(self, server: Running, stack: ExitStack) -> None:
        self.sock = stack.enter_context(dial(server))
        self.sock.sendall(b"GET /pid HTTP/1.1\r\nhost: x\r\n\r\n")
        head, _, body = read_until(self.sock, b"\r\n\r\n").partition(b"\r\n\r\n")
        assert status_of(head) == 200
        self.pid = int(body or self.sock.recv(100))

    def watch(self, query: str = "") -> None:
        self.sock.sendall(f"GET /stream{query} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        read_until(self.sock, b"data: hello")

    def rest(self) -> bytes:
        try:
            return read_all(self.sock)
        except ConnectionResetError:
            return b""


def one_of_each(server: Workers, stack: ExitStack, query: str = "") -> dict[int, Viewer]:
    """A viewer with an open stream on each worker, by process."""
    viewers: dict[int, Viewer] = {}
    while len(viewers) < server.count or viewers.keys() != set(pids(server)):
        viewer = Viewer(server, stack)
        if viewer.pid in viewers:
            viewer.sock.close()
        else:
            viewer.watch(query)
            viewers[viewer.pid] = viewer
    return viewers


def until_another_answers(server: Running, known: Container[int]) -> None:
    pid = 0
    while not pid or pid in known:
        with ExitStack() as stack:
            pid = Viewer(server, stack).pid


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


# Starting


def test_workers_speak_tls_and_http2(certificate: Certificate) -> None:
    with Workers(2, *certificate.flags, "--http2") as server:
        seen: set[str] = set()
        while seen != {str(pid) for pid in pids(server)}:
            with httpx2.Client(http2=True, verify=certificate.trust("h2")) as client:
                answer = client.get(server.url + "/pid")
            assert answer.http_version == "HTTP/2"
            seen.add(answer.text)


@pytest.mark.parametrize(
    ("args", "code", "line"),
    [
        (["--workers", "2"], 2, "workers: more than 1 need a PostgreSQL database: set database"),
        (["--database", NOWHERE, "--ssl-certfile", "c", "--ssl-keyfile", "k"], 2, "ssl_certfile"),
        (["--database", NOWHERE, "--files-roots", "x"], 2, "database (postgresql://127.0.0.1:1"),
    ],
)
def test_what_prevents_a_start_is_reported_once(
    args: list[str], code: int, line: str, tmp_path: Path
) -> None:
    place = ("--port", "0", "--data", str(tmp_path / "data"))
    failed = serve(*place, *args, LIVEJOBS_WORKERS="4")
    assert (failed.returncode, failed.stdout) == (code, "")
    assert failed.stderr.startswith(f"livejobs: {line}")
    assert failed.stderr.count("\n") == 1


def test_the_demo_is_one_process() -> None:
    result = CliRunner().invoke(demo, ["--workers", "2", "--database", NOWHERE])
    assert str(result.exception).startswith("workers (livejobs demo): takes 1 here")


# A worker that dies


@pytest.fixture(scope="module")
def crew() -> Iterator[Workers]:
    with Workers(2) as running:
        yield running


def test_a_killed_worker_is_replaced_and_the_others_keep_their_streams(crew: Workers) -> None:
    with ExitStack() as stack:
        viewers = one_of_each(crew, stack)
        killed, kept = viewers.values()
        os.kill(killed.pid, signal.SIGKILL)
        assert killed.rest() == b""
        until_another_answers(crew, viewers)
        assert len(pids(crew)) == 2
        os.kill(kept.pid, signal.SIGTERM)
        assert kept.rest().endswith(BYE)
        assert f"(process {killed.pid}) ended with signal 9" in crew.stderr


def test_a_worker_that_is_stopped_says_bye_and_is_replaced(crew: Workers) -> None:
    with ExitStack() as stack:
        viewers = one_of_each(crew, stack)
        stopped, _ = viewers.values()
        os.kill(stopped.pid, signal.SIGTERM)
        assert stopped.rest().endswith(BYE)
        until_another_answers(crew, viewers)
        assert f"(process {stopped.pid}) ended with exit code 0" in crew.stderr
        assert "Traceback" not in crew.stderr


def test_the_pause_before_a_new_worker_grows_with_short_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    post = Post(1)
    pauses = []
    for _ in range(9):
        post.began = now
        post.rest()
        pauses.append(post.due - now)
        now = post.due
    assert pauses == [0.5, 1, 2, 4, 8, 16, *[LONGEST_PAUSE] * 3]
    post.began, now = now, now + LONG_LIFE + 1
    post.rest()
    assert post.due == now


# Stopping


def to_all(server: Running, number: signal.Signals) -> None:
    """As a terminal and systemd do."""
    for pid in (*pids(server), server.process.pid):
        os.kill(pid, number)


@pytest.mark.parametrize(
    ("send", "number"), [(Running.signal, signal.SIGTERM), (to_all, signal.SIGINT)]
)
def test_streams_of_all_workers_get_bye_and_the_exit_code_is_0(
    send: Callable[[Running, signal.Signals], None], number: signal.Signals
) -> None:
    with Workers(3) as server, ExitStack() as stack:
        viewers = one_of_each(server, stack)
        send(server, number)
        assert [viewer.rest().endswith(BYE) for viewer in viewers.values()] == [True] * 3
        assert server.wait() == 0
        assert server.rest_of_stdout() == ""  # the ready line came once
        assert "Traceback" not in server.stderr


def test_after_a_second_signal_no_worker_waits_for_clients() -> None:
    with Workers(2) as server, ExitStack() as stack:
        one_of_each(server, stack, "?deaf")
        server.signal(signal.SIGTERM)
        while listening(server):
            pass
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert "Traceback" not in server.stderr


def test_workers_end_with_their_supervisor() -> None:
    with Workers(2) as server, ExitStack() as stack:
        viewers = one_of_each(server, stack)
        server.process.kill()
        assert [viewer.rest().endswith(BYE) for viewer in viewers.values()] == [True, True]
        assert server.rest_of_stdout() == ""  # it ends when no process holds it any more
        while not all(map(gone, viewers)):
            pass
        hold_port(server.port).close()


def test_a_worker_that_hangs_is_killed_at_a_stop() -> None:
    with Workers(2, program=("-c", IMPATIENT)) as server, ExitStack() as stack:
        hung, *_ = one_of_each(server, stack)
        os.kill(hung, signal.SIGSTOP)
        assert server.stop() == 0
        assert gone(hung)
        assert "did not stop in time" in server.stderr
