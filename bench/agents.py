"""A thousand agents that wait for a job, beside a thousand viewers of the job: the server's CPU for
each message, and memory of an idle one.

- states: `wait_for_job` of MCP with a progress token and `:subscribe` of A2A, beside native states.
- lines: Durable Streams, beside native deltas with the log.

A wait sends at most two notifications a second, so the job reports less often, and each report is
a message to each viewer. A wait lasts at most 50 seconds, so a round must be shorter."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import Connection, judge, machine, median, save, table
from contenders import JOB, LOGS, STATE, Contender, start_livejobs
from fanout import Scenario, measure

from livejobs.mcp.tools.waiting import RATE

TOKEN = "agent"
MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"
WAIT = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {
        "name": "wait_for_job",
        "arguments": {"id": JOB, "timeout_seconds": 50},
        "_meta": {
            f"{META}protocolVersion": MODERN,
            f"{META}clientCapabilities": {},
            "progressToken": TOKEN,
        },
    },
}


def start(tmp: Path) -> Any:
    return start_livejobs(tmp, "--faces", "a2a,streams")


def create(port: int) -> None:
    """Without a total: the percent must not stand still, or a wait has nothing to tell."""
    with Connection(port) as connection:
        connection.post("/v1/jobs", json.dumps({"id": JOB, "title": "Bench"}).encode())


def open_to_agents(contender: Contender, **changes: Any) -> Contender:
    return replace(contender, start=start, prepare=create, **changes)


MCP = open_to_agents(
    STATE,
    name="mcp wait_for_job",
    path="/mcp",
    message=json.dumps(WAIT),
    headers=(
        f"MCP-Protocol-Version: {MODERN}",
        "Mcp-Method: tools/call",
        "Mcp-Name: wait_for_job",
        "Content-Type: application/json",
    ),
)
A2A = open_to_agents(
    STATE,
    name="a2a subscribe",
    path=f"/a2a/tasks/{JOB}:subscribe",
    headers=("A2A-Version: 1.0",),
)
STREAMS = open_to_agents(
    LOGS,
    name="streams sse",
    path=f"/streams/{JOB}/logs?offset=now&live=sse",
)
VIEWERS = {"states": open_to_agents(STATE), "lines": open_to_agents(LOGS)}
SCENARIOS = (
    Scenario(
        "states",
        "states, reported slowly",
        (VIEWERS["states"], MCP, A2A),
        1_000,
        0.75 * RATE,
        seconds=10,
    ),
    Scenario(
        "lines", "lines of a log", (VIEWERS["lines"], STREAMS), 1_000, 0.75 * RATE, "e", seconds=10
    ),
)
# Each notification has the token of its caller, so waits share all but the last step of the words.
OWN_WORDS = {MCP.name: 1.7}
MEMORY = 1.5


def run(scenario: Scenario) -> list[dict[str, Any]]:
    rounds = [[measure(scenario, c) for c in scenario.contenders] for _ in range(scenario.rounds)]
    rows = [median(rows) for rows in zip(*rounds, strict=True)]
    table(f"{scenario.title}: {scenario.viewers:,} viewers, {scenario.rate:g} reports/s", rows)
    return rows


def verdicts(scenario: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    viewer, *others = rows
    found = []
    for row in others:
        for key, bound in (
            ("us/message", OWN_WORDS.get(row["server"], 1.3)),
            ("KB/idle viewer", MEMORY),
        ):
            name = f"{scenario}: {key}, {row['server']} / a viewer"
            found.append(judge(name, row[key] / viewer[key], bound))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--only", nargs="*", help="scenarios: states lines")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(machine())
    results = {
        it.name: run(
            replace(it, viewers=options.viewers, rounds=1 if options.quick else options.rounds)
        )
        for it in SCENARIOS
        if not options.only or it.name in options.only
    }
    targets = [row for name, rows in results.items() for row in verdicts(name, rows)]
    table("Targets", targets)
    save(options.json, {"machine": machine(), "results": results, "targets": targets})


if __name__ == "__main__":
    main()
