"""The cost of a poll through a face: status requests of each face, beside the native snapshot of
the same job on the same server.

- few: a job with 5 results; many: one with 1,000.
- Rounds alternate between the two sides; figures are medians. The client is wrk for both sides. It
  shares the machine with the server.

Browsers poll the tasks face every two seconds, so only this face has a target: 0.8 of the native
snapshot. The toolkit face takes POST, and builds its envelope again for each call."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from common import Connection, Server, judge, machine, need, save, table
from contenders import start_livejobs
from ingest import JOBS, Ask, Case, compare, load, write

TARGET = 0.8
ADDRESSES = {
    "tasks": "/api/tasks/{id}/status/",
    "consolidation": "/api/v1/consolidation/status/{id}",
    "translation": "/api/v1/status/{id}",
    "render": "/api/jobs/{id}",
}


def told(server: Server, id: str, results: int) -> None:
    segments = [
        {"type": "result", "value": {"segment_id": n, "audio_url": f"/media/{n}.wav"}}
        for n in range(results)
    ]
    reports = [{"type": "progress", "current": results, "total": 2 * results}, *segments[1:]]
    with Connection(server.port) as connection:
        connection.post("/v1/jobs", json.dumps({"id": id, "title": "Story"}).encode())
        connection.post(f"/v1/jobs/{id}/reports", json.dumps(reports).encode())
        connection.post(f"/v1/jobs/{id}/reports", json.dumps(segments[0]).encode())


def cases(server: Server, tmp: Path, seconds: float) -> Iterator[tuple[str, Case]]:
    for size, results in (("few", 5), ("many", 1000)):
        told(server, size, results)
        native = partial(load, server, seconds, Ask("GET", f"/v1/jobs/{size}"))
        for face, path in ADDRESSES.items():
            ours = partial(load, server, seconds, Ask("GET", path.replace("{id}", size)))
            yield face, Case(f"{face}, {size} results, {JOBS} connections", ours, native, TARGET)
        body = write(tmp / size, [json.dumps({"job_id": size}).encode()])
        ask = Ask("POST", "/v1/toolkit/job/status", body, "Content-Type", "application/json")
        ours = partial(load, server, seconds, ask)
        yield "toolkit", Case(f"toolkit, {size} results, {JOBS} connections", ours, native, TARGET)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round of a second")
    parser.add_argument("--only", nargs="*", help="of which faces")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.rounds = 1, 1
    need("wrk")
    print(machine())
    results, targets = {}, []
    with tempfile.TemporaryDirectory() as tmp, ExitStack() as stack:
        server = stack.enter_context(start_livejobs(Path(tmp)))
        for face, case in cases(server, Path(tmp), options.seconds):
            if options.only and face not in options.only:
                continue
            rows = results[case.name] = compare(case, options.rounds)
            if face == "tasks":
                targets.append(judge(case.name, rows[0]["ratio"], case.bound, least=True))
    if targets:
        table("Targets: how much of the native snapshot's speed", targets)
    save(options.json, {"machine": machine(), "results": results, "targets": targets})


if __name__ == "__main__":
    main()
