"""Shared by the benchmarks: servers as subprocesses with their costs, viewers (sink.c), a
publisher, and tables that compare figures with their targets."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
BUILD = HERE / "build"
BIN = Path(sys.executable).parent


def installed(package: str) -> bool:
    found = subprocess.run(["dpkg", "-s", package], capture_output=True, check=False)
    return found.returncode == 0


def need(*packages: str) -> None:
    """Install the Debian packages of the peers. Only root can."""
    missing = [p for p in packages if not installed(p)]
    if missing and os.geteuid():
        sys.exit(f"please install: apt-get install {' '.join(missing)}")
    if missing:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-y", "-qq", *missing]
        subprocess.run(install, check=True, env=environment, stdout=subprocess.DEVNULL)


# Where cargo and go install programs, which PATH often lacks.
PLACES = (os.environ.get("PATH", ""), Path.home() / ".cargo/bin", Path.home() / "go/bin")


def program(name: str) -> str | None:
    return shutil.which(name, path=":".join(map(str, PLACES)))


def descriptors() -> int:
    """Let the processes that start from here on open as many files as this user may: so many."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 20


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Memory(NamedTuple):
    rss: int
    pss: int


class Server(AbstractContextManager["Server"]):
    """A server under measure. `pid` is the process that does the work: for nginx its worker."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        port: int = 0,
        *,
        worker: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        BUILD.mkdir(exist_ok=True)
        descriptors()
        self.started = time.monotonic()
        paths = f"{HERE}:{os.environ.get('PYTHONPATH', '')}"
        environment = {**os.environ, "PYTHONPATH": paths, **(env or {})}
        self.log = (BUILD / "server.log").open("ab")
        self.process = subprocess.Popen(
            [str(a) for a in argv],
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=environment,
            text=True,
        )
        self.port = port or self._ready_port()
        self._wait_until_it_answers()
        self.pid = self._worker() if worker else self.process.pid

    def _ready_port(self) -> int:
        assert self.process.stdout
        line = self.process.stdout.readline()
        self.ready_seconds = time.monotonic() - self.started
        if "ready on" not in line:
            sys.exit(f"the server did not start ({line!r}); see {BUILD / 'server.log'}")
        return int(line.rsplit(":", 1)[1])

    def _wait_until_it_answers(self) -> None:
        while self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.02)
        sys.exit(f"the server did not start; see {BUILD / 'server.log'}")

    def _worker(self) -> int:
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        while not children.read_text().split():
            time.sleep(0.01)
        return int(children.read_text().split()[0])

    @property
    def cpu(self) -> float:
        """Seconds of CPU of the whole process, user and system, of all threads, ended ones too.
        This is its own clock, like /proc/PID/stat, but in nanoseconds instead of ticks."""
        return time.clock_gettime_ns((~self.pid << 3) | 2) / 1e9

    @property
    def memory(self) -> Memory:
        fields = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()[1:]
        kilobytes = {name: int(rest[0]) for name, *rest in (f.split() for f in fields)}
        return Memory(kilobytes["Rss:"] * 1024, kilobytes["Pss:"] * 1024)

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def build(name: str) -> Path:
    """Build one of our C programs, by the name of its source."""
    source, program = HERE / f"{name}.c", BUILD / name
    BUILD.mkdir(exist_ok=True)
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        if not shutil.which("cc"):
            need("gcc", "libc6-dev")
        subprocess.run(["cc", "-O2", "-o", program, source], check=True)
    return program


class Sink(AbstractContextManager["Sink"]):
    """N viewers in their own process. sink.c lists its commands, and more options."""

    def __init__(
        self,
        port: int,
        path: str,
        viewers: int,
        *,
        kind: str = "sse",
        message: str = "",
        headers: Iterable[str] = (),
        first_message: bool = False,
        more: Iterable[object] = (),
    ) -> None:
        descriptors()
        options = [*map(str, more), *(["-f"] if first_message else [])]
        options += [word for header in headers for word in ("-H", header)]
        options += ["-m", message] if message else []
        where = [kind, "127.0.0.1", str(port), path, str(viewers)]
        self.process = subprocess.Popen(
            [build("sink"), *options, *where],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, *words: object) -> None:
        assert self.process.stdin
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the sink has died")
        return dict(json.loads(line))

    def ask(self, *words: object) -> dict[str, Any]:
        self.tell(*words)
        return self.answer()

    def open(self, timeout: float = 120) -> dict[str, Any]:
        answer = self.ask("open", timeout)
        stats = self.ask("stats")
        if not answer["done"] or stats["refused"]:
            raise SystemExit(f"viewers could not connect: {answer} {stats}")
        return answer

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(30)


class Connection(AbstractContextManager["Connection"]):
    """One keep-alive HTTP connection, with only what a publisher needs."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(
        self, method: str, path: str, body: bytes = b"", type: str = "application/json"
    ) -> None:
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {type}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.socket.sendall(head.encode() + body)

    def answer(self) -> tuple[int, bytes, dict[str, str]]:
        status = int(self.file.readline().split()[1])
        headers = dict(self._headers())
        return status, self.file.read(int(headers.get("content-length", 0))), headers

    def _headers(self) -> Iterable[tuple[str, str]]:
        while (line := self.file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            yield name.lower(), value.strip()

    def get(self, path: str) -> bytes:
        self.send("GET", path)
        return self.check()

    def check(self) -> bytes:
        status, answer, _ = self.answer()
        if status >= 300:
            raise SystemExit(f"{status} {answer[:200]!r}")
        return answer

    def post(self, path: str, body: bytes) -> bytes:
        self.send("POST", path, body)
        return self.check()

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()


class Publisher:
    """Publishes marked messages on one connection, `rate` a second. At most `window` wait for their
    answer (HTTP pipelining), so a server that can't keep up makes the run longer."""

    def __init__(
        self,
        port: int,
        path: str,
        body: Callable[[int, str], bytes],
        type: str = "application/json",
    ) -> None:
        self.port, self.path, self.body, self.type = port, path, body, type
        self.said = 0

    def run(self, kind: str, rate: float, seconds: float, window: int = 1) -> None:
        with Connection(self.port) as connection:
            start, waiting = time.monotonic(), 0
            for i in range(round(rate * seconds)):
                time.sleep(max(0.0, start + i / rate - time.monotonic()))
                connection.send("POST", self.path, self._next(kind), self.type)
                waiting += 1
                if waiting == window:
                    connection.check()
                    waiting -= 1
            for _ in range(waiting):
                connection.check()

    def _next(self, kind: str) -> bytes:
        self.said += 1
        return self.body(self.said, f"~{kind}{self.said}.{time.monotonic_ns()}~")

    def say(self, kind: str) -> None:
        self.run(kind, 1, 1)


def median(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The median of each figure over several rounds; of lost and repeated ones, the worst."""
    first = rows[0]
    pick = {k: max if k in ("lost", "repeated") else statistics.median for k in first}
    return {
        k: pick[k]([r[k] for r in rows]) if isinstance(v, int | float) else v
        for k, v in first.items()
    }


def show(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)


def table(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """A line for each row, a column for each key of the first row."""
    names = list(rows[0])
    cells = [names, *([show(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    print(f"\n{title}")
    for line in cells:
        left, *rest = zip(line, widths, strict=True)
        print("  " + left[0].ljust(left[1]), *(c.rjust(w) for c, w in rest), sep="  ")
    sys.stdout.flush()


def judge(what: str, value: float, bound: float, *, least: bool = False) -> dict[str, Any]:
    """A target, and whether the value meets it. `least`: more is better."""
    hit = value >= bound if least else value <= bound
    by = "" if hit else f"misses by {abs(value - bound) / bound:.0%}"
    sign = ">=" if least else "<="
    return {
        "target": what,
        "bound": f"{sign} {bound:g}",
        "measured": round(value, 3),
        "": "hit" if hit else by,
    }


def save(path: Path | None, result: object) -> None:
    if path:
        path.write_text(json.dumps(result, indent=1) + "\n")


def machine() -> str:
    model = next(
        (
            x.split(": ")[1]
            for x in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in x
        ),
        "?",
    )
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} x {model}, Linux {os.uname().release}, load {load:.2f} at start"
