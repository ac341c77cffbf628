"""The clients of these tests: abusive ones, written by hand, and their well-behaved neighbours."""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx2

from tests.support.server import LONG_ENOUGH, Running

LIMITS: Final = {
    "head_seconds": 2,
    "body_silence_seconds": 2,
    "stuck_seconds": 2,
    "pong_seconds": 2,
}
TEXT: Final = 1
CLOSE: Final = 8
PING: Final = 9


class Target(Running):
    """tests.abuse.target in a process of its own, and its numbers."""

    def __init__(self, data: Path, *args: str, **limits: int) -> None:
        given = json.dumps(LIMITS | limits)
        command = (sys.executable, "-m", "tests.abuse.target", "--limits", given)
        super().__init__(*command, "--data", str(data), *args)
        self.http = httpx2.Client(base_url=self.url, timeout=LONG_ENOUGH)

    def create(self, job: str) -> None:
        self.http.put(f"/v1/jobs/{job}").raise_for_status()

    def report(self, job: str, *reports: Mapping[str, object]) -> None:
        self.http.post(f"/v1/jobs/{job}/reports", json=reports).raise_for_status()

    def statistics(self) -> dict[str, int]:
        numbers: dict[str, int] = self.http.get("/statistics").json()
        return numbers | {"descriptors": len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))}

    def until(self, **expected: int) -> float:
        """Wait until no number is above its expected value, and return the seconds that it took."""
        began = time.monotonic()
        while (waited := time.monotonic() - began) < LONG_ENOUGH:
            now = self.statistics()
            if all(now[name] <= most for name, most in expected.items()):
                return waited
            time.sleep(0.1)
        raise AssertionError(f"{now} is not yet {expected}")

    @property
    def memory(self) -> float:
        """MiB in use now."""
        return self._status("VmRSS")

    @property
    def peak(self) -> float:
        """The most MiB in use since `forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def _status(self, name: str) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
        raise LookupError(name)

    def __exit__(self, *exc: object) -> None:
        self.http.close()
        super().__exit__(*exc)


# Connections, written by hand


def dial(port: int, *, narrow: bool = False) -> socket.socket:
    """Narrow: with so small a buffer that the server soon notices a client that does not read."""
    sock = socket.socket()
    if narrow:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(LONG_ENOUGH)
    sock.connect(("127.0.0.1", port))
    return sock


def ask(sock: socket.socket, path: str, *headers: str) -> None:
    lines = [f"GET {path} HTTP/1.1", "host: 127.0.0.1", *headers]
    sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())


def read_until(sock: socket.socket, mark: bytes) -> bytes:
    data = b""
    while mark not in data:
        piece = sock.recv(65536)
        assert piece, data
        data += piece
    return data


def read_all(sock: socket.socket) -> bytes:
    """Read until the other side closes or resets the connection."""
    data = b""
    try:
        while piece := sock.recv(65536):
            data += piece
    except ConnectionError:
        pass
    return data


def viewer(port: int, job: str, query: str = "", *, narrow: bool = False) -> socket.socket:
    """An event stream whose first byte has been read."""
    sock = dial(port, narrow=narrow)
    ask(sock, f"/v1/jobs/{job}/events?{query}")
    sock.recv(1)
    return sock


def websocket(port: int, *, narrow: bool = False, path: str = "/v1/ws") -> socket.socket:
    sock = dial(port, narrow=narrow)
    ask(
        sock,
        path,
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += sock.recv(1)
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    return sock


def frame(payload: bytes | dict[str, Any], opcode: int = TEXT, *, last: bool = True) -> bytes:
    if isinstance(payload, dict):
        payload = json.dumps(payload).encode()
    head = bytes([(0x80 if last else 0) | opcode])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    elif len(payload) < 65536:
        head += bytes([0x80 | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", len(payload))
    return head + bytes(4) + payload  # a mask of zeros changes nothing


def read_frame(sock: socket.socket) -> tuple[int, bytes]:
    """Opcode and payload of the next frame."""
    opcode, size = read_exactly(sock, 2)
    if size == 126:
        (size,) = struct.unpack("!H", read_exactly(sock, 2))
    elif size == 127:
        (size,) = struct.unpack("!Q", read_exactly(sock, 8))
    return opcode & 0x0F, read_exactly(sock, size)


def read_exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def close_code(sock: socket.socket) -> int:
    """The code with which the server closes; earlier messages are skipped."""
    while True:
        opcode, payload = read_frame(sock)
        if opcode == CLOSE:
            return int(struct.unpack("!H", payload[:2])[0])


class Neighbours:
    """Well-behaved viewers, and how long a report takes to reach the last of them."""

    JOB: Final = "neighbours"

    def __init__(self, target: Target, viewers: int = 10) -> None:
        target.create(self.JOB)
        self._n = 0
        self._worker = dial(target.port)
        self._answers = self._worker.makefile("rb")
        socks = [viewer(target.port, self.JOB, "rate=60") for _ in range(viewers)]
        self._streams = [(sock, sock.makefile("rb")) for sock in socks]

    def latencies(self, samples: int = 40) -> Sequence[float]:
        """Seconds, sorted."""
        return sorted(self._latency() for _ in range(samples))

    def _latency(self) -> float:
        time.sleep(0.02)  # longer than the pause of a rate of 60/s, which is not measured here
        self._n += 1
        body = b'{"type": "progress", "current": %d}' % self._n
        began = time.perf_counter()
        self._worker.sendall(
            f"POST /v1/jobs/{self.JOB}/reports HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            f"content-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        for _, stream in self._streams:
            self._hear(stream, b'"current":%d,' % self._n)
        taken = time.perf_counter() - began
        self._answer()
        return taken

    def _answer(self) -> None:
        size = 0
        while (line := self._answers.readline()) != b"\r\n":
            name, _, value = line.lower().partition(b":")
            size = int(value) if name == b"content-length" else size
        self._answers.read(size)

    @staticmethod
    def _hear(stream: Any, mark: bytes) -> None:
        while mark not in stream.readline():
            pass

    def close(self) -> None:
        for sock, stream in [*self._streams, (self._worker, self._answers)]:
            stream.close()
            sock.close()


def median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
