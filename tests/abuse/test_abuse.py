"""An abusive client is disconnected, costs limited memory, and does not harm other clients.

All time limits of the server are 2 s here, so that the tests are fast. The latency of the
neighbours is compared with their latency before, with a margin for a busy machine: the tests
look for stalls of a second, not for milliseconds.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

import pytest

from tests.abuse.crowd import (
    Neighbours,
    Target,
    close_code,
    dial,
    frame,
    median,
    read_all,
    read_frame,
    viewer,
    websocket,
)
from tests.abuse.flood import FLOODS

LINE: Final[dict[str, object]] = {"type": "log", "message": 16_000 * "x"}
KNOWN: Final = ("connections", "subscriptions", "connections_slow", "tasks", "descriptors")


@pytest.fixture(autouse=True)
def peace(target: Target, neighbours: Neighbours) -> Iterator[None]:
    """When the abusive clients have gone, all numbers return to what they were."""
    before = target.statistics()
    before["descriptors"] += 4  # readers of the database
    yield
    waited = target.until(**{name: before[name] for name in KNOWN})
    print(f"all was freed {waited:.1f} s after the test")


@contextmanager
def unharmed(target: Target, neighbours: Neighbours, *, mib: float) -> Iterator[None]:
    """The latency of the neighbours stays as it was, and no more memory than this was needed."""
    before = neighbours.latencies()
    memory = target.memory
    target.forget_peak()
    yield
    during = neighbours.latencies()
    grown = target.peak - memory
    print(
        f"median {1000 * median(before):.1f} -> {1000 * median(during):.1f} ms, "
        f"longest {1000 * before[-1]:.0f} -> {1000 * during[-1]:.0f} ms, {grown:+.1f} MiB"
    )
    assert median(during) < 10 * median(before) + 0.1
    assert grown < mib


# Viewers that do not read


def test_viewers_that_never_read_cost_little_and_are_disconnected(
    target: Target, neighbours: Neighbours
) -> None:
    target.create("loud")
    with ExitStack() as stack, unharmed(target, neighbours, mib=60):
        for at in range(100):
            stack.enter_context(viewer(target.port, "loud", "logs=1", narrow=True))
            sock = stack.enter_context(websocket(target.port, narrow=True))
            sock.sendall(frame({"op": "subscribe", "id": at, "job": "loud", "logs": True}))
        for _ in range(300):
            target.report("loud", LINE)
        print(f"freed after {target.until(connections_slow=0):.1f} s")
        target.until(connections=10)


def test_a_viewer_that_reads_a_byte_now_and_then_is_disconnected(
    target: Target, neighbours: Neighbours
) -> None:
    target.create("slow")
    with ExitStack() as stack, unharmed(target, neighbours, mib=10):
        sock = stack.enter_context(viewer(target.port, "slow", "logs=1", narrow=True))
        for _ in range(100):
            target.report("slow", LINE)
        enough = threading.Event()
        reader = threading.Thread(target=read_byte_by_byte, args=(sock, enough))
        reader.start()
        target.until(connections=10)
        enough.set()
        reader.join()


def read_byte_by_byte(sock: socket.socket, enough: threading.Event) -> None:
    with suppress(ConnectionError):
        while not enough.wait(0.1) and sock.recv(1):
            pass


def test_history_for_viewers_that_do_not_read_is_not_loaded_at_once(
    target: Target, neighbours: Neighbours
) -> None:
    target.create("long")
    for _ in range(200):
        target.report("long", *(10 * [LINE]))
    start = target.http.get("/v1/jobs/long").json()["cursor"].split(".")[0] + ".1"
    with ExitStack() as stack, unharmed(target, neighbours, mib=60):
        for _ in range(20):
            query = f"logs=1&since={start}"
            stack.enter_context(viewer(target.port, "long", query, narrow=True))


# Too much of one thing


def test_of_ten_thousand_subscriptions_on_a_socket_a_hundred_are_accepted(
    target: Target, neighbours: Neighbours
) -> None:
    asked = [{"op": "subscribe", "id": n, "job": neighbours.JOB} for n in range(10_000)]
    with unharmed(target, neighbours, mib=20), websocket(target.port) as sock:
        sender = threading.Thread(target=pour, args=(sock, b"".join(map(frame, asked))))
        sender.start()
        counts = {"ack": 0, "error": 0}
        while (answer := read_frame(sock))[0] == 1:
            message = json.loads(answer[1])
            counts[message["op"]] = counts.get(message["op"], 0) + 1
            if message["op"] == "error":
                assert message["code"] == "too_many_subscriptions"
        assert answer[1][:2] == (4429).to_bytes(2, "big")
        assert counts["ack"] == 100
        assert counts["error"] <= 1000
        sock.close()
        sender.join()


def pour(sock: socket.socket, data: bytes) -> None:
    with suppress(OSError):  # the server closed the connection
        sock.sendall(data)


def test_subscribing_and_unsubscribing_again_and_again_leaves_nothing(
    target: Target, neighbours: Neighbours
) -> None:
    with unharmed(target, neighbours, mib=10), websocket(target.port) as sock:
        for n in range(5000):
            sock.sendall(frame({"op": "subscribe", "id": n, "job": neighbours.JOB}))
            sock.sendall(frame({"op": "unsubscribe", "id": n}))
            acks = 0
            while acks < 2:
                acks += b'"ack"' in read_frame(sock)[1]
        assert target.statistics()["subscriptions"] == 10


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_does_not_delay_other_clients(
    name: str, target: Target, neighbours: Neighbours
) -> None:
    with ExitStack() as stack, unharmed(target, neighbours, mib=30):
        stack.enter_context(flooding(name, target))
        neighbours.latencies(20)


@contextmanager
def flooding(name: str, target: Target) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.abuse.flood", name, str(target.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as flood:
        assert flood.stdout is not None
        flood.stdout.readline()
        yield
        flood.kill()


# Clients that send nothing, or little


def test_heads_that_never_end_are_refused(target: Target, neighbours: Neighbours) -> None:
    with ExitStack() as stack, unharmed(target, neighbours, mib=20):
        slow = [stack.enter_context(dial(target.port)) for _ in range(500)]
        for sock in slow:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n")
        answers = {read_all(sock).split(b"\r\n")[0] for sock in slow}
        assert answers == {b"HTTP/1.1 408 Request Timeout"}


def test_a_head_that_comes_byte_by_byte_is_cut(target: Target, neighbours: Neighbours) -> None:
    with dial(target.port) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nx: ")
        with pytest.raises(ConnectionError):
            trickle(sock)


def trickle(sock: socket.socket) -> None:
    for _ in range(1000):
        sock.sendall(b"x")
        time.sleep(0.05)


def test_bodies_that_fall_silent_are_cut(target: Target, neighbours: Neighbours) -> None:
    head = b"POST /v1/jobs HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n{"
    with ExitStack() as stack, unharmed(target, neighbours, mib=20):
        slow = [stack.enter_context(dial(target.port)) for _ in range(200)]
        for sock in slow:
            sock.sendall(head)
        answers = {read_all(sock).split(b"\r\n")[0] for sock in slow}
        assert answers == {b"HTTP/1.1 408 Request Timeout"}


def test_a_websocket_that_answers_no_ping_is_closed(target: Target, neighbours: Neighbours) -> None:
    with websocket(target.port) as sock:
        assert close_code(sock) == 4408


# Many short connections


def test_five_thousand_streams_come_and_go_and_leave_nothing(
    target: Target, neighbours: Neighbours
) -> None:
    come_and_go(target, neighbours.JOB, 2500)
    memory = target.memory
    with unharmed(target, neighbours, mib=10):
        come_and_go(target, neighbours.JOB, 2500)
    assert target.memory - memory < 5


def come_and_go(target: Target, job: str, times: int) -> None:
    at_once = struct.pack("ii", 1, 0)
    for at in range(times):
        with viewer(target.port, job) as sock:
            if at % 2:  # a reset, not an end
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
