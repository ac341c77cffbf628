"""The cost of reports and polls over HTTP: durable reports one at a time and by the hundred, and a
job's snapshot. Each is compared with the least work that the same task needs.

- single: reports on 32 keep-alive connections, over 32 jobs, each answered when it is on disk;
  beside an empty Starlette route that reads the same bodies.
- durable: the same on 1, 32 and 256 connections, beside durable-streams with 32 JSON streams. It
  also answers when the message is on disk. On one connection, the time of a report is compared.
- batch: 100 reports a request (50 progress, 45 log, 5 result) to one job, as an array and as
  NDJSON, on 1, 4 and 32 connections; beside a bare sqlite3 loop that writes the rows that the store
  wrote, in transactions of the same size.
- access: GET with a key and a rate, beside the same server without both.
- snapshot: GET and 304 on 32 connections, beside a Starlette route with the same bytes and
  headers.

Rounds are many and short, and alternate between the two sides, because the machine's speed changes
by more than the differences under measure. Figures are medians. The client is wrk for both sides.
It shares the machine with them."""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, groupby, islice
from operator import itemgetter
from pathlib import Path
from statistics import median
from typing import Any

from common import HERE, Connection, Server, judge, machine, need, save, table
from contenders import DURABLE, missing, put_stream, start_livejobs, start_uvicorn

from livejobs.core import reducer
from livejobs.core.model import encode_head
from livejobs.core.reports import Bounds, NewJob, decode_body
from livejobs.store.base import Change
from livejobs.store.sqlite.opening import WRITER
from livejobs.store.sqlite.store import SqliteStore

JOBS = 32
NAMES = [f"j{i}" for i in range(1, JOBS + 1)]  # as load.lua names them
BATCH = 100
ARRAY_BOUND, POLL_BOUND = 0.6, 2.5
DURABLE_BOUNDS = ((1, "p50 ms", 1.5), (32, "a second", 0.45), (256, "a second", 0.5))
Report = dict[str, Any]
Measure = Callable[[], dict[str, float]]


@dataclass(frozen=True)
class Case:
    name: str
    ours: Measure
    floor: Measure
    bound: float
    unit: int = 1  # reports a request
    peer: str = "floor"
    figure: str = "a second"  # or p50 ms, of which less is better

    def ratio(self, ours: dict[str, float], floor: dict[str, float]) -> float:
        return ours[self.figure] / floor[self.figure]

    def target(self, ratio: float) -> dict[str, Any]:
        name = f"{self.name}: {self.figure} / {self.peer}"
        return judge(name, ratio, self.bound, least=self.figure == "a second")


def progress(i: int) -> Report:
    return {"type": "progress", "current": i, "total": 1_000_000, "message": f"Frame {i} of many"}


def log(i: int) -> Report:
    return {"type": "log", "message": f"frame {i}: encoded with 2 passes, 41.2 dB, 183 kB"}


def result(i: int) -> Report:
    return {"type": "result", "value": {"frame": i, "url": f"https://example.com/{i}.png"}}


def mixed(start: int) -> list[Report]:
    """A hundred reports as a busy worker sends them, each different."""
    pattern = [progress, log] * 9 + [progress, result]
    return [say(start + i) for i, say in enumerate(islice(cycle(pattern), BATCH))]


# ---- the load


@dataclass(frozen=True)
class Ask:
    method: str
    path: str
    bodies: str = "-"
    header: str = "Accept"
    value: str = "*/*"
    connections: int = JOBS


def load(server: Server, seconds: float, ask: Ask) -> dict[str, float]:
    """wrk on one thread, with prepared requests."""
    options = ["-t1", f"-c{ask.connections}", f"-d{max(1, round(seconds))}s"]
    url = f"http://127.0.0.1:{server.port}/"
    words = [ask.method, ask.path, ask.bodies, ask.header, ask.value]
    run = ["wrk", *options, "-s", str(HERE / "load.lua"), url, "--", *words]
    cpu = server.cpu
    out = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    used, got = server.cpu - cpu, json.loads(out.splitlines()[-1])
    if got["failed"]:
        raise SystemExit(f"{ask}: {got['failed']} of {got['requests']} requests failed")
    return {
        "a second": got["requests"] / got["us"] * 1e6,
        "us CPU": used / got["requests"] * 1e6,
        "p50 ms": got["p50"],
        "p99 ms": got["p99"],
    }


def write(path: Path, bodies: Sequence[bytes]) -> str:
    path.write_bytes(b"\0".join(bodies))
    return str(path)


# ---- the floor under batches

Rows = list[tuple[Any, ...]]

MOVE = "UPDATE jobs SET seq = ?, head = ? WHERE id = 'bench'"
ENTER = "INSERT INTO entries (key, project, seq, level, value) VALUES (?, ?, ?, ?, ?)"
NEXT_JOB = 1 << 32  # in an entry's key


