"""The dashboard in Chromium: first paint and script weight; the main thread and the heap while
10,000 jobs change 500 times a second; frames while a list of 100,000 jobs scrolls, beside those of
a plain page of rows that scrolls as fast.

The main thread's share is the CPU time of its tasks by Chromium's own count. The heap is measured
after a collection."""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from chromium import Chromium, Tab, chromium, weight
from common import Connection, Server, judge, machine, save, table
from contenders import start_livejobs
from million import CHUNK, head
from msgspec.structs import replace

from livejobs.core.model import Head, Progress
from livejobs.store.base import Change
from livejobs.store.sqlite.store import SqliteStore

CHANGING, LISTED, RATE = 10_000, 100_000, 500
DAY = 86_400
ROW = 46  # pixels
SCREEN = ROW * 400  # pixels a second


def running(i: int, now: int) -> Head:
    return replace(
        head(i, now + i),
        status="running",
        parent=None,
        progress=Progress(current=0, total=1000),
        heartbeat_at=now,
        heartbeat_timeout=DAY,
        completed_at=None,
        expires_at=None,
    )


def finished(i: int, now: int) -> Head:
    return replace(head(i, now + i), parent=None)


async def fill(path: Path, jobs: int, make: Callable[[int, int], Head]) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.project("default")
    now = time.time_ns() // 1_000_000 - LISTED
    more = (Change(None, make(i, now)) for i in range(jobs))
    while chunk := list(islice(more, CHUNK)):
        await store.commit(chunk)
    await store.close()


def prepare(tmp: Path, jobs: int, make: Callable[[int, int], Head]) -> Path:
    path = tmp / "data" / "livejobs.db"
    path.parent.mkdir(parents=True)
    asyncio.run(fill(path, jobs, make))
    return tmp


class Changes(threading.Thread):
    """Reports progress of random jobs, RATE a second. Reports wait for no answer of the last."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port, self.sent, self.over = port, 0, threading.Event()

    def run(self) -> None:
        begun, waiting = time.monotonic(), 0
        with Connection(self.port) as connection:
            while not self.over.is_set():
                time.sleep(max(0.0, begun + self.sent / RATE - time.monotonic()))
                self.sent += 1
                body = {"type": "progress", "current": self.sent % 1000, "message": "Working"}
                id = f"job-{random.randrange(CHANGING):07}"
                connection.send("POST", f"/v1/jobs/{id}/reports", json.dumps(body).encode())
                waiting += 1
                if waiting == 16:
                    connection.check()
                    waiting -= 1
            for _ in range(waiting):
                connection.check()


def light(browser: Chromium, server: Server, times: int) -> dict[str, Any]:
    """The first visit, of several the one that painted first."""
    tabs = [browser.tab(f"http://127.0.0.1:{server.port}/") for _ in range(times)]
    for tab in tabs:
        tab.page.locator(".row").first.wait_for()
    found = min((weight(tab) for tab in tabs), key=lambda it: float(it["first paint, ms"]))
    packed = tabs[0].page.evaluate(
        """() => Promise.all(performance.getEntriesByType("resource")
          .filter((it) => /\\.js$/.test(it.name))
          .map((it) => fetch(it.name).then((answer) => answer.text())))"""
    )
    found["gzipped, KB"] = sum(len(gzip.compress(it.encode())) for it in packed) / 1000
    for tab in tabs:
        tab.page.context.close()
    return found


def busy(tab: Tab, changes: Changes, seconds: float, parts: int) -> Iterator[dict[str, Any]]:
    """A row for each part of the time."""
    for part in range(parts):
        before, sent, begun = tab.metrics(), changes.sent, time.monotonic()
        tab.page.wait_for_timeout(seconds / parts * 1000)
        after, passed = tab.metrics(), time.monotonic() - begun
        yield {
            "part": part + 1,
            "changes/s": (changes.sent - sent) / passed,
            "main thread": (after["TaskDuration"] - before["TaskDuration"]) / passed,
            "of it script": (after["ScriptDuration"] - before["ScriptDuration"]) / passed,
            "heap, MB": tab.heap,
            "elements": tab.nodes,
        }


def changing(browser: Chromium, tmp: Path, seconds: float, parts: int) -> list[dict[str, Any]]:
    with start_livejobs(tmp) as server:
        changes = Changes(server.port)
        tab = browser.tab(f"http://127.0.0.1:{server.port}/")
        tab.page.locator(".row").first.wait_for()
        changes.start()
        tab.page.wait_for_timeout(3000)
        rows = list(busy(tab, changes, seconds, parts))
        changes.over.set()
        changes.join()
        return rows


def scrolling(browser: Chromium, tmp: Path, seconds: float) -> tuple[Any, Any]:
    with start_livejobs(tmp) as server:
        first = light(browser, server, 3)
        tab = browser.tab(f"http://127.0.0.1:{server.port}/")
        tab.page.locator(".row").first.wait_for()
        bare = browser.plain(round(SCREEN * seconds / ROW) + 50, ROW)
        distance = round(SCREEN * seconds)
        rows: list[dict[str, Any]] = []
        for way, sign in (("read on", 1), ("back", -1)):
            for name, of in (("plain page, ", bare), ("", tab)):
                of.page.bring_to_front()
                row = {"way": name + way, **of.frames(sign * distance, seconds)}
                rows.append(row | {"heap, MB": of.heap, "elements": of.nodes})
        return first, rows


def ratio(rows: list[dict[str, Any]], name: str) -> float:
    """The least of ours to the plain page's; each pair scrolled the same way."""
    return min(
        float(ours[name] / bare[name]) for bare, ours in zip(rows[::2], rows[1::2], strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300, help="of changes")
    parser.add_argument("--quick", action="store_true", help="20 seconds of changes")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    seconds, parts = (20.0, 2) if options.quick else (options.seconds, 5)
    print(machine())
    with tempfile.TemporaryDirectory() as made:
        # Playwright has a loop of its own, so the databases are made before it starts.
        many = prepare(Path(made) / "many", LISTED, finished)
        some = prepare(Path(made) / "some", CHANGING, running)
        with chromium() as browser:
            first, scrolled = scrolling(browser, many, 10)
            rows = changing(browser, some, seconds, parts)
    table(f"The first visit, {LISTED:,} jobs", [first])
    table(f"Scrolling {LISTED:,} jobs, {SCREEN:,} pixels a second", scrolled)
    table(f"{CHANGING:,} jobs, {RATE} changes a second", rows)
    targets = [
        judge("main thread, the busiest part", max(row["main thread"] for row in rows), 0.5),
        judge("heap, last part / first", rows[-1]["heap, MB"] / rows[0]["heap, MB"], 1.1),
        judge("frames a second", min(row["frames/s"] for row in scrolled[1::2]), 50, least=True),
        judge("frames, against a plain page", ratio(scrolled, "frames/s"), 0.8, least=True),
        judge("CPU of a frame, ms", max(row["CPU a frame, ms"] for row in scrolled[1::2]), 20),
    ]
    table("Targets", targets)
    result = {"machine": machine(), "first": first, "scrolled": scrolled, "busy": rows}
    save(options.json, {**result, "targets": targets})


if __name__ == "__main__":
    main()
