"""A database with a million finished jobs beside one of ten thousand and an empty one: time until
the server is ready, its memory, and the time of the list's pages.

The store's own commit builds the databases, ten thousand jobs at a time, each with a few entries.
Every figure is the median of several starts or requests. The kernel has the pages in its cache, as
on a server in use."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from common import Connection, Server, judge, machine, save, table
from contenders import start_livejobs
from msgspec import Raw

from livejobs.core.model import Entry, Head, Status
from livejobs.store.base import Change
from livejobs.store.sqlite.store import SqliteStore

SMALL, CHUNK, LIMIT, PAGE = 10_000, 10_000, 50, 100
DAY = 86_400_000
DONE: Status = "succeeded"
ENDS: tuple[Status, ...] = (*(DONE,) * 17, "failed", "failed", "cancelled")
FILTERS = {
    "all": "",
    "status": "status=failed",
    "type": "type=type3",
    "owner": "owner=key:worker7",
    "tag": "tag=tag11",
    "parent": "parent=job-0000005",
    "text": "q=take%20777",
    "type, status": "type=type3&status=failed",
    "tag, owner": "tag=tag11&owner=key:worker11",
}


def head(i: int, now: int) -> Head:
    return Head(
        id=f"job-{i:07}",
        project="default",
        owner=f"key:worker{i % 50}",
        created_at=now,
        updated_at=now,
        queued_at=now,
        type=f"type{i % 10}",
        title=f"Shot {i % 97}, take {i}",
        status=ENDS[i % len(ENDS)],
        tags=(f"tag{i % 100}", "nightly") if i % 3 == 0 else (f"tag{i % 100}",),
        parent=f"job-{i // 1000 * 1000 + 5:07}" if i % 1000 > 990 else None,
        meta={"scene": i % 97, "take": i},
        logs_total=2,
        started_at=now,
        completed_at=now,
        expires_at=now + 30 * DAY,
    )


def changes(n: int, now: int) -> Iterator[Change]:
    lines = tuple(Entry("logs", k, 1, Raw(b'{"n":%d,"message":"a line"}' % k)) for k in (1, 2))
    return (Change(None, head(i, now), lines) for i in range(n))


async def fill(path: Path, jobs: int) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.project("default")
    more = changes(jobs, time.time_ns() // 1_000_000)
    while chunk := list(islice(more, CHUNK)):
        await store.commit(chunk)
    await store.close()


def build(tmp: Path, jobs: int) -> None:
    path = tmp / "data" / "livejobs.db"
    path.parent.mkdir(parents=True)
    start = time.monotonic()
    asyncio.run(fill(path, jobs))
    size = path.stat().st_size / 1e6
    print(f"{jobs:,} jobs: {size:,.0f} MB, made in {time.monotonic() - start:.1f} s", flush=True)


def started(tmp: Path, times: int) -> dict[str, float]:
    seconds, memory = [], []
    for _ in range(times):
        with start_livejobs(tmp) as server:
            seconds.append(server.ready_seconds)
            memory.append(server.memory.rss / 1e6)
    return {"ready s": median(seconds), "RSS MB": median(memory)}


def timed(connection: Connection, path: str, times: int) -> tuple[float, dict[str, Any]]:
    """Milliseconds, and the answer."""
    spent, answer = [], b""
    for _ in range(times):
        start = time.perf_counter()
        answer = connection.get(path)
        spent.append((time.perf_counter() - start) * 1000)
    return median(spent), json.loads(answer)


def pages(server: Server, query: str, times: int) -> tuple[float, float | None]:
    """The first page, and the hundredth if there are as many."""
    path = f"/v1/jobs?{query}&limit={LIMIT}".replace("?&", "?")
    with Connection(server.port) as connection:
        first, answer = timed(connection, path, times)
        for _ in range(PAGE - 2):
            if not answer["next"]:
                return first, None
            answer = json.loads(connection.get(f"{path}&after={answer['next']}"))
        if not answer["next"]:
            return first, None
        return first, timed(connection, f"{path}&after={answer['next']}", times)[0]


def listed(small: Path, large: Path, times: int) -> list[dict[str, Any]]:
    with start_livejobs(small) as few, start_livejobs(large) as many:
        rows = []
        for name, query in FILTERS.items():
            (a1, a100), (b1, b100) = pages(few, query, times), pages(many, query, times)
            late = b100 / a100 if a100 and b100 else None
            rows.append(
                {
                    "list": name,
                    "page 1 of 10k, ms": a1,
                    "of large": b1,
                    "ratio": b1 / a1,
                    "page 100 of 10k, ms": a100,
                    "of large ": b100,
                    "ratio ": late,
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=7, help="starts and requests for each figure")
    parser.add_argument("--quick", action="store_true", help="100,000 jobs")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    jobs = 100_000 if options.quick else options.jobs
    print(machine())
    with tempfile.TemporaryDirectory() as made:
        sizes = {"empty": 0, "small": SMALL, "large": jobs}
        where = {name: Path(made) / name for name in sizes}
        for name, n in sizes.items():
            build(where[name], n)
        starts: list[dict[str, Any]] = [
            {"database": f"{n:,} jobs", **started(where[name], options.times)}
            for name, n in sizes.items()
        ]
        table(f"Start, median of {options.times}", starts)
        lists = listed(where["small"], where["large"], options.times)
        table(f"GET /v1/jobs, {LIMIT} a page, median of {options.times}", lists)
    empty, full = starts[0], starts[-1]
    targets = [
        judge(f"{key}, {full['database']} / empty", full[key] / empty[key], 1.2)
        for key in ("ready s", "RSS MB")
    ]
    targets.append(judge("first page, large / small", lists[0]["ratio"], 2))
    targets.append(judge("hundredth page, large / small", lists[0]["ratio "], 2))
    table("Targets", targets)
    save(options.json, {"machine": machine(), "starts": starts, "lists": lists, "targets": targets})


if __name__ == "__main__":
    main()
