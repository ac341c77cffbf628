"""1,000 `<live-job>` elements on a page of another origin, in Chromium: time until all show their
job, connections, and the main thread and the heap while the jobs change.

The main thread's share is the CPU time of its tasks by Chromium's own count. The heap is measured
after a collection. `page` is the same without elements."""

from __future__ import annotations

import argparse
import json
import random
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from chromium import Chromium, Tab, chromium
from common import Connection, Server, judge, machine, save, table
from contenders import start_livejobs
from page import prepare, running

ELEMENTS = 1000
KINDS = {"compact": "compact", "full": ""}
ALL_SHOWN = """(count) => [...document.querySelectorAll("live-job")]
  .filter((it) => it.shadowRoot?.querySelector("[role=progressbar]")).length === count"""


class Site(ThreadingHTTPServer):
    """A page of elements at /compact, /full and /none, with the script of the server on `port`."""

    daemon_threads = True
    port = 0


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        look = KINDS.get(self.path[1:])
        script = f"http://127.0.0.1:{self.server.port}/static/live-job.js"
        jobs = () if look is None else (f"job-{i:07}" for i in range(ELEMENTS))
        body = "".join(f'<live-job job="{job}" {look}></live-job>' for job in jobs)
        page = f'<!doctype html><script type="module" src="{script}"></script>{body}'
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def other_site() -> Iterator[Site]:
    with Site(("127.0.0.1", 0), Handler) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield site
        site.shutdown()


class Changes(threading.Thread):
    """Reports progress of random jobs, `rate` a second. Reports wait for no answer of the last."""

    def __init__(self, port: int, rate: int) -> None:
        super().__init__()
        self.port, self.rate, self.sent, self.over = port, rate, 0, threading.Event()

    def run(self) -> None:
        begun, waiting = time.monotonic(), 0
        with Connection(self.port) as connection:
            while not self.over.is_set():
                time.sleep(max(0.0, begun + self.sent / self.rate - time.monotonic()))
                self.sent += 1
                body = {"type": "progress", "current": self.sent % 1000, "message": "Working"}
                id = f"job-{random.randrange(ELEMENTS):07}"
                connection.send("POST", f"/v1/jobs/{id}/reports", json.dumps(body).encode())
                waiting += 1
                if waiting == 16:
                    connection.check()
                    waiting -= 1
            for _ in range(waiting):
                connection.check()


def connections(server: Server) -> int:
    with Connection(server.port) as connection:
        metrics = connection.get("/metrics").decode()
    return sum(int(float(n)) for n in re.findall(r"livejobs_viewers{[^}]*} (\S+)", metrics))


def measured(tab: Tab, server: Server, rate: int, seconds: float) -> dict[str, float]:
    changes = Changes(server.port, rate)
    changes.start()
    tab.page.wait_for_timeout(1000)
    before, sent, begun = tab.metrics(), changes.sent, time.monotonic()
    tab.page.wait_for_timeout(seconds * 1000)
    after, passed, now = tab.metrics(), time.monotonic() - begun, changes.sent
    changes.over.set()
    changes.join()
    spent = {
        name: (after[name] - before[name]) / passed for name in ("TaskDuration", "ScriptDuration")
    }
    return {
        "changes/s": (now - sent) / passed,
        "main thread": spent["TaskDuration"],
        "of it script": spent["ScriptDuration"],
    }


def opened(browser: Chromium, server: Server, site: Site, kind: str) -> tuple[Tab, dict[str, Any]]:
    begun = time.monotonic()
    tab = browser.tab(f"http://127.0.0.1:{site.server_port}/{kind}")
    count = ELEMENTS if kind in KINDS else 0
    tab.page.wait_for_function(ALL_SHOWN, arg=count, polling=250)
    row = {"elements": kind, "all shown, s": time.monotonic() - begun}
    return tab, {**row, "main thread, s": tab.metrics()["TaskDuration"]}


def shown(
    browser: Chromium, server: Server, site: Site, rate: int, seconds: float
) -> Iterator[Any]:
    for kind in ("page", *KINDS):
        tab, row = opened(browser, server, site, kind)
        row |= {"connections": connections(server), **measured(tab, server, rate, seconds)}
        first = tab.heap
        row |= measured(tab, server, rate, seconds)
        yield {**row, "heap, MB": first, "later": tab.heap}
        tab.page.context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="of changes, twice for each kind")
    parser.add_argument("--rate", type=int, default=500, help="changes a second")
    parser.add_argument("--quick", action="store_true", help="5 seconds of changes")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    seconds = 5.0 if options.quick else options.seconds
    print(machine())
    with tempfile.TemporaryDirectory() as made, other_site() as site:
        tmp = prepare(Path(made), ELEMENTS, running)
        origin = f"http://127.0.0.1:{site.server_port}"
        with start_livejobs(tmp, "--cors-origins", origin) as server, chromium() as browser:
            site.port = server.port
            rows = list(shown(browser, server, site, options.rate, seconds))
    table(f"{ELEMENTS:,} elements, {options.rate} changes a second", rows)
    elements = rows[1:]
    targets = [
        judge("connections", max(row["connections"] for row in elements), 1),
        # A main thread that got fewer changes proves nothing.
        judge(
            "changes/s", min(row["changes/s"] for row in elements), options.rate * 0.9, least=True
        ),
        judge("main thread", max(row["main thread"] for row in elements), 0.5),
        judge("heap, later / first", max(row["later"] / row["heap, MB"] for row in elements), 1.1),
    ]
    table("Targets", targets)
    save(options.json, {"machine": machine(), "rows": rows, "targets": targets})


if __name__ == "__main__":
    main()
