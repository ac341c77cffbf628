"""Realistic jobs on a running server, for looking at the pages:

python -m tests.browser.simulate http://127.0.0.1:8000 [--jobs 40] [--speed 1]
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx2

Report = dict[str, Any]


class Kind(NamedTuple):
    """The shape of the jobs of one type."""

    type: str
    titles: Sequence[str]
    unit: str
    total: int  # 0: unknown
    seconds: float
    steps: Sequence[tuple[str, str, int]] = ()
    says: Sequence[str] = ()
    breaks: str = ""  # message of a failure
    tags: Sequence[str] = ()


KINDS = [
    Kind(
        "render",
        [
            "Launch film, 4K master",
            "Teaser, vertical cut",
            "Title sequence v7",
            "Trailer, subtitled",
        ],
        "frames",
        1440,
        60,
        [("extract", "Extract scenes", 1), ("render", "Render frames", 6), ("encode", "Encode", 2)],
        ["Lighting pass", "Motion blur", "Denoising", "Colour grade"],
        "GPU 1 ran out of memory at frame 912",
        ["nightly"],
    ),
    Kind(
        "translation",
        ["Annual report, German", "Terms of service, Japanese", "Handbook, Brazilian Portuguese"],
        "segments",
        380,
        45,
        says=["Chapter 2: Results", "Chapter 3: Outlook", "Appendix A", "Checking terminology"],
        breaks="The glossary could not be read: line 41 has no translation",
    ),
    Kind(
        "consolidation",
        ["Consolidate memories of Atlas", "Consolidate memories of Juno"],
        "memories",
        2200,
        30,
        says=["Clustering", "Merging near duplicates", "Writing summaries"],
        breaks="Embedding service answered 503 five times in a row",
    ),
    Kind(
        "ingest",
        ["Import customers.csv", "Import orders, Q3", "Re-index the product catalogue"],
        "rows",
        48_000,
        24,
        says=["Reading", "Validating", "Writing to the warehouse"],
        breaks="Column “price” is missing in part 7",
        tags=["warehouse"],
    ),
    Kind(
        "evaluation",
        ["Evaluate router-small on MMLU", "Evaluate summariser, 12 prompts"],
        "prompts",
        600,
        40,
        says=["Sampling", "Scoring", "Bootstrapping confidence intervals"],
        breaks="Judge model timed out",
    ),
    Kind(
        "backup",
        ["Nightly backup of eu-west", "Nightly backup of us-east"],
        "GB",
        72,
        18,
        says=["Snapshot", "Upload", "Verify"],
        breaks="The bucket refused the upload: quota exceeded",
        tags=["nightly"],
    ),
    Kind(
        "crawl",
        ["Crawl docs.example.com", "Crawl the support forum"],
        "pages",
        0,
        50,
        says=["Following links", "Waiting for robots.txt", "Following links, depth 3"],
        breaks="The site answers 429 to everything",
    ),
]


class Worker:
    def __init__(self, client: httpx2.AsyncClient, id: str, kind: Kind, speed: float) -> None:
        self.client, self.id, self.kind, self.speed = client, id, kind, speed

    async def say(self, *reports: Report) -> bool:
        """Send reports. Return whether to continue."""
        answer = await self.client.post(f"/v1/jobs/{self.id}/reports", json=list(reports))
        return answer.status_code == 200 and not answer.json()["cancel_requested"]

    async def rest(self, seconds: float) -> None:
        await asyncio.sleep(seconds * random.uniform(0.7, 1.3) / self.speed)

    async def work(self) -> None:
        ends_at = random.choice([1, 1, 1, 1, random.uniform(0.2, 0.9)])
        await self.say(
            {"type": "start", "worker": {"host": f"node-{random.randint(1, 6)}", "pid": 4711}},
            log("info", f"{self.kind.type} 2.14 starts, 8 threads"),
        )
        ticks = 80
        for tick in range(1, int(ticks * ends_at) + 1):
            if not await self.say(*self.moment(tick, tick / ticks)):
                await self.say({"type": "cancelled"})
                return
            await self.rest(self.kind.seconds / ticks)
            if tick == ticks // 3 and random.random() < 0.1:
                await self.rest(40)  # and is taken for stalled
        await self.say(*self.end(ends_at == 1))

    def moment(self, tick: int, done: float) -> list[Report]:
        kind = self.kind
        phase = kind.says[min(int(done * len(kind.says)), len(kind.says) - 1)]
        current = round((kind.total or 700) * done)
        said: list[Report] = [
            {"type": "progress", "current": current, "message": phase},
            log("info" if tick % 3 else "debug", f"{phase}: {current} {kind.unit}"),
            *self.step(done),
        ]
        if tick % 17 == 0:
            said.append(log("warning", f"{kind.unit} {current} took 2.4 s, retried once"))
            said.append({"type": "count", "counters": {"retries": 1, "cache_hits": tick * 7}})
        if tick % 23 == 0:
            said.append(log("error", f"{kind.unit} {current} skipped: checksum differs"))
            said.append({"type": "error", "message": "Checksum differs", "item": current})
        if tick % 20 == 0:
            value = {"part": tick // 20, "took": round(done * 9, 2), "score": 0.9 + done / 20}
            said.append({"type": "result", "value": value})
        return said

    def step(self, done: float) -> list[Report]:
        weights = [weight for _, _, weight in self.kind.steps]
        said: list[Report] = []
        before = 0.0
        for name, _, weight in self.kind.steps:
            share = weight / sum(weights)
            inner = min(1, max(0, (done - before) / share))
            before += share
            if inner > 0:
                status = "succeeded" if inner == 1 else "running"
                percent = {"current": round(100 * inner), "total": 100}
                said.append({"type": "step", "name": name, "status": status, **percent})
        return said

    def end(self, well: bool) -> list[Report]:
        if well:
            result = {"output": f"{self.id}.out", "checked": True, self.kind.unit: self.kind.total}
            return [log("info", "Done"), {"type": "succeed", "result": result}]
        detail = {"host": "node-3", "exit_code": 137, "attempts": 3}
        return [
            log("error", self.kind.breaks),
            {"type": "fail", "message": self.kind.breaks, "code": "worker_error", "detail": detail},
        ]


def log(level: str, message: str) -> Report:
    return {"type": "log", "level": level, "message": message, "source": "worker"}


def new_job(kind: Kind, nth: int) -> dict[str, Any]:
    steps = [{"name": name, "title": title, "weight": n} for name, title, n in kind.steps]
    return {
        "type": kind.type,
        "title": kind.titles[nth % len(kind.titles)],
        "total": kind.total or None,
        "unit": kind.unit,
        "steps": steps,
        "tags": list(kind.tags),
        "meta": {"requested_by": random.choice(["mira", "tomas", "yuki"]), "priority": 3},
        "heartbeat_timeout": 10,
    }


async def one(client: httpx2.AsyncClient, gate: asyncio.Semaphore, nth: int, speed: float) -> None:
    kind = KINDS[nth % len(KINDS)]
    answer = await client.post("/v1/jobs", json=new_job(kind, nth // len(KINDS)))
    async with gate:
        await Worker(client, answer.json()["id"], kind, speed).work()


async def simulate(url: str, jobs: int, speed: float, workers: int) -> None:
    """Create jobs one after the other. `workers` of them run, the others wait."""
    gate = asyncio.Semaphore(workers)
    async with httpx2.AsyncClient(base_url=url, timeout=30) as client, asyncio.TaskGroup() as group:
        for nth in range(jobs):
            group.create_task(one(client, gate, nth, speed))
            await asyncio.sleep(random.uniform(2, 9) / speed)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--speed", type=float, default=1)
    parser.add_argument("--workers", type=int, default=5)
    said = parser.parse_args()
    asyncio.run(simulate(said.url, said.jobs, said.speed, said.workers))


if __name__ == "__main__":
    main()
