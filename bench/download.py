"""Files: throughput of one download and of 64 at once beside nginx with sendfile, the delay of
reports during 64 downloads, and memory by the size of the file."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from common import (
    BUILD,
    Connection,
    Publisher,
    Server,
    free_port,
    judge,
    machine,
    need,
    save,
    table,
)
from common import build as build_c
from contenders import DELTA, start_livejobs

MIB = 1 << 20
NGINX = """
daemon off; worker_processes 1; pid {tmp}/nginx.pid; error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
  client_body_temp_path {tmp}/body; proxy_temp_path {tmp}/proxy; fastcgi_temp_path {tmp}/fastcgi;
  uwsgi_temp_path {tmp}/uwsgi; scgi_temp_path {tmp}/scgi;
  server {{ listen 127.0.0.1:{port} backlog=4096; root {tmp}; }}
}}
"""


def start_nginx(tmp: Path) -> Server:
    port = free_port()
    (tmp / "nginx.conf").write_text(NGINX.format(tmp=tmp, port=port))
    return Server(["/usr/sbin/nginx", "-c", tmp / "nginx.conf", "-p", tmp], port, worker=True)


def make_file(path: Path, size: int) -> None:
    block = bytes(range(256)) * (MIB // 256)
    with path.open("wb") as file:
        for _ in range(size // MIB):
            file.write(block)


def upload(port: int, path: Path) -> None:
    """Upload in pieces, because the file need not fit into our memory."""
    with Connection(port) as connection:
        head = (
            f"PUT /v1/jobs/bench/files/{path.name} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Length: {path.stat().st_size}\r\n\r\n"
        )
        connection.socket.sendall(head.encode())
        with path.open("rb") as file:
            connection.socket.sendfile(file)
        connection.check()


def drain(port: int, path: str, connections: int, seconds: float) -> dict[str, Any]:
    words = [build_c("drain"), "127.0.0.1", port, path, connections, seconds]
    ran = subprocess.run([*map(str, words)], stdout=subprocess.PIPE, check=True, text=True)
    return dict(json.loads(ran.stdout))


def measure(
    name: str, server: Server, path: str, connections: int, seconds: float
) -> dict[str, Any]:
    cpu = server.cpu
    got = drain(server.port, path, connections, seconds)
    return {
        "server": name,
        "MB/s": got["bytes"] / got["seconds"] / 1e6,
        "CPU s/GB": (server.cpu - cpu) / (got["bytes"] / 1e9),
        "server busy": (server.cpu - cpu) / got["seconds"],
        "client busy": got["cpu"] / got["seconds"],
        "downloads": got["downloads"],
    }


def compare(
    title: str,
    servers: dict[str, tuple[Server, str]],
    connections: int,
    seconds: float,
    rounds: int,
) -> dict[str, dict[str, Any]]:
    """Rounds alternate between the two, so that noise of the machine hits both."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in servers}
    for _ in range(rounds):
        for name, (server, path) in servers.items():
            found[name].append(measure(name, server, path, connections, seconds))
    rows = {name: middle(all_) for name, all_ in found.items()}
    table(f"{title}, median of {rounds}", list(rows.values()))
    return rows


def middle(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return sorted(rows, key=lambda row: row["MB/s"])[len(rows) // 2]


@contextmanager
def busy(port: int, path: str, connections: int, seconds: float) -> Iterator[None]:
    thread = threading.Thread(target=drain, args=(port, path, connections, seconds))
    thread.start()
    time.sleep(0.5)
    yield
    thread.join()


def lag(server: Server, publisher: Publisher, seconds: float) -> dict[str, Any]:
    """From just before a report is sent to just after one viewer has read it."""
    with DELTA.viewers(server.port, 1) as sink:
        sink.open()
        publisher.run("h", 20, 1)
        sink.ask("wait", publisher.said, 10)
        sink.ask("reset")
        publisher.run("h", 20, seconds)
        sink.ask("wait", publisher.said, 30)
        stats = sink.ask("stats")["head_ms"]
    return {"p50 ms": stats["p50"], "p99 ms": stats["p99"], "max ms": stats["max"]}


def waits(server: Server, path: str, seconds: float, rounds: int) -> dict[str, dict[str, Any]]:
    idle, loaded = [], []
    publisher = DELTA.publisher(server.port, "h")
    for _ in range(rounds):
        idle.append(lag(server, publisher, seconds))
        with busy(server.port, path, 64, seconds + 3):
            loaded.append(lag(server, publisher, seconds))
    rows = {
        name: {"server": name, **{k: statistics.median(one[k] for one in all_) for k in all_[0]}}
        for name, all_ in (("idle", idle), ("64 downloads", loaded))
    }
    table("From report to receipt, 20 reports a second", list(rows.values()))
    return rows


def looks(server: Server, times: int) -> Iterator[int]:
    for _ in range(times):
        time.sleep(0.1)
        yield server.memory.rss


def ratio(rows: dict[str, dict[str, Any]], figure: str, ours: str, others: str) -> float:
    return float(rows[ours][figure] / rows[others][figure])


def memory(server: Server, sizes: dict[int, str]) -> dict[int, int]:
    """The most memory during 8 downloads of a file of each size."""
    peaks = {}
    for size, path in sizes.items():
        with busy(server.port, path, 8, 2):
            peaks[size] = max(looks(server, 20))
    rows = [{"file MiB": size // MIB, "peak MiB": peak / MIB} for size, peak in peaks.items()]
    table("Memory while 8 downloads run", rows)
    return peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small file, one round")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    need("nginx")
    print(machine())
    size, rounds, seconds = (64 * MIB, 1, 1.0) if options.quick else (512 * MIB, 5, 3.0)
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as name, ExitStack() as stack:
        tmp = Path(name)
        tmp.chmod(0o755)
        make_file(tmp / "large", size)
        make_file(tmp / "small", 8 * MIB)
        ours = stack.enter_context(start_livejobs(tmp))
        DELTA.prepare(ours.port)
        for path in (tmp / "large", tmp / "small"):
            upload(ours.port, path)
        nginx = stack.enter_context(start_nginx(tmp))
        both = {"livejobs": (ours, "/v1/jobs/bench/files/large"), "nginx": (nginx, "/large")}
        one = compare("One download", both, 1, seconds, rounds)
        many = compare("64 downloads at once", both, 64, seconds, rounds)
        wait = waits(ours, both["livejobs"][1], 2 * seconds, rounds)
        peaks = memory(ours, {8 * MIB: "/v1/jobs/bench/files/small", size: both["livejobs"][1]})
    verdicts = [
        judge(
            "one download, throughput / nginx",
            ratio(one, "MB/s", "livejobs", "nginx"),
            0.9,
            least=True,
        ),
        judge(
            "64 at once, throughput / nginx",
            ratio(many, "MB/s", "livejobs", "nginx"),
            0.7,
            least=True,
        ),
        judge(
            "p99 with 64 downloads / idle",
            ratio(wait, "p99 ms", "64 downloads", "idle"),
            2,
        ),
        judge("memory, large file / small", peaks[size] / peaks[8 * MIB], 1.2),
    ]
    table("Targets", verdicts)
    save(options.json, {"one": one, "many": many, "waits": wait, "peaks": peaks})


if __name__ == "__main__":
    main()
