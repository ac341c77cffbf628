"""Simulated workers: each takes the jobs of its queue one after the other.

Some jobs fail, stall, are retried or cancelled. The load is small on purpose: few jobs at a time,
deleted some minutes after their end, and a few reports a second in all.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, Literal

from livejobs.core.errors import LivejobsError, StorageUnavailable
from livejobs.demo.scripts import SCRIPTS, Script
from livejobs.service import Job, LiveJobs
from livejobs.store.base import Query

Loop = Callable[[], Awaitable[None]]
Fate = Literal["well", "fails", "is retried", "stalls", "is cancelled"]
FATES: Final[dict[Fate, int]] = {
    "well": 60, "fails": 12, "is retried": 10, "stalls": 10, "is cancelled": 8,
}  # fmt: skip
KEPT: Final = 15 * 60  # seconds that a finished job is shown
SILENCE: Final = 8  # seconds until a silent job of the demo is stalled
PAUSE: Final = (4.0, 14.0)  # seconds between two new jobs of a type
WAITING: Final = 2  # jobs in a queue; while there are so many, none is added

log = logging.getLogger("livejobs.demo")


class Ended(Exception):
    """The worker is done with the job: it was cancelled, or has failed."""


class Work:
    """A job that a worker has taken, and how the job will end."""

    def __init__(
        self, job: Job, script: Script, dice: random.Random, fate: Fate, pace: float
    ) -> None:
        self.job = job
        self.dice = dice
        self._pace = pace
        self._fails = script.fails
        self._fate: Fate = fate
        self._left = dice.uniform(3, 15)  # seconds until that happens

    async def takes(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._pace)
        self._left -= seconds
        if self._left < 0 and self._fate != "well":
            fate, self._fate = self._fate, "well"
            await self._meet(fate)
        if self.job.cancel_requested:
            await self.job.log("Asked to stop; cleaning up", level="warning")
            await self.job.cancelled()
            raise Ended

    async def _meet(self, fate: Fate) -> None:
        if fate == "stalls":
            await self.job.log("Waiting for the licence server", level="warning")
            await asyncio.sleep((SILENCE + self.dice.uniform(4, 15)) / self._pace)
        elif fate == "is cancelled":
            await self.job.ask_to_cancel()
        elif fate == "is retried":
            await self.job.log("The worker was evicted from its node", level="error")
            await self.job.retry("The worker was evicted from its node")
            await asyncio.sleep(self.dice.uniform(2, 6) / self._pace)
            raise Again
        else:
            why = self.dice.choice(self._fails)
            await self.job.log(why, level="error")
            await self.job.fail(why, code="demo")
            raise Ended


class Again(Exception):
    """The job was sent back to its queue."""


class Queue:
    """The jobs of one type: one loop adds them, and workers take them."""

    def __init__(self, live: LiveJobs, script: Script, pace: float) -> None:
        self.script = script
        self._live = live
        self._pace = pace
        self._dice = random.Random()  # noqa: S311 - a game
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()

    async def add_some(self) -> None:
        await asyncio.sleep(self._dice.uniform(0, 3) / self._pace)  # not all types at once
        while True:
            if self._jobs.qsize() < WAITING:
                self._jobs.put_nowait(await self._new())
            await asyncio.sleep(self._dice.uniform(*PAUSE) / self._pace)

    async def _new(self) -> Job:
        return await self._live.create(
            type=self.script.type,
            ttl_seconds=KEPT,
            heartbeat_timeout=SILENCE / self._pace,
            **self.script.new(self._dice),
        )

    async def work(self, number: int) -> None:
        while True:
            job = await self._jobs.get()
            try:
                await self._do(job, number)
            except Again:
                self._jobs.put_nowait(job)
            except Ended:
                pass
            except StorageUnavailable as error:
                log.warning("%s", error)
                await asyncio.sleep(5)
                self._jobs.put_nowait(job)
            except LivejobsError as error:  # a visitor has ended or deleted the job
                log.debug("%s", error)
            except Exception as error:  # noqa: BLE001  a visitor's report must not end a worker
                log.warning("A worker of the demo failed on a visitor's report: %r", error)

    async def _do(self, job: Job, number: int) -> None:
        first = (await job.state())["attempt"] == 1
        fate = self._dice.choices([*FATES], [*FATES.values()])[0] if first else "well"
        work = Work(job, self.script, self._dice, fate, self._pace)
        await job.start(
            host=f"{self.script.type}-{number}", pid=1000 + self._dice.randrange(60_000),
            queue_id=140_000_000_000_000 + self._dice.randrange(10**12),
        )  # fmt: skip
        await job.succeed(await self.script.run(work))


@asynccontextmanager
async def playing(live: LiveJobs, pace: float = 1) -> AsyncIterator[None]:
    """Simulate jobs of all types inside the `async with`, `pace` times as fast as real work.
    First end the jobs that an earlier demo left unfinished."""
    await _end_leftovers(live)
    loops = [loop for script in SCRIPTS for loop in _loops(Queue(live, script, pace))]
    tasks = [asyncio.create_task(_keep_running(loop)) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _loops(queue: Queue) -> Iterator[Loop]:
    yield queue.add_some
    for number in range(1, queue.script.workers + 1):
        yield partial(queue.work, number)


async def _keep_running(loop: Loop) -> None:
    """Start the loop again after an error, as of a full disk."""
    while True:
        try:
            await loop()
        except LivejobsError as error:
            log.warning("%s", error)
            await asyncio.sleep(5)


async def _end_leftovers(live: LiveJobs) -> None:
    while True:
        query = Query(None, statuses=("queued", "running"), tag="demo")
        left = (await live.list(query)).slots
        if not left:
            return
        for slot in left:
            report = {"type": "fail", "message": "The demo was stopped before this job ended."}
            await live.report(slot.head.id, report)
