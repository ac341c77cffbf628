"""Many servers on one PostgreSQL: what they take together, and how soon a viewer on one server has
what was reported to another.

- ingest: 100 reports a request, as arrays on 4 connections to each server. One server with SQLite;
  one, two and three servers with PostgreSQL, on one project and on a project each.
- bare: the statement of a commit with 400 reports, prepared before, by one connection; the same
  with a notification of other servers.
- latency: 1,000 viewers on one server, and reports to the same one or to another one.

PostgreSQL runs on this machine, with fsync on, and shares the cores with servers and load. Rounds
are short and alternate between the sides; figures are medians."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from common import HERE, Connection, Server, judge, machine, need, save, table
from contenders import DELTA, start_livejobs
from ingest import BATCH, Ask, create, load, mixed, write

from livejobs.core import reducer
from livejobs.core.reports import Bounds, NewJob, decode_body
from livejobs.store.base import Change
from livejobs.store.postgres.store import PostgresStore
from livejobs.store.postgres.writing import Commit

sys.path.insert(0, str(HERE.parent))
from tests.support.postgres import Postgres

CONNECTIONS = 4
GROUP = 400  # reports in a bare commit: those of four connections
VIEWERS = 1_000


class Side(NamedTuple):
    """Servers that take reports at once, each for a job of its own."""

    name: str
    servers: tuple[Server, ...]
    jobs: tuple[str, ...]
    follower: Server | None = None  # takes no reports, but hears of all


def cpu_of(postgres: Postgres) -> float:
    """Seconds of CPU of all sessions and helpers that run now."""
    ticks = 0
    for pid in postgres.pids():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def cpu_of_follower(side: Side) -> float:
    return 0.0 if side.follower is None else side.follower.cpu


def together(side: Side, file: str, seconds: float) -> float:
    """Reports a second, of all servers."""

    def one(at: int) -> float:
        path = f"/v1/jobs/{side.jobs[at]}/reports"
        ask = Ask("POST", path, file, "Content-Type", "application/json", CONNECTIONS)
        return load(side.servers[at], seconds, ask)["a second"] * BATCH

    with ThreadPoolExecutor(len(side.servers)) as pool:
        return sum(pool.map(one, range(len(side.servers))))


def sides(stack: ExitStack, tmp: Path, postgres: Postgres) -> list[Side]:
    """Each number of nodes has a database of its own, since every node follows the others."""
    sqlite = stack.enter_context(start_livejobs(tmp / "sqlite"))
    create(sqlite, "alone")
    found = [Side("SQLite", (sqlite,), ("alone",))]
    for count in (1, 2, 3):
        url = postgres.database(f"ingest{count}")
        nodes = tuple(
            stack.enter_context(start_livejobs(tmp / f"nodes{count}", "--database", url))
            for _ in range(count)
        )
        found.append(Side(f"PostgreSQL, {count}", nodes, made(nodes[0], count, "one")))
        if count > 1:
            own = made(nodes[0], count, "own", each=True)
            found.append(Side(f"PostgreSQL, {count}, a project each", nodes, own))
        if count == 2:
            job = made(nodes[0], 1, "followed")
            found.append(Side("PostgreSQL, 2, one of them takes reports", nodes[:1], job, nodes[1]))
    return found


def made(server: Server, count: int, name: str, *, each: bool = False) -> tuple[str, ...]:
    """New jobs, all in one project or each in its own."""
    ids = tuple(f"{name}{count}.{n}" for n in range(count))
    for n, id in enumerate(ids):
        post(server, {"id": id, "project": f"{name}{n}" if each else "default"})
    return ids


def post(server: Server, job: Mapping[str, str]) -> None:
    with Connection(server.port) as connection:
        connection.post("/v1/jobs", json.dumps(job).encode())


def ingest(postgres: Postgres, options: argparse.Namespace) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as tmp, ExitStack() as stack:
        bodies = [json.dumps(mixed(i * BATCH)).encode() for i in range(300)]
        file = write(Path(tmp) / "arrays", bodies)
        all_sides = sides(stack, Path(tmp), postgres)
        rates: dict[str, list[float]] = {side.name: [] for side in all_sides}
        costs: dict[str, list[tuple[float, float]]] = {side.name: [] for side in all_sides}
        for _ in range(options.rounds):
            for side in all_sides:
                before = cpu_of(postgres), cpu_of_follower(side)
                rate = together(side, file, options.seconds)
                rates[side.name].append(rate)
                used = cpu_of(postgres) - before[0], cpu_of_follower(side) - before[1]
                reports = rate * options.seconds / 1e6
                costs[side.name].append((used[0] / reports, used[1] / reports))
    first = rates["PostgreSQL, 1"]
    return [
        {
            "servers": name,
            "reports/s": median(found),
            "of one": median(a / b for a, b in zip(found, first, strict=True)),
            "us of PostgreSQL a report": median(it[0] for it in costs[name]) or None,
            "us of a server that follows": median(it[1] for it in costs[name]) or None,
        }
        for name, found in rates.items()
    ]


async def bare_statement(url: str, commits: int) -> dict[str, list[float]]:
    """Seconds that the database takes for a commit, without and with a notification."""
    store = PostgresStore(url)
    await store.open()
    await store.project("default")
    head = reducer.create(NewJob(), id="bare", project="default", owner="anonymous", now=0)
    await store.commit([Change(None, head)])
    took: dict[str, list[float]] = {"statement": [], "with NOTIFY": []}
    for n in range(2 * commits):
        changes = []
        for body in bodies_of(n):
            folded = reducer.fold(head, body, 0)
            changes.append(Change(head, folded.head, folded.entries))
            head = folded.head
        async with store._link.use() as db:
            commit: Commit = await store._writer.commit(db, changes, None)
            params = commit.sign(store._node, store._link.term, heard=bool(n % 2))
            start = time.perf_counter()
            await db.fetchval(commit.text, *params)
            took["with NOTIFY" if n % 2 else "statement"].append(time.perf_counter() - start)
        store._writer.keep(commit)
    await store.close()
    return took


def bodies_of(n: int) -> Iterator[Any]:
    for part in range(GROUP // BATCH):
        at = (n * GROUP // BATCH + part) * BATCH
        yield decode_body(json.dumps(mixed(at)).encode(), Bounds())


def bare(postgres: Postgres, options: argparse.Namespace) -> list[dict[str, Any]]:
    took = asyncio.run(bare_statement(postgres.database("bare"), 20 * options.rounds))
    return [
        {
            "": name,
            "ms": median(found) * 1e3,
            "p99 ms": sorted(found)[len(found) * 99 // 100] * 1e3,
            "reports/s": GROUP / median(found),
        }
        for name, found in took.items()
    ]


def latency(postgres: Postgres, options: argparse.Namespace) -> list[dict[str, Any]]:
    url = postgres.database("latency")
    with tempfile.TemporaryDirectory() as tmp, ExitStack() as stack:
        one, two = (
            stack.enter_context(start_livejobs(Path(tmp), "--database", url)) for _ in range(2)
        )
        DELTA.prepare(two.port)
        sink = stack.enter_context(DELTA.viewers(two.port, VIEWERS))
        sink.open()
        found: dict[str, list[Mapping[str, float]]] = {"the same": [], "another": []}
        publishers = {
            "the same": DELTA.publisher(two.port, "h"),
            "another": DELTA.publisher(one.port, "h"),
        }
        said = 0
        for _ in range(options.rounds):
            for name, publisher in publishers.items():
                publisher.said = said  # one count: viewers wait for the highest
                sink.ask("reset")
                publisher.run("h", 25, 2 * options.seconds)
                said = publisher.said
                sink.ask("wait", said, 60)
                found[name].append(sink.ask("stats")["head_ms"])
    return [
        {
            "reports to": name,
            "p50 ms": median(it["p50"] for it in rows),
            "p99 ms": median(it["p99"] for it in rows),
        }
        for name, rows in found.items()
    ]


def targets(results: Mapping[str, Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    found = []
    rates = {row["servers"]: row for row in results.get("ingest", ())}
    if rates:
        ratio = rates["PostgreSQL, 1"]["reports/s"] / rates["SQLite"]["reports/s"]
        found.append(judge("one server: PostgreSQL / SQLite", ratio, 0.6, least=True))
        own = rates["PostgreSQL, 2, a project each"]["of one"]
        found.append(judge("two servers, a project each / one", own, 1.6, least=True))
    lags = {row["reports to"]: row["p50 ms"] for row in results.get("latency", ())}
    if lags:
        more = lags["another"] - lags["the same"]
        found.append(judge("ms more to another server, p50", more, 5))
    return found


SECTIONS = {"ingest": ingest, "bare": bare, "latency": latency}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="one round of a second")
    parser.add_argument("--only", nargs="*", default=list(SECTIONS), help=" ".join(SECTIONS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.rounds = 1, 1
    need("wrk", "postgresql")
    print(machine())
    results = {}
    with Postgres() as postgres:
        for name in options.only:
            results[name] = SECTIONS[name](postgres, options)
            table(f"{name}, median of {options.rounds}", results[name])
    judged = targets(results)
    if judged:
        table("Targets", judged)
    save(options.json, {"machine": machine(), "results": results, "targets": judged})


if __name__ == "__main__":
    main()
