"""What a hostile client makes the server do, beside what it sends.

Each attack sends what it sends over real sockets. The CPU time and the memory of the server's
process are read from /proc before and after. A request counts as 1 KB at least: that is what its
packets take on the way, and what the server's own work on any request is measured by.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from websockets.sync.client import ClientConnection, connect

from tests.crash.checker import Broken
from tests.support.api import NDJSON, Api, Socket, hear
from tests.support.server import Server

KIB: Final = 1024
CPU_MS: Final = 1.0  # for each KB that was exchanged
KEPT_KB: Final = 20.0  # for each KB that was sent
SLOW_KB: Final = 2048.0  # kept for each client that does not read its answer

Say = Callable[[str], object]


class Usage(NamedTuple):
    cpu: float  # ms
    memory: float  # KB


class Meter:
    """The server's process, as the kernel accounts for it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def read(self) -> Usage:
        stat = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(stat[11]) + int(stat[12])
        status = Path(f"/proc/{self._pid}/status").read_text()
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return Usage(1000 * ticks / os.sysconf("SC_CLK_TCK"), float(resident.split()[1]))


class Traffic:
    """What went over the wire, in KB."""

    def __init__(self) -> None:
        self.sent = 0.0
        self.got = 0.0
        self.clients = 0  # that do not read

    def send(self, size: int) -> None:
        self.sent += max(1.0, size / KIB)

    def get(self, size: int) -> None:
        self.got += size / KIB


class Row(NamedTuple):
    name: str
    traffic: Traffic
    cpu: float
    kept: float

    @property
    def cpu_per_kb(self) -> float:
        return self.cpu / (self.traffic.sent + self.traffic.got)

    @property
    def kept_per_kb(self) -> float:
        return max(0.0, self.kept) / self.traffic.sent

    @property
    def kept_per_client(self) -> float | None:
        return max(0.0, self.kept) / self.traffic.clients if self.traffic.clients else None

    def good(self, slack: float = 1) -> bool:
        if self.cpu_per_kb > slack * CPU_MS:
            return False
        if self.kept_per_client is not None:  # its bound is one of each client
            return self.kept_per_client <= slack * SLOW_KB
        return self.kept_per_kb <= slack * KEPT_KB

    def __str__(self) -> str:
        slow = "" if self.kept_per_client is None else f"  {self.kept_per_client:.0f} KB a client"
        return (
            f"{'ok ' if self.good() else 'BAD'} {self.name:<42} {self.traffic.sent:>8.0f}"
            f" {self.traffic.got:>8.0f} {self.cpu:>8.0f} {self.cpu_per_kb:>8.3f}"
            f" {self.kept:>9.0f} {self.kept_per_kb:>8.2f}{slow}"
        )


HEADING: Final = (
    f"    {'attack':<42} {'KB sent':>8} {'KB got':>8} {'CPU ms':>8} {'ms/KB':>8}"
    f" {'kept KB':>9} {'kept/KB':>8}"
)


class Target:
    """The server under attack, and what attacks do to it."""

    def __init__(self, server: Server, api: Api) -> None:
        self.server = server
        self.api = api
        self.open = ExitStack()  # what is held until the memory has been read

    def post(self, traffic: Traffic, path: str, body: bytes, **headers: str) -> int:
        said = {"content-type": "application/json"} | headers
        answer = self.api.post(path, content=body, headers=said)
        traffic.send(len(body))
        traffic.get(len(answer.content))
        return answer.status_code

    def get(self, traffic: Traffic, path: str, **headers: str) -> Any:
        answer = self.api.get(path, headers=headers)
        assert answer.status_code == 200, answer.text
        traffic.send(0)
        traffic.get(len(answer.content))
        return answer

    def socket(self) -> ClientConnection:
        url = self.server.url.replace("http", "ws")
        return self.open.enter_context(
            connect(f"{url}/v1/ws", max_size=None, close_timeout=0.01, ping_interval=None)
        )

    def tell(self, traffic: Traffic, ws: ClientConnection, **said: Any) -> None:
        text = json.dumps(said)
        traffic.send(len(text))
        ws.send(text)

    def unread(self, traffic: Traffic, path: str) -> None:
        """Ask, and take nothing of the answer."""
        bare = self.open.enter_context(Socket(self.server.url, receive_buffer=4 * KIB))
        request = f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"
        bare.send(request)
        _, headers = bare.head()
        traffic.send(len(request))
        traffic.get(int(headers["content-length"]))  # it was made, and is there to be taken
        traffic.clients += 1


