"""One job, many viewers: the server's CPU for each delivery, memory of an idle viewer, and the time
from report to receipt, beside nchan, durable-streams, Centrifugo, and sse-starlette with a queue
for each viewer.

CPU is the whole server process. It includes taking the reports, which livejobs and
durable-streams write to disk and the others keep in memory. `net` excludes that, as measured in the
same process with the same reports and no viewers."""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common import judge, machine, median, need, save, table
from contenders import (
    CENTRIFUGO,
    CENTRIFUGO_WS,
    DELTA,
    DURABLE,
    LOGS,
    NCHAN,
    NCHAN_WS,
    STARLETTE,
    STATE,
    WS,
    Contender,
    missing,
    present,
)

WARM = 20  # viewers that connect and leave before memory is measured


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    contenders: tuple[Contender, ...]
    viewers: int
    rate: float
    kind: str = "h"  # h: states, which may be merged; e: entries, each must arrive
    seconds: float = 6
    rounds: int = 3
    window: int = 1  # reports on their way to the server at a time


SSE = (DELTA, STATE, NCHAN, DURABLE, CENTRIFUGO, STARLETTE)
SLOW = (DELTA, NCHAN, DURABLE, CENTRIFUGO)
FAST = (LOGS, NCHAN, DURABLE, CENTRIFUGO)
SCENARIOS = (
    Scenario("sse1000", "SSE, one report at a time", SSE, 1_000, 25),
    Scenario("sse10000", "SSE, one report at a time", SSE, 10_000, 5, rounds=1),
    Scenario(
        "burst200",
        "SSE, a job in a hurry, every log line",
        FAST,
        1_000,
        200,
        "e",
        window=32,
    ),
    Scenario(
        "burst500",
        "SSE, a job in a hurry, every log line",
        FAST,
        1_000,
        500,
        "e",
        window=32,
    ),
    Scenario(
        "states500", "SSE, a job in a hurry, states only", (DELTA, STATE), 1_000, 500, rounds=1
    ),
    Scenario("ws1000", "WebSocket, one report at a time", (WS, NCHAN_WS, CENTRIFUGO_WS), 1_000, 25),
    Scenario("slow1000", "SSE, ten reports a second", SLOW, 1_000, 10),
)


def deliveries(stats: dict[str, Any]) -> int:
    """Reports that reached viewers. A merged state counts for all reports in it."""
    return int(stats["covered"] + stats["entries"])


def measure(scenario: Scenario, contender: Contender) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as tmp, contender.start(Path(tmp)) as server:
        contender.prepare(server.port)
        publisher = contender.publisher(server.port, scenario.kind)
        with contender.viewers(server.port, WARM) as few:
            few.open()
            publisher.run(scenario.kind, 50, 0.5)
            few.ask("wait", publisher.said, 10)
        cpu = server.cpu
        reports = round(scenario.rate * scenario.seconds)
        publisher.run(scenario.kind, scenario.rate, scenario.seconds, scenario.window)
        alone = server.cpu - cpu
        memory = server.memory
        with contender.viewers(server.port, scenario.viewers) as sink:
            opened = sink.open()
            time.sleep(0.5)
            grown = server.memory.rss - memory.rss
            publisher.say(scenario.kind)
            sink.ask("wait", publisher.said, 60)
            time.sleep(0.2)  # so that the first report is not paced behind this one
            sink.ask("reset")
            cpu, start = server.cpu, time.monotonic()
            publisher.run(scenario.kind, scenario.rate, scenario.seconds, scenario.window)
            end = sink.ask("wait", publisher.said, 60)
            took = time.monotonic() - start
            used = server.cpu - cpu
            stats = sink.ask("stats")
    got = max(1, deliveries(stats))
    lag = stats["head_ms"] if scenario.kind == "h" else stats["entry_ms"]
    return {
        "server": contender.name,
        "us/delivery": used / got * 1e6,
        "us/message": used / max(1, stats["messages"]) * 1e6,
        "net": max(0.0, used - alone) / got * 1e6,
        "us/report alone": alone / reports * 1e6,
        "p50 ms": lag["p50"],
        "p99 ms": lag["p99"],
        "max ms": lag["max"],
        "KB/idle viewer": grown / scenario.viewers / 1024,
        "messages": stats["messages"],
        "delivered": got,
        "lost": reports * scenario.viewers
        - got
        + stats["gaps"]
        + (scenario.viewers - end["current"]),
        "repeated": stats["repeats"] + stats["back"],
        "B/message": stats["bytes"] / max(1, stats["messages"]),
        "reports/s": reports / took,
        "opened s": opened["seconds"],
        "sink busy": stats["cpu"] / took,
    }


