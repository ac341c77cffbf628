"""A simulated year: a million jobs are created, reported on, and expire after a week. The size on
disk, memory, descriptors, and how long reports take must be as flat at its end as at its beginning.

The server runs as it always does, in this process; only its clock is ours. It moves on with each
job, so a year takes as long as its jobs take. The sweeper runs once in a real second, and removes
jobs while others are reported on. `--picture` draws what was measured."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final
from unittest.mock import patch

from chart import Series, draw
from common import judge, machine, save, table

from livejobs import LiveJobs, Settings, clock
from livejobs.jobs.changes import sweeper
from livejobs.store.base import Query

DAY: Final = 86_400_000  # ms
DAYS: Final = 364  # 52 weeks
BEGIN: Final = 1_767_225_600_000  # 2026-01-01
WORKERS: Final = 64
FILE_EACH: Final = 50  # jobs
# How far the sweeper may be behind before the workers wait for it: a part of the year, and jobs.
BEHIND: Final = 0.003
BEHIND_JOBS: Final = 200
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
SHOWN: Final = {
    "disk_mb": ("On disk", "MB"),
    "rss_mb": ("Memory", "MB"),
    "descriptors": ("Open descriptors", ""),
    "p99_ms": ("A report, p99", "ms"),
}


class Year:
    """The clock, and what is measured in each of its parts."""

    def __init__(self, live: LiveJobs, folder: Path, jobs: int, samples: int) -> None:
        self.live = live
        self.folder = folder
        self.jobs = jobs
        self.each = jobs // samples
        self.behind = DAYS * DAY * max(BEHIND_JOBS / jobs, BEHIND)
        self.rows: list[dict[str, Any]] = []
        self.done = 0
        self._now = BEGIN
        self._made = itertools.count()
        self._took: list[float] = []
        self._begun = time.monotonic()

    def now_ms(self) -> int:
        return self._now

    def turn(self) -> Iterator[int]:
        """The numbers of jobs, to all workers together. The clock moves on with each."""
        for n in self._made:
            if n >= self.jobs:
                return
            self._now = BEGIN + n * DAYS * DAY // self.jobs
            yield n

    async def work(self) -> None:
        for n in self.turn():
            while self.live.sweeper.expiry.overdue > self.behind:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.01)
            await self._job(n)
            self.done += 1
            if self.done % self.each == 0:
                await self._measure(self.done)

    async def _job(self, n: int) -> None:
        job = await self.live.create(type=f"type{n % 10}", title=f"Shot {n}", tags=["nightly"])
        lines = [{"type": "log", "message": f"frame {i} of shot {n}"} for i in range(5)]
        await self._timed(
            job.report({"type": "start"}, *lines, {"type": "progress", "percent": 50})
        )
        await self._timed(job.report({"type": "result", "value": {"shot": n}}))
        if n % FILE_EACH == 0:
            await job.put_file("out.txt", b"x" * 4096)
        await self._timed(job.succeed())

    async def _timed(self, report: Any) -> None:
        begin = time.perf_counter()
        await report
        self._took.append(time.perf_counter() - begin)

    async def _measure(self, done: int) -> None:
        took, self._took = self._took, []
        kept = sum((await self.live.store.counts(Query(None))).values())
        self.rows.append(
            {
                "day": round(done * DAYS / self.jobs, 1),
                "jobs": done,
                "kept": kept,
                "disk_mb": _disk(self.folder) / 1e6,
                "rss_mb": _resident() / 1e6,
                "descriptors": _descriptors(),
                "p50_ms": median(took) * 1000,
                "p99_ms": quantiles(took, n=100)[98] * 1000,
                "jobs/s": self.each / (time.monotonic() - self._begun),
            }
        )
        self._begun = time.monotonic()
        if sys.stdout.isatty():
            print(f"\r  day {self.rows[-1]['day']:.0f} of {DAYS}", end="\r", flush=True)


def _disk(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


async def simulated(folder: Path, jobs: int, samples: int, every: float) -> list[dict[str, Any]]:
    async with LiveJobs(Settings(data=folder)) as live:
        year = Year(live, folder, jobs, samples)
        with patch.object(clock, "now_ms", year.now_ms), patch.object(sweeper, "EVERY", every):
            await asyncio.gather(*(year.work() for _ in range(WORKERS)))
        return sorted(year.rows, key=itemgetter("jobs"))  # two may be measured at once


def flat(rows: Sequence[dict[str, Any]], name: str) -> tuple[float, float]:
    """The medians of the first and the last quarter of the time after jobs began to expire."""
    values = [row[name] for row in rows if row["day"] > 14]
    part = max(1, len(values) // 4)
    return median(values[:part]), median(values[-part:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--samples", type=int, default=104, help="figures in the year")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two sweeps")
    parser.add_argument("--quick", action="store_true", help="20,000 jobs")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="write a chart (SVG) to this file")
    parser.add_argument("--dir", type=Path, help="where the data folder lies meanwhile")
    options = parser.parse_args()
    jobs, samples = (20_000, 52) if options.quick else (options.jobs, options.samples)
    logging.getLogger("livejobs").setLevel(logging.ERROR)
    print(machine())
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(dir=options.dir, ignore_cleanup_errors=True) as folder:
        rows = asyncio.run(simulated(Path(folder), jobs, samples, options.every))
    took = time.monotonic() - begin
    table(
        f"{jobs:,} jobs in {DAYS} days, kept for 7; {took / 60:.1f} min", rows[:: len(rows) // 13]
    )
    ends = {name: flat(rows, name) for name in SHOWN}
    targets = [judge(f"{name}, last quarter / first", b / a, 1.1) for name, (a, b) in ends.items()]
    table("Flat", targets)
    save(options.json, {"machine": machine(), "jobs": jobs, "seconds": took, "rows": rows})
    if options.picture:
        days = [row["day"] for row in rows]
        series = [Series(*SHOWN[name], [row[name] for row in rows]) for name in SHOWN]
        title = f"{jobs:,} jobs created and expired in a simulated year"
        options.picture.write_text(draw(title, days, series))


if __name__ == "__main__":
    main()
