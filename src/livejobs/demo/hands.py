"""Simulated hands: they take a queue's jobs one after the other, well or badly.

Bounded on purpose: so many jobs at a time, gone some minutes after they ended, a few reports a
second in all.
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

Hand = Callable[[], Awaitable[None]]
Fate = Literal["well", "fails", "is retried", "stalls", "is cancelled"]
FATES: Final[dict[Fate, int]] = {
    "well": 60, "fails": 12, "is retried": 10, "stalls": 10, "is cancelled": 8,
}  # fmt: skip
KEPT: Final = 15 * 60  # seconds that a finished job is shown
SILENCE: Final = 8  # seconds, after which a job of the demo is stalled
PAUSE: Final = (4.0, 14.0)  # seconds between two new jobs of a kind
WAITING: Final = 2  # most in a queue: then no more are added

log = logging.getLogger("livejobs.demo")


class Ended(Exception):
    """The job is over for its worker: it was cancelled, or has failed."""


class Work:
    """A job in hand, and what fate has for it."""

    def __init__(
        self, job: Job, script: Script, dice: random.Random, fate: Fate, pace: float
    ) -> None:
        self.job = job
        self.dice = dice
        self._pace = pace
        self._fails = script.fails
        self._fate: Fate = fate
        self._patience = dice.uniform(3, 15)  # seconds until fate strikes

    async def takes(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._pace)
        self._patience -= seconds
        if self._patience < 0 and self._fate != "well":
            fate, self._fate = self._fate, "well"
            await self._strike(fate)
        if self.job.cancel_requested:
            await self.job.log("Asked to stop; cleaning up", level="warning")
            await self.job.cancelled()
            raise Ended

    async def _strike(self, fate: Fate) -> None:
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
    """One kind of job: who adds them, and who works them off."""

    def __init__(self, live: LiveJobs, script: Script, pace: float) -> None:
        self.script = script
        self._live = live
        self._pace = pace
        self._dice = random.Random()  # noqa: S311 - a game
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()

    async def add_some(self) -> None:
        await asyncio.sleep(self._dice.uniform(0, 3) / self._pace)  # not all kinds at once
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
            except LivejobsError as error:  # it was ended or deleted by somebody: so be it
                log.debug("%s", error)
            except Exception as error:  # noqa: BLE001  what visitors say of a job is nobody's end
                log.warning("A job was told what its worker can't use: %r", error)

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
    """Jobs of all kinds for as long as this lasts, `pace` times as fast as life. What an earlier
    demo left is ended first."""
    await _end_leftovers(live)
    hands = [hand for script in SCRIPTS for hand in _hands(Queue(live, script, pace))]
    tasks = [asyncio.create_task(_lasting(hand)) for hand in hands]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _hands(queue: Queue) -> Iterator[Hand]:
    yield queue.add_some
    for number in range(1, queue.script.at_once + 1):
        yield partial(queue.work, number)


async def _lasting(hand: Hand) -> None:
    """A hand that trips gets up again: a full disk does not end the show."""
    while True:
        try:
            await hand()
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
            await live.report(
                slot.head.id, {"type": "fail", "message": "The demo was stopped meanwhile."}
            )
