"""Many viewers who only wait: 50,000 of one server, from several addresses of this machine.

- idle: time until all have their first state, memory of each, and CPU of their pings. Beside a
  fifth of them on the same machine.
- stop: SIGTERM with 10,000 of them, and the time until the server has ended all their streams and
  then itself; the same with 200 more who read nothing of what waits for them.

One process holds all viewers, one the server. Each viewer takes a descriptor in both."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common import Connection, Server, Sink, descriptors, judge, machine, save, table
from contenders import DELTA

from livejobs.live.hub import PING_EVERY
from livejobs.server.runner import RESERVED_DESCRIPTORS

VIEWERS = 50_000
STUCK = 200
STUCK_JOB = "stuck"
SLOW = "livejobs_viewers_slow"
LINE = 16_000  # bytes; a hundred lines are more than any socket's buffers take
WARM = 20
ADDRESSES = 8
SPARE = RESERVED_DESCRIPTORS + 2 * WARM
STOP_WITHIN = 30


def crowd(server: Server, viewers: int) -> Sink:
    return DELTA.viewers(server.port, viewers, more=("-a", ADDRESSES))


def warm_up(server: Server) -> None:
    DELTA.prepare(server.port)
    with crowd(server, WARM) as few:
        few.open()


# ---- idle


def cpu_share(server: Server, seconds: float) -> float:
    cpu, start = server.cpu, time.monotonic()
    time.sleep(seconds)
    return (server.cpu - cpu) / (time.monotonic() - start)


def idle(viewers: int, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as tmp, DELTA.start(Path(tmp)) as server:
        warm_up(server)
        time.sleep(2)  # until those have been forgotten
        alone = cpu_share(server, seconds / 2)
        memory, cpu = server.memory, server.cpu
        with crowd(server, viewers) as sink:
            opened = sink.open(600)
            connecting = server.cpu - cpu
            time.sleep(1)
            grown = server.memory.rss - memory.rss
            sink.ask("reset")
            waiting = cpu_share(server, seconds)
            stats = sink.ask("stats")
    pings = stats["events"].get("ping", 0) / seconds
    return {
        "viewers": viewers,
        "connected s": opened["seconds"],
        "CPU us to connect": connecting / viewers * 1e6,
        "KB/idle viewer": grown / viewers / 1024,
        "pings/s": pings,
        "CPU ms/s": waiting * 1000,
        "without viewers": alone * 1000,
        "us/ping": max(0.0, waiting - alone) / max(1.0, pings) * 1e6,
        "lost": stats["closed"] + stats["retries"],
    }


# ---- stop


def stick(server: Server, viewers: int) -> Sink:
    """Viewers of a job of their own, whose log is soon more than they take."""
    with Connection(server.port) as connection:
        connection.post("/v1/jobs", json.dumps({"id": STUCK_JOB, "title": "Stuck"}).encode())
    path = f"/v1/jobs/{STUCK_JOB}/events?view=delta&logs=1"
    sink = Sink(server.port, path, viewers, first_message=True, more=("-s",))
    sink.open()
    report = json.dumps({"type": "log", "message": "x" * LINE}).encode()
    with Connection(server.port) as connection:
        for _ in range(100):
            connection.post(f"/v1/jobs/{STUCK_JOB}/reports", report)
    return sink


def slow(server: Server) -> int:
    """Viewers that, by the server's own count, have not taken what it sent."""
    with Connection(server.port) as connection:
        lines = connection.get("/metrics").decode().splitlines()
    return round(sum(float(it.split()[-1]) for it in lines if it.startswith(f"{SLOW} ")))


def stop(viewers: int, stuck: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as tmp, DELTA.start(Path(tmp)) as server:
        warm_up(server)
        with crowd(server, viewers) as sink, stick(server, stuck) as others:
            sink.open(600)
            sink.ask("reset")
            row = {"viewers": viewers, "stuck": slow(server), **ended(server, sink)}
            others.process.kill()  # they read nothing, not even that this is over
    return row


def ended(server: Server, sink: Sink) -> dict[str, Any]:
    sink.tell("gone", STOP_WITHIN)
    start = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    told = sink.answer()
    streams = time.monotonic() - start
    try:
        code: int | str = server.process.wait(STOP_WITHIN)
    except subprocess.TimeoutExpired:
        code = "still runs"
    whole = time.monotonic() - start
    stats = sink.ask("stats")
    return {
        "streams ended s": streams if told["done"] else STOP_WITHIN,
        "server ended s": whole,
        "told": stats["events"].get("bye", 0),
        "exit code": code,
    }


# ---- the whole


def targets(results: Mapping[str, Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    found = []
    for row in results.get("idle", ()):
        name = f"{row['viewers']:,} idle viewers"
        found.append(judge(f"{name}: KB for each", row["KB/idle viewer"], 2.5))
        found.append(judge(f"{name}: lost", row["lost"], 0))
    for row in results.get("stop", ()):
        name = f"SIGTERM with {row['viewers']:,} viewers and {row['stuck']} stuck"
        found.append(judge(f"{name}: s", row["server ended s"], 3 if row["stuck"] else 2))
        found.append(judge(f"{name}: told of all", row["told"] / row["viewers"], 1, least=True))
    return found


def possible(viewers: int) -> int:
    most = descriptors() - SPARE
    if viewers > most:
        print(
            f"!! A process may open {most + SPARE:,} files here, so {most:,} viewers are measured "
            f"instead of {viewers:,}. Raise the hard limit (ulimit -Hn) to {viewers + SPARE:,}."
        )
    return min(viewers, most)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=VIEWERS)
    parser.add_argument("--stopped", type=int, default=10_000, help="viewers when it stops")
    parser.add_argument("--seconds", type=float, default=2 * PING_EVERY)
    parser.add_argument("--quick", action="store_true", help="2,000 viewers, one round of pings")
    parser.add_argument("--only", nargs="*", default=["idle", "stop"], help="idle stop")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.viewers, options.stopped, options.seconds = 2_000, 1_000, PING_EVERY
    print(machine())
    viewers, stopped = possible(options.viewers), possible(options.stopped + STUCK) - STUCK
    results: dict[str, list[dict[str, Any]]] = {}
    if "idle" in options.only:
        results["idle"] = [idle(n, options.seconds) for n in (viewers // 5, viewers)]
        table(f"idle: no report for {options.seconds:g} s", results["idle"])
    if "stop" in options.only:
        results["stop"] = [stop(stopped, n) for n in (0, STUCK)]
        table("stop: SIGTERM", results["stop"])
    judged = targets(results)
    table("Targets", judged)
    save(options.json, {"machine": machine(), "results": results, "targets": judged})


if __name__ == "__main__":
    main()
