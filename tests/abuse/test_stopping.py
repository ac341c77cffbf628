"""SIGTERM with many viewers: all get `bye`, and the server stops soon."""

from __future__ import annotations

import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx2

from tests.abuse.crowd import (
    ask,
    close_code,
    dial,
    frame,
    read_all,
    read_frame,
    read_until,
    viewer,
    websocket,
)
from tests.support.server import Server


def subscriber(port: int, *, narrow: bool = False) -> socket.socket:
    sock = websocket(port, narrow=narrow)
    sock.sendall(frame({"op": "subscribe", "id": 1, "job": "j", "logs": True}))
    assert b'"ack"' in read_frame(sock)[1]
    return sock


def stop(server: Server) -> float:
    began = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    return time.monotonic() - began


def test_each_of_1200_viewers_gets_bye_and_the_exit_code_is_0(server: Server) -> None:
    httpx2.put(server.url + "/v1/jobs/j").raise_for_status()
    report = {"type": "log", "message": "hello"}
    httpx2.post(server.url + "/v1/jobs/j/reports", json=report).raise_for_status()
    with ExitStack() as stack:
        streams = [stack.enter_context(viewer(server.port, "j")) for _ in range(1000)]
        sockets = [stack.enter_context(subscriber(server.port)) for _ in range(200)]
        log = stack.enter_context(dial(server.port))
        ask(log, "/v1/jobs/j/logs?follow=1", "accept: text/plain")
        read_until(log, b"hello\n")
        for sock in sockets:
            assert b'"snapshot"' in read_frame(sock)[1]
        print(f"stopped in {stop(server):.2f} s")
        bodies = [read_all(stream) for stream in streams]
        assert all(b"event: bye\ndata: {" in body[-100:] for body in bodies)
        assert all(body.endswith(b"\r\n0\r\n\r\n") for body in bodies)
        for sock in sockets:
            while (last := read_frame(sock)[1]) == b'{"op":"ping"}':
                pass
            assert last.startswith(b'{"op":"bye",')
            assert close_code(sock) == 1001
        assert read_all(log).endswith(b"0\r\n\r\n")
    assert "Traceback" not in server.stderr


def test_viewers_that_do_not_read_do_not_delay_the_stop(server: Server) -> None:
    httpx2.put(server.url + "/v1/jobs/j").raise_for_status()
    with ExitStack() as stack, ThreadPoolExecutor() as waiting:
        readers = [stack.enter_context(viewer(server.port, "j")) for _ in range(20)]
        for _ in range(50):
            stack.enter_context(viewer(server.port, "j", "logs=1", narrow=True))
            stack.enter_context(subscriber(server.port, narrow=True))
        bodies = [waiting.submit(read_all, reader) for reader in readers]
        report = {"type": "log", "message": 16_000 * "x"}
        for _ in range(100):
            httpx2.post(server.url + "/v1/jobs/j/reports", json=report).raise_for_status()
        seconds = stop(server)
        print(f"stopped in {seconds:.2f} s")
        assert seconds < 3
        assert all(b"event: bye\n" in body.result()[-100:] for body in bodies)
    assert "Traceback" not in server.stderr
