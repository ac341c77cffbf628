"""How many nodes and databases a load needs, by the figures of the other benchmarks. A simulation
checks the sums.

A cell is one PostgreSQL with its nodes, and has some of the projects. Cells know nothing of each
other. Every node of a cell takes its share of the reports, follows the reports to its neighbours,
and sends to its share of the viewers:

    CPU of a node = reports/nodes * take + reports * (1 - 1/nodes) * follow + messages/nodes * send

The simulation gives each job and each viewer a place at random, plays the reports of some seconds
one by one down the tree (worker, node, database, nodes, viewers), and counts what each node did.
It is one part in `--scale` of the load."""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import judge, save, table

BUSY = 0.6  # of a core; the rest is for peaks, and for the nodes that are restarted
SPREAD = 1.2  # how much busier than the mean the busiest node may be


@dataclass(frozen=True)
class Costs:
    """Microseconds of CPU, and bytes. Measured: see README.md."""

    take: float  # a node takes a report, in arrays of 100
    follow: float  # a node learns a report from the database
    send: float  # a message to a viewer by SSE
    database: float  # PostgreSQL, a report
    viewer: int = 1_300  # memory of a viewer
    job: int = 6_000  # memory of an unfinished job, on every node of its cell
    message: int = 700  # bytes on the wire


@dataclass(frozen=True)
class Load:
    viewers: int
    reports: int  # a second
    jobs: int  # running, so each reports `reports / jobs` times a second
    pace: float = 1.0  # messages a second to a viewer, at most


@dataclass(frozen=True)
class Plan:
    cells: int
    nodes: int  # in each cell


def messages(load: Load) -> float:
    """A second: a viewer gets its job's reports, but no more than its pace."""
    return load.viewers * min(load.pace, load.reports / load.jobs)


def node_cpu(load: Load, plan: Plan, costs: Costs) -> float:
    """Of one core."""
    reports, sent = load.reports / plan.cells, messages(load) / plan.cells
    taken = reports / plan.nodes * costs.take
    followed = reports * (1 - 1 / plan.nodes) * costs.follow
    return (taken + followed + sent / plan.nodes * costs.send) / 1e6


def database_cpu(load: Load, plan: Plan, costs: Costs) -> float:
    return load.reports / plan.cells * costs.database / 1e6


def planned(load: Load, costs: Costs, nodes: int, cores: int) -> Plan:
    """The fewest cells whose nodes and databases are not too busy."""
    cells = 1
    while (
        node_cpu(load, Plan(cells, nodes), costs) > BUSY
        or database_cpu(load, Plan(cells, nodes), costs) > BUSY * cores
    ):
        cells += 1
    return Plan(cells, nodes)


def needs(load: Load, plan: Plan, costs: Costs) -> list[dict[str, Any]]:
    nodes = plan.cells * plan.nodes
    memory = load.viewers / nodes * costs.viewer + load.jobs / plan.cells * costs.job
    return [
        {"": "cells", "figure": plan.cells},
        {"": "nodes, each one core", "figure": nodes},
        {"": "CPU of a node, of a core", "figure": node_cpu(load, plan, costs)},
        {"": "CPU of a cell's PostgreSQL, cores", "figure": database_cpu(load, plan, costs)},
        {"": "reports a second in a cell", "figure": round(load.reports / plan.cells)},
        {"": "viewers of a node", "figure": round(load.viewers / nodes)},
        {"": "memory of a node, MB", "figure": memory / 1e6},
        {"": "messages a second", "figure": round(messages(load))},
        {"": "egress, Gbit/s", "figure": messages(load) * costs.message * 8 / 1e9},
    ]


class Cell:
    """The part of the tree below one database."""

    def __init__(self, nodes: int) -> None:
        self.nodes = range(nodes)
        self.did: Counter[tuple[str, int]] = Counter()  # what, and on which node
        self.watched: dict[int, Counter[int]] = {}  # by job: viewers on each node
        self.sent_at: dict[tuple[int, int], float] = {}  # by job and node

    def watch(self, job: int) -> None:
        self.watched.setdefault(job, Counter())[random.choice(self.nodes)] += 1

    def report(self, job: int, now: float, pace: float) -> None:
        taker = random.choice(self.nodes)
        for node in self.nodes:
            self.did["take" if node == taker else "follow", node] += 1
            viewers = self.watched[job][node] if job in self.watched else 0
            if viewers and now - self.sent_at.get((job, node), -1e9) >= 0.999 / pace:
                self.sent_at[job, node] = now
                self.did["send", node] += viewers

    def cpu(self, costs: Costs, seconds: float) -> list[float]:
        each: Mapping[str, float] = {
            "take": costs.take,
            "follow": costs.follow,
            "send": costs.send,
        }
        return [
            sum(self.did[what, node] * cost for what, cost in each.items()) / seconds / 1e6
            for node in self.nodes
        ]


def simulated(load: Load, plan: Plan, costs: Costs, scale: int, seconds: int) -> dict[str, float]:
    """The mean and the busiest node, in cores of the whole load."""
    cells = [Cell(plan.nodes) for _ in range(plan.cells)]
    jobs = load.jobs // scale
    for _ in range(load.viewers // scale):
        job = random.randrange(jobs)
        cells[job % plan.cells].watch(job)
    for n in range(load.reports // scale * seconds):
        job = n % jobs
        cells[job % plan.cells].report(job, n / (load.reports // scale), load.pace)
    busy = [cpu * scale for cell in cells for cpu in cell.cpu(costs, seconds)]
    return {"mean": sum(busy) / len(busy), "busiest": max(busy)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=1_000_000)
    parser.add_argument("--reports", type=int, default=100_000, help="a second")
    parser.add_argument("--jobs", type=int, default=100_000, help="running at once")
    parser.add_argument("--nodes", type=int, default=3, help="in each cell")
    parser.add_argument("--cores", type=int, default=2, help="of each PostgreSQL")
    parser.add_argument("--take", type=float, default=20, help="us")
    parser.add_argument("--follow", type=float, default=10, help="us")
    parser.add_argument("--send", type=float, default=9.0, help="us")
    parser.add_argument("--database", type=float, default=20, help="us")
    parser.add_argument("--scale", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    load = Load(options.viewers, options.reports, options.jobs)
    costs = Costs(options.take, options.follow, options.send, options.database)
    plan = planned(load, costs, options.nodes, options.cores)
    rows = needs(load, plan, costs)
    table(f"{load.viewers:,} viewers, {load.reports:,} reports a second", rows)
    seen = simulated(load, plan, costs, options.scale, options.seconds)
    paper = node_cpu(load, plan, costs)
    targets = [
        judge("simulated mean / paper", seen["mean"] / paper, 1.05),
        judge("simulated mean / paper", seen["mean"] / paper, 0.95, least=True),
        judge("busiest node / mean", seen["busiest"] / seen["mean"], SPREAD),
    ]
    table(f"Simulated at one part in {options.scale}", targets)
    save(options.json, {"needs": rows, "targets": targets})


if __name__ == "__main__":
    main()
