"""One connection that sends as fast as it can: python -m tests.abuse.flood NAME PORT"""

from __future__ import annotations

import select
import sys
import time
from contextlib import suppress
from typing import Final, NamedTuple

from tests.abuse.crowd import PING, TEXT, dial, frame, websocket

LONGEST: Final = 30.0  # seconds, if the process is not killed before


class Flood(NamedTuple):
    data: bytes  # sent again and again
    first: bytes = b""
    http: bool = False
    reads: bool = False  # whether it reads the answers


def chunked(path: str, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", "transfer-encoding: chunked", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


CHUNKS: Final = b"1\r\n\n\r\n" * 10_000
CONTINUATION: Final = 0
FLOODS: Final = {
    "64 KiB messages": Flood(frame(b'{"op":"ping"' + 65_000 * b" " + b"}"), reads=True),
    "messages whose answers nobody reads": Flood(frame(b'{"op":"ping"}') * 5000),
    "messages that make no sense": Flood(frame(b'{"op":"pung"}') * 100, reads=True),
    "pings whose pongs nobody reads": Flood(frame(100 * b"x", PING) * 2000),
    "empty fragments": Flood(
        frame(b"", CONTINUATION, last=False) * 10_000, first=frame(b"{", TEXT, last=False)
    ),
    "requests before the answers": Flood(
        b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n" * 5000, http=True
    ),
    "a refused body in small chunks": Flood(CHUNKS, first=chunked("/healthz"), http=True),
    "empty lines": Flood(
        CHUNKS,
        first=chunked("/v1/jobs/neighbours/reports", "content-type: application/x-ndjson"),
        http=True,
    ),
    "a body where none is read": Flood(
        CHUNKS,
        first=chunked("/v1/jobs/neighbours/events").replace(b"POST", b"GET"),
        http=True,
    ),
    "headers": Flood(b"a: b\r\n" * 10_000, first=b"GET / HTTP/1.1\r\n", http=True),
}


def main(name: str, port: str) -> None:
    flood = FLOODS[name]
    sock = dial(int(port)) if flood.http else websocket(int(port))
    sock.sendall(flood.first)
    sock.setblocking(False)
    end = time.monotonic() + LONGEST
    waiting = b""
    print("flooding", flush=True)
    while time.monotonic() < end:
        readable, _, _ = select.select([sock] if flood.reads else [], [sock], [], 1)
        if readable and not sock.recv(1 << 20):
            return
        waiting = waiting or flood.data
        with suppress(BlockingIOError):
            waiting = waiting[sock.send(waiting) :]


if __name__ == "__main__":
    with suppress(ConnectionError):  # the server closed it
        main(*sys.argv[1:])