def run(scenario: Scenario) -> list[dict[str, Any]]:
    """Rounds alternate between the contenders, so that noise of the machine hits all."""
    rounds = [[measure(scenario, c) for c in scenario.contenders] for _ in range(scenario.rounds)]
    rows = [median(column) for column in zip(*rounds, strict=True)]
    title = f"{scenario.name}: {scenario.title}; {scenario.viewers:,} viewers, "
    table(
        title + f"{scenario.rate:g}/s for {scenario.seconds:g} s, median of {scenario.rounds}", rows
    )
    return rows


# One report at a time is measured by the message, so that merging under load flatters nobody. A
# fast job is measured by the delivery, because merging is the point. Each row: scenario, contender,
# figure, and the most times the peer's figure (without a peer, the most).
TARGETS: tuple[tuple[str, Contender, str, float, Contender | None], ...] = (
    ("sse1000", DELTA, "us/message", 0.8, NCHAN),
    ("sse1000", STATE, "us/message", 0.8, NCHAN),
    ("sse1000", DELTA, "us/message", 1, DURABLE),
    ("sse1000", STATE, "us/message", 1, DURABLE),
    ("sse10000", DELTA, "us/message", 0.95, NCHAN),
    ("sse10000", STATE, "us/message", 0.95, NCHAN),
    ("burst200", LOGS, "us/delivery", 0.31, NCHAN),
    ("burst500", LOGS, "us/delivery", 0.19, NCHAN),
    ("burst200", LOGS, "lost", 0, None),
    ("burst500", LOGS, "lost", 0, None),
    ("ws1000", WS, "us/message", 1, NCHAN_WS),
    ("sse1000", DELTA, "KB/idle viewer", 2.5, None),
    ("sse10000", DELTA, "KB/idle viewer", 2.5, None),
    ("ws1000", WS, "KB/idle viewer", 4, None),
    ("sse1000", DELTA, "p99 ms", 1, NCHAN),
    ("sse10000", DELTA, "p99 ms", 1, NCHAN),
    ("ws1000", WS, "p99 ms", 1, NCHAN_WS),
    ("slow1000", DELTA, "p99 ms", 1, NCHAN),
)


def verdicts(results: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The targets that this run can check, against peers in the same run."""
    found = []
    for scenario, ours, key, bound, peer in TARGETS:
        rows = {row["server"]: row[key] for row in results.get(scenario, [])}
        if ours.name not in rows or (peer and peer.name not in rows):
            continue
        value = rows[ours.name] / rows[peer.name] if peer else rows[ours.name]
        beside = f" / {peer.name}" if peer else ""
        found.append(judge(f"{scenario}: {key}, {ours.name}{beside}", value, bound))
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, help="instead of each scenario's own")
    parser.add_argument("--rate", type=float, help="reports a second, instead of each scenario's")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--window", type=int)
    parser.add_argument("--quick", action="store_true", help="one round of two seconds")
    parser.add_argument(
        "--only", nargs="*", help="scenarios: " + " ".join(s.name for s in SCENARIOS)
    )
    parser.add_argument("--peers", action="store_true", help="leave livejobs out")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def chosen(options: argparse.Namespace) -> list[Scenario]:
    changes = {k: getattr(options, k) for k in ("viewers", "rate", "seconds", "rounds", "window")}
    changes = {k: v for k, v in changes.items() if v is not None}
    if options.quick:
        changes = {"seconds": 2.0, "rounds": 1, **changes}
    scenarios = [
        replace(s, **changes) for s in SCENARIOS if not options.only or s.name in options.only
    ]
    kept = [present(s.contenders) for s in scenarios]
    if options.peers:
        kept = [tuple(c for c in row if "livejobs" not in c.name) for row in kept]
    return [replace(s, contenders=p) for s, p in zip(scenarios, kept, strict=True) if p]


def main() -> None:
    options = arguments()
    need("nginx", "libnginx-mod-nchan")
    print(machine(), *missing(it for s in SCENARIOS for it in s.contenders), sep="\n")
    results = {scenario.name: run(scenario) for scenario in chosen(options)}
    if targets := verdicts(results):
        table("Targets", targets)
    save(options.json, {"machine": machine(), "results": results, "targets": targets})


if __name__ == "__main__":
    main()
