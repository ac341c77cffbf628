"""Thousands of viewers are cut at once while reports continue, and all reconnect at once with their
cursors: time until each is current, cost for the server, and lost messages.

A viewer is current when it has seen the last report from before its reconnect. Entries are
numbered, so a lost or repeated one is counted."""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from common import Publisher, machine, median, need, save, table
from contenders import LOGS, NCHAN, Contender, start_nchan

CONTENDERS = (LOGS, replace(NCHAN, start=partial(start_nchan, buffer=10_000)))


class Talk(threading.Thread):
    """Reports that continue until `end`, whatever happens to the viewers."""

    def __init__(self, publisher: Publisher, rate: float) -> None:
        super().__init__()
        self.publisher, self.rate = publisher, rate
        self.ended = False

    def run(self) -> None:
        while not self.ended:
            self.publisher.run("e", self.rate, 1)

    def __enter__(self) -> Publisher:
        self.start()
        return self.publisher

    def __exit__(self, *_: object) -> None:
        self.ended = True
        self.join()


def measure(contender: Contender, options: argparse.Namespace) -> dict[str, Any]:
    n = options.viewers
    with tempfile.TemporaryDirectory() as tmp, contender.start(Path(tmp)) as server:
        contender.prepare(server.port)
        publisher = contender.publisher(server.port, "e")
        with contender.viewers(server.port, n, more=("-i", n)) as sink:
            sink.open()
            publisher.run("e", 10, 1)
            sink.ask("wait", publisher.said, 60)
            sink.ask("reset")
            with Talk(publisher, options.rate) as talk:
                time.sleep(1)
                sink.ask("cut")
                time.sleep(options.away)
                cpu, rss = server.cpu, server.memory.rss
                back = sink.ask("back", talk.said, 120)
                used = server.cpu - cpu
            end = sink.ask("wait", publisher.said, 60)
            stats = sink.ask("stats")
            grown = server.memory.rss - rss
    return {
        "server": contender.name,
        "all current s": back["seconds"],
        "p50 ms": back["current_ms"]["p50"],
        "p99 ms": back["current_ms"]["p99"],
        "CPU s": used,
        "CPU ms/viewer": used / n * 1000,
        "came back": back["opened"],
        "retries": back["retries"],
        "lost": stats["gaps"] + n - end["current"],
        "repeated": stats["repeats"],
        "refused": stats["refused"],
        "resets": stats["events"].get("reset", 0),
        "reports": publisher.said,
        "MB grown": grown / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=5_000)
    parser.add_argument("--rate", type=float, default=10, help="reports a second")
    parser.add_argument("--away", type=float, default=2, help="seconds until they come back")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round of 1,000 viewers")
    parser.add_argument("--peers", action="store_true", help="leave livejobs out")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.viewers = 1, 1_000
    need("nginx", "libnginx-mod-nchan")
    print(machine())
    contenders = [c for c in CONTENDERS if not (options.peers and c.name.startswith("livejobs"))]
    rounds = [[measure(c, options) for c in contenders] for _ in range(options.rounds)]
    rows = [median(column) for column in zip(*rounds, strict=True)]
    title = f"storm: {options.viewers:,} viewers cut, back after {options.away:g} s, "
    table(title + f"{options.rate:g} reports/s, median of {options.rounds}", rows)
    save(options.json, {"machine": machine(), "results": rows})


if __name__ == "__main__":
    main()