async def keep(path: Path, bodies: Sequence[bytes]) -> list[bytes]:
    """A database as the store writes it, with one job that took all reports; and its heads."""
    store = SqliteStore(path)
    await store.open()
    await store.project("default")
    head = reducer.create(NewJob(), id="bench", project="default", owner="anonymous", now=0)
    await store.commit([Change(None, head)])
    heads = []
    for body in bodies:
        folded = reducer.fold(head, decode_body(body, Bounds()), 0)
        await store.commit([Change(head, folded.head, folded.entries)])
        head = folded.head
        heads.append(encode_head(head))
    await store.close()
    return heads


def rows_of(path: Path) -> dict[int, Rows]:
    """What the store wrote, by seq."""
    db = sqlite3.connect(path)
    columns = "SELECT key, project, seq, level, value FROM entries ORDER BY seq, key"
    return {seq: list(rows) for seq, rows in groupby(db.execute(columns), key=itemgetter(2))}


def bare(tmp: Path, bodies: Sequence[bytes], seconds: float) -> dict[str, float]:
    """The same rows in the same transactions, by sqlite3 alone, for as long as it takes."""
    path = tmp / f"floor{time.monotonic_ns()}.db"
    heads = asyncio.run(keep(path, bodies))
    written = rows_of(path)
    db = sqlite3.connect(path, isolation_level=None)
    for pragma in WRITER:
        db.execute(pragma)
    done, spent, cpu, last = 1, 0.0, 0.0, max(written)
    while spent < seconds:
        again = [
            [
                (key + done * NEXT_JOB, p, seq + done * last, level, v)
                for key, p, seq, level, v in rows
            ]
            for rows in written.values()
        ]
        start, used = time.perf_counter(), time.process_time()
        for head, rows in zip(heads, again, strict=True):
            db.execute("BEGIN IMMEDIATE")
            db.execute(MOVE, (rows[0][2], head))
            db.executemany(ENTER, rows)
            db.execute("COMMIT")
        spent += time.perf_counter() - start
        cpu += time.process_time() - used
        done += 1
    db.close()
    requests = (done - 1) * len(heads)
    return {"a second": requests / spent, "us CPU": cpu / requests * 1e6}


# ---- the cases


def create(server: Server, *ids: str) -> None:
    with Connection(server.port) as connection:
        for id in ids:
            connection.post("/v1/jobs", json.dumps({"id": id, "title": "Ingest"}).encode())


def single(stack: ExitStack, tmp: Path, seconds: float) -> Iterator[Case]:
    ours = stack.enter_context(start_livejobs(tmp / "single"))
    floor = stack.enter_context(start_uvicorn("peer_empty:app"))
    create(ours, *NAMES)
    for name, say in (("progress", progress), ("log", log)):
        file = write(tmp / name, [json.dumps(say(i)).encode() for i in range(9_600)])
        ask = Ask("POST", "/v1/jobs/j%d/reports", file, "Content-Type", "application/json")
        yield Case(
            f"single {name}, {JOBS} connections",
            partial(load, ours, seconds, ask),
            partial(load, floor, seconds, replace(ask, path="/empty")),
            0.4,
        )


def durable(stack: ExitStack, tmp: Path, seconds: float) -> Iterator[Case]:
    if not DURABLE.here:
        return
    ours = stack.enter_context(start_livejobs(tmp / "livejobs"))
    peer = stack.enter_context(DURABLE.start(tmp))
    create(ours, *NAMES)
    put_stream(peer.port, *NAMES, type="application/json")
    file = write(tmp / "bodies", [json.dumps(progress(i)).encode() for i in range(9_600)])
    for connections, figure, bound in DURABLE_BOUNDS:
        path = "/v1/jobs/j%d/reports"
        ask = Ask("POST", path, file, "Content-Type", "application/json", connections)
        yield Case(
            f"single progress, connections: {connections}",
            partial(load, ours, seconds, ask),
            partial(load, peer, seconds, replace(ask, path="/j%d")),
            bound,
            peer=DURABLE.name,
            figure=figure,
        )


def batches(stack: ExitStack, tmp: Path, seconds: float) -> Iterator[Case]:
    ours = stack.enter_context(start_livejobs(tmp / "batch"))
    reports = [mixed(i * BATCH) for i in range(300)]
    arrays = [json.dumps(r).encode() for r in reports]
    lines = [b"".join(json.dumps(one).encode() + b"\n" for one in r) for r in reports]
    kinds = (
        ("array", "application/json", write(tmp / "arrays", arrays)),
        ("NDJSON", "application/x-ndjson", write(tmp / "lines", lines)),
    )
    for name, kind, file in kinds:
        for connections in (1, 4, 32):
            job = f"{name}{connections}"
            create(ours, job)
            ask = Ask("POST", f"/v1/jobs/{job}/reports", file, "Content-Type", kind, connections)
            yield Case(
                f"100 reports as {name}, connections: {connections}",
                partial(load, ours, seconds, ask),
                partial(bare, tmp, arrays, seconds),
                ARRAY_BOUND if name == "array" else 0.5,
                BATCH,
            )