# What comes before its `yield` is made ready for it, and is not measured.
Attack = Callable[[Target, Traffic], Iterator[None]]


def attack(target: Target, name: str, do: Attack) -> Row:
    meter, traffic = Meter(target.server.process.pid), Traffic()
    steps = do(target, traffic)
    try:
        next(steps)
        before = meter.read()
        next(steps, None)
        target.api.get("/healthz")  # what was sent before it has been dealt with
        after = meter.read()
    finally:
        target.open.close()
        target.open = ExitStack()
    return Row(name, traffic, after.cpu - before.cpu, after.memory - before.memory)


# The attacks


def broken_body(target: Target, traffic: Traffic) -> Iterator[None]:
    id = target.api.create()
    body = b'\xef\xbb\xbf{"type":"meta","set":{"%s":[%s]}}'
    said = body % (b"k" * 400_000, b",".join([b"0"] * 200_000))
    yield
    assert target.post(traffic, f"/v1/jobs/{id}/reports", said) == 400


def one_byte_pieces(target: Target, traffic: Traffic) -> Iterator[None]:
    """The head of a body in one piece, and the rest byte by byte."""
    id = target.api.create()
    yield
    for path, kind in ((f"/v1/jobs/{id}/reports", "json"), (f"/v1/jobs/{id}/reports", "x-ndjson")):
        bare = target.open.enter_context(Socket(target.server.url))
        bare.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bare.post(path, f"content-type: application/{kind}")
        bare.chunk(b" " * 900_000)
        for _ in range(3000):
            bare.chunk(b" ")
            traffic.send(0)  # a packet
        traffic.sent += 900


def large_head(target: Target) -> str:
    return target.api.create(meta={f"k{at:05}": 0 for at in range(9000)})


def reports_on_a_large_head(report: dict[str, Any]) -> Attack:
    def do(target: Target, traffic: Traffic) -> Iterator[None]:
        id = large_head(target)
        yield
        for _ in range(5):
            body = json.dumps([report] * 1000).encode()
            assert target.post(traffic, f"/v1/jobs/{id}/reports", body) == 200

    return do


def lines_that_end_badly(target: Target, traffic: Traffic) -> Iterator[None]:
    line = b'{"type":"meta","set":{"a":1}}\n'
    yield
    for _ in range(3):
        id = large_head(target)
        traffic.sent += 100  # it must be sent before it can be abused
        body = line * 998 + b'{"type":"succeed"}\n' + line
        assert target.post(traffic, f"/v1/jobs/{id}/reports", body, **NDJSON) == 409


def steps_on_many_steps(target: Target, traffic: Traffic) -> Iterator[None]:
    id = target.api.create(steps=[{"name": f"s{n:04}", "weight": 0} for n in range(1500)])
    yield
    for _ in range(5):
        body = json.dumps([{"type": "step", "name": "s0100", "status": "running"}] * 1000)
        assert target.post(traffic, f"/v1/jobs/{id}/reports", body.encode()) == 200


def names_of_feeds(target: Target, traffic: Traffic) -> Iterator[None]:
    ws = target.socket()
    yield
    for n in range(5):
        target.tell(
            traffic, ws, op="subscribe", id=n, feed={"jobs": [f"{n}-{i}" for i in range(50_000)]}
        )
        assert hear(ws)["op"] == "error"
    for n in range(100):
        names = [f"{n}-{at}" + "x" * 150 for at in range(100)]
        target.tell(traffic, ws, op="subscribe", id=n, feed={"jobs": names})
        hear(ws)


