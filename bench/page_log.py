"""The page of a job with a million lines of log in Chromium: frames while the log scrolls line by
line, while its scroll bar is dragged from end to end, and while it follows new lines, beside those
of a plain page of lines; the heap and the document at the end.

A frame's CPU is that of the page's main thread, by Chromium's own count."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from chromium import Tab, chromium, weight
from common import Connection, judge, machine, save, table
from contenders import start_livejobs
from million import head
from msgspec import Raw
from msgspec.structs import replace

from livejobs.core.model import Entry, Head
from livejobs.store.base import Change
from livejobs.store.sqlite.store import SqliteStore

LINES, CHUNK = 1_000_000, 10_000
PLAIN = 50_000  # lines of the plain page
DAY = 86_400
WORDS = (
    "Reading the scene",
    "frame=%d fps=14.5 size=1426kB",
    "\x1b[32mPASS\x1b[0m test %d",
    "x" * 300,
)
RATE = 500  # lines a second

# Scroll the log for some seconds. `step(part, log)` is the place at that part of the time.
SCROLL = """([seconds, from, distance]) => new Promise((done) => {
  const log = document.querySelector(".log"), begun = performance.now(), frames = [];
  const whole = log.scrollHeight - log.clientHeight, start = from * whole;
  if (from !== null) log.scrollTop = start;
  let last = begun;
  const step = (now) => {
    frames.push(now - last);
    last = now;
    const part = Math.min(1, (now - begun) / (seconds * 1000));
    if (from !== null) log.scrollTop = start + (distance ?? -whole) * part;
    if (part < 1) requestAnimationFrame(step);
    else done(frames.slice(1));
  };
  requestAnimationFrame(step);
})"""


def entry(n: int, at: str) -> Entry:
    text = WORDS[n % len(WORDS)]
    message = text % n if "%d" in text else text
    line = {"n": n, "at": at, "level": "info", "source": None, "message": message}
    return Entry("logs", n, 1, Raw(json.dumps(line).encode()))


async def fill(path: Path, lines: int) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.project("default")
    now = time.time_ns() // 1_000_000
    at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(now / 1000))
    before: Head | None = None
    for start in range(1, lines + 1, CHUNK):
        last = min(lines, start + CHUNK - 1)
        after = replace(
            head(1, now), id="long", title="A long log", status="running", parent=None,
            logs_total=last, heartbeat_at=now, heartbeat_timeout=DAY, completed_at=None,
            expires_at=None,
        )  # fmt: skip
        entries = tuple(entry(n, at) for n in range(start, last + 1))
        await store.commit([Change(before, after, entries)])
        before = after
    await store.close()


class Lines(threading.Thread):
    """Reports RATE lines a second, ten at a time."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port, self.over = port, threading.Event()

    def run(self) -> None:
        begun, sent = time.monotonic(), 0
        body = json.dumps([{"type": "log", "message": f"new {n}"} for n in range(10)]).encode()
        with Connection(self.port) as connection:
            while not self.over.is_set():
                time.sleep(max(0.0, begun + sent / RATE - time.monotonic()))
                connection.send("POST", "/v1/jobs/long/reports", body)
                connection.check()
                sent += 10


def frames(tab: Tab, way: str, *options: float | None) -> dict[str, Any]:
    tab.page.bring_to_front()
    before = tab.metrics()["TaskDuration"]
    taken = tab.page.evaluate(SCROLL, list(options))
    cost = tab.metrics()["TaskDuration"] - before
    return {
        "way": way,
        "frames/s": 1000 / statistics.mean(taken),
        "CPU a frame, ms": cost * 1000 / len(taken),
        "p99 frame, ms": sorted(taken)[int(len(taken) * 0.99)],
        "heap, MB": tab.heap,
        "elements": tab.nodes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="of each way")
    parser.add_argument("--quick", action="store_true", help="100,000 lines, 3 seconds")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    lines, seconds = (100_000, 3.0) if options.quick else (LINES, options.seconds)
    print(machine())
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "data" / "livejobs.db"
        path.parent.mkdir(parents=True)
        asyncio.run(fill(path, lines))
        with chromium() as browser, start_livejobs(Path(made)) as server:
            tab = browser.tab(f"http://127.0.0.1:{server.port}/jobs/long")
            tab.page.locator(".line .n").first.wait_for()
            first = weight(tab)
            read = seconds * 4000  # pixels
            bare = browser.plain(PLAIN, 20, "log")
            ways: dict[str, tuple[float | None, ...]] = {
                "down, line by line": (seconds, 0.5, read),
                "up, line by line": (seconds, 0.5, -read),
                "drag from end to end": (seconds, 1, None),
            }
            limits = [frames(bare, f"plain page, {way}", *how) for way, how in ways.items()]
            rows = [frames(tab, way, *how) for way, how in ways.items()]
            tab.page.get_by_role("button", name="Follow").click()
            more = Lines(server.port)
            more.start()
            rows.append(frames(tab, f"follow {RATE} lines/s", seconds, None, None))
            more.over.set()
            more.join()
    table(f"The first visit, {lines:,} lines", [first])
    table(f"The log of {lines:,} lines", [*limits, *rows])
    pairs = zip(limits, rows, strict=False)  # nothing follows on a plain page
    against = min(ours["frames/s"] / limit["frames/s"] for limit, ours in pairs)
    targets = [
        judge("frames, against a plain page", against, 0.8, least=True),
        judge("frames a second", min(row["frames/s"] for row in rows), 50, least=True),
        judge("CPU of a frame, ms", max(row["CPU a frame, ms"] for row in rows), 20),
        judge("elements", max(row["elements"] for row in rows), 2000),
        judge("heap, MB", max(row["heap, MB"] for row in rows), 60),
    ]
    table("Targets", targets)
    save(options.json, {"machine": machine(), "first": first, "rows": rows, "targets": targets})


if __name__ == "__main__":
    main()