def snapshots(stack: ExitStack, tmp: Path, seconds: float) -> Iterator[Case]:
    ours = stack.enter_context(start_livejobs(tmp / "snapshot"))
    create(ours, "snap")
    path, file = "/v1/jobs/snap", tmp / "snapshot.json"
    with Connection(ours.port) as connection:
        connection.post(f"{path}/reports", json.dumps(mixed(0)).encode())
        connection.send("GET", path)
        _, body, headers = connection.answer()
    file.write_bytes(body)
    etag = headers["etag"]
    same_headers = {k: headers[k] for k in ("etag", "cache-control", "vary", "retry-after")}
    peer = {"PEER_SNAPSHOT": str(file), "PEER_HEADERS": json.dumps(same_headers)}
    floor = stack.enter_context(start_uvicorn("peer_empty:app", peer))
    whole, same = Ask("GET", path), Ask("GET", path, header="If-None-Match", value=etag)
    for name, ask in (("200", whole), ("304", same)):
        yield Case(
            f"snapshot {name}, {len(body):,} bytes, {JOBS} connections",
            partial(load, ours, seconds, ask),
            partial(load, floor, seconds, replace(ask, path="/job")),
            POLL_BOUND,
        )


def access(stack: ExitStack, tmp: Path, seconds: float) -> Iterator[Case]:
    """A poll with a key and a rate, beside one of the same server without either."""
    rates = ("--rate-read", "100000000/s", "--rate-report", "100000000/s")
    closed = stack.enter_context(start_livejobs(tmp / "closed", *rates))
    opened = stack.enter_context(start_livejobs(tmp / "opened"))
    for server in (opened, closed):
        create(server, "queued", "running")
        with Connection(server.port) as connection:
            connection.post("/v1/jobs/running/reports", b'{"type":"start"}')
    with Connection(closed.port) as connection:
        connection.send("POST", "/v1/keys", b'{"name":"poller","scopes":["view"]}')
        key = json.loads(connection.answer()[1])["key"]
    for job in ("queued", "running"):
        polled = Ask("GET", f"/v1/jobs/{job}", header="Authorization", value=f"Bearer {key}")
        for server in (opened, closed):
            load(server, 1, polled)  # read once, it is in memory
        yield Case(
            f"snapshot of a {job} job with a key and a rate, {JOBS} connections",
            partial(load, closed, seconds, polled),
            partial(load, opened, seconds, polled),
            0.9,
        )


# ---- the whole


def compare(case: Case, rounds: int) -> list[dict[str, Any]]:
    pairs = [_pair(case, floor_first=bool(n % 2)) for n in range(rounds)]
    rows: list[dict[str, Any]] = []
    for name, side in (("livejobs", 0), (case.peer, 1)):
        runs = [pair[side] for pair in pairs]
        figures = {key: median(run[key] for run in runs) for key in runs[0]}
        figures["a second"] *= case.unit
        figures["us CPU"] /= case.unit
        rows.append({"": name, **figures})
    ratio = median(case.ratio(*pair) for pair in pairs)
    rows[0] |= {"ratio": ratio, "times the CPU": rows[0]["us CPU"] / rows[1]["us CPU"]}
    table(f"{case.name}, median of {rounds}", rows)
    return rows


def _pair(case: Case, floor_first: bool) -> tuple[dict[str, float], dict[str, float]]:
    """The sides take turns, or a machine that slows down would favour the first."""
    if floor_first:
        floor = case.floor()
        return case.ours(), floor
    return case.ours(), case.floor()


SECTIONS = {
    "single": single,
    "durable": durable,
    "batch": batches,
    "snapshot": snapshots,
    "access": access,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--quick", action="store_true", help="one round of a second")
    parser.add_argument("--only", nargs="*", default=list(SECTIONS), help=" ".join(SECTIONS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.rounds = 1, 1
    need("wrk")
    print(machine(), *missing([DURABLE] if "durable" in options.only else ()), sep="\n")
    results, targets = {}, []
    for name in options.only:
        with tempfile.TemporaryDirectory() as tmp, ExitStack() as stack:
            for case in SECTIONS[name](stack, Path(tmp), options.seconds):
                rows = results[case.name] = compare(case, options.rounds)
                targets.append(case.target(rows[0]["ratio"]))
    if targets:
        table("Targets", targets)
    save(options.json, {"machine": machine(), "results": results, "targets": targets})


if __name__ == "__main__":
    main()