def distinct_rates(target: Target, traffic: Traffic) -> Iterator[None]:
    id = target.api.create()
    yield
    for _ in range(10):
        ws = target.socket()
        for n in range(100):
            target.tell(traffic, ws, op="subscribe", id=n, job=id, rate=0.1 + n * 0.599)
            hear(ws)
    for n in range(20):
        body = b'{"type":"progress","current":%d}' % n
        assert target.post(traffic, f"/v1/jobs/{id}/reports", body) == 200
        traffic.got += 1000 * 0.3  # each subscriber is sent what changed


def logged(target: Target, lines: int) -> str:
    id = target.api.create()
    for _ in range(lines // 50):
        target.api.report(id, *[{"type": "log", "message": "x" * 16_000}] * 50)
    return id


def tails_of_long_lines(target: Target, traffic: Traffic) -> Iterator[None]:
    id = logged(target, 500)
    yield
    for _ in range(20):
        target.get(traffic, f"/v1/jobs/{id}/logs?tail=1000")
        target.get(traffic, f"/v1/jobs/{id}/logs?tail=1000", accept="text/plain")


def resulting(target: Target, mib: int) -> str:
    id = target.api.create()
    for _ in range(mib):
        target.api.report(id, {"type": "result", "value": "x" * 1000 * KIB})
    return id


def listed(target: Target) -> str:
    for _ in range(20):
        target.api.create(meta={"m": "x" * 120 * KIB})
    return "/v1/jobs?limit=1000"


def lists_of_large_jobs(target: Target, traffic: Traffic) -> Iterator[None]:
    path = listed(target)
    yield
    for _ in range(20):
        target.get(traffic, path)


def states_of_large_results(target: Target, traffic: Traffic) -> Iterator[None]:
    """Small changes of a job with large results, for those who watch it whole."""
    id = target.api.create()
    for _ in range(20):
        target.api.report(id, *[{"type": "result", "value": "x" * 100 * KIB}] * 9)
    ws = target.socket()
    for n in range(10):
        target.tell(traffic, ws, op="subscribe", id=n, job=id, view="state")
    yield
    for n in range(20):
        body = b'{"type":"progress","current":%d}' % n
        assert target.post(traffic, f"/v1/jobs/{id}/reports", body) == 200
        target.get(traffic, f"/v1/jobs/{id}")


def slow(make: Callable[[Target], str]) -> Attack:
    def do(target: Target, traffic: Traffic) -> Iterator[None]:
        path = make(target)
        yield
        for _ in range(50):
            target.unread(traffic, path)

    return do


def long_texts(target: Target, traffic: Traffic) -> Iterator[None]:
    for _ in range(500):
        target.api.create(title="a" * 1000)
    yield
    for _ in range(200):
        target.get(traffic, f"/v1/jobs?limit=10&q={'a' * 200}")


def long_polls(target: Target, traffic: Traffic) -> Iterator[None]:
    id = target.api.create()
    tag = target.api.get(f"/v1/jobs/{id}").headers["etag"]
    yield
    for _ in range(500):
        bare = target.open.enter_context(Socket(target.server.url))
        headers = f"host: localhost\r\nprefer: wait=60\r\nif-none-match: {tag}\r\n\r\n"
        bare.send(f"GET /v1/jobs/{id} HTTP/1.1\r\n{headers}")
        traffic.send(0)
        traffic.sent += 1  # its connection: three packets before, four after


def slow_uploads(target: Target, traffic: Traffic) -> Iterator[None]:
    id = target.api.create()
    yield
    for n in range(100):
        bare = target.open.enter_context(Socket(target.server.url))
        bare.send(
            f"PUT /v1/jobs/{id}/files/f{n} HTTP/1.1\r\nhost: localhost\r\n"
            f"content-length: {1 << 30}\r\n\r\n",
            b"x" * 4 * KIB,
        )
        traffic.send(5 * KIB)


def uploads_that_are_only_declared(target: Target, traffic: Traffic) -> Iterator[None]:
    id = target.api.create()
    headers = {"tus-resumable": "1.0.0", "upload-length": str(1 << 30)}
    yield
    statuses = [
        target.post(
            traffic,
            f"/v1/jobs/{id}/uploads",
            b"",
            **headers,
            **{"upload-metadata": "filename YQ=="},
        )
        for _ in range(300)
    ]
    assert statuses.count(201) == 100
    assert statuses[-1] == 429


def zips_of_many_files(target: Target, traffic: Traffic) -> Iterator[None]:
    id = target.api.create()
    for n in range(300):
        target.api.put(f"/v1/jobs/{id}/files/f{n:03}", content=b"x" * 10)
    yield
    for _ in range(3):
        target.get(traffic, f"/v1/jobs/{id}/files.zip")
        traffic.get(300 * KIB)  # a file counts as 1 KB at least, as a request does


def many_ranges(target: Target, traffic: Traffic) -> Iterator[None]:
    id = target.api.create()
    target.api.put(f"/v1/jobs/{id}/files/f", content=bytes(1 << 20))
    yield
    for _ in range(50):
        spans = ",".join(f"{at}-{at}" for at in range(0, 3000, 4))
        answer = target.api.get(f"/v1/jobs/{id}/files/f", headers={"range": f"bytes={spans}"})
        assert answer.status_code in (200, 206)
        traffic.send(len(spans))
        traffic.get(len(answer.content))


ATTACKS: Final[dict[str, Attack]] = {
    "a long name in a body that is not JSON": broken_body,
    "bodies in pieces of one byte": one_byte_pieces,
    "1,000 empty metas on 9,000 keys": reports_on_a_large_head({"type": "meta", "set": {}}),
    "1,000 counts on 9,000 keys": reports_on_a_large_head({"type": "count", "counters": {"a": 1}}),
    "lines that end badly on 9,000 keys": lines_that_end_badly,
    "1,000 steps on 1,500 steps": steps_on_many_steps,
    "names of feeds over a WebSocket": names_of_feeds,
    "1,000 subscriptions of distinct rates": distinct_rates,
    "tails of 16 KB lines": tails_of_long_lines,
    "lists of 120 KB jobs": lists_of_large_jobs,
    "small changes beside 18 MB of results": states_of_large_results,
    "50 who do not read a tail": slow(lambda it: f"/v1/jobs/{logged(it, 500)}/logs?tail=1000"),
    "50 who do not read results": slow(lambda it: f"/v1/jobs/{resulting(it, 20)}/results"),
    "50 who do not read a list": slow(listed),
    "searches for 200 letters": long_texts,
    "500 long-polls": long_polls,
    "100 slow uploads": slow_uploads,
    "resumable uploads that are only declared": uploads_that_are_only_declared,
    "zips of 300 files": zips_of_many_files,
    "750 ranges": many_ranges,
}


@contextmanager
def attacked(data: Path) -> Iterator[Target]:
    with Server(data) as server, Api(server.url) as api:
        yield Target(server, api)


def attempt(data: Path, name: str, do: Attack, slack: float = 0) -> Row:
    """With `slack`, the first row is enough if it is good with it."""
    with attacked(data) as target:
        row = attack(target, name, do)
        # Again, as the first time a process takes what it keeps.
        if not row.traffic.clients and not (slack and row.good(slack)):
            row = attack(target, name, do)
        return row


def drill(data: Path, say: Say) -> None:
    """Every attack, each on a server of its own, so that none pays for another's memory."""
    say(HEADING)
    bad: list[str] = []
    for at, (name, do) in enumerate(ATTACKS.items()):
        row = attempt(data / str(at), name, do)
        say(str(row))
        bad += [] if row.good() else [str(row)]
    if bad:
        bounds = f"{CPU_MS} ms, {KEPT_KB} KB, or {SLOW_KB} KB for each client that does not read"
        raise Broken([f"more than {bounds}:", *bad])
