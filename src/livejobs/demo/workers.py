"""The process of the workers: it keeps a few jobs in each queue, and threads that work on them.

The load is small on purpose: few jobs at a time, a few reports a second in all, and jobs that are
deleted some minutes after their end.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from queue import SimpleQueue
from typing import Any, Final

import livejobs
from livejobs.client.worker.block import Block
from livejobs.demo.scene import Again, Fate, Scene, Stage, Ticket
from livejobs.demo.scenes import SCENES

KEPT: Final = 15 * 60  # seconds that a finished job is shown
SILENCE: Final = 8  # seconds until a job whose fate it is to stall does so
WAITING: Final = 2  # jobs in a queue; while there are so many, none is added
HISTORY: Final = 20  # short jobs at the start, so that lists and charts are not empty
TAG: Final = "demo"
STOPPED: Final = "The worker stopped before this job ended."

log = logging.getLogger("livejobs.demo")


class Workers:
    def __init__(self, client: livejobs.Client, pace: float) -> None:
        self.pace = pace
        self._client = client
        self._dice = random.Random()  # noqa: S311 - a game
        self._scenes = {scene.type: scene for scene in SCENES}
        self._queues = {type: SimpleQueue[Ticket]() for type in self._scenes}
        self._added = Counter[str]()
        self._due = dict.fromkeys(self._scenes, 0.0)  # when the next job of a type is added

    # The jobs

    def add(self, type: str, fate: Fate | None = None, **about: Any) -> Ticket:
        scene = self._scenes[type]
        fates = scene.fates
        if fate is None:
            fate = fates[self._added[type] % len(fates)]
            self._added[type] += 1
        about = {**scene.new(self._dice), "ttl_seconds": KEPT, **about}
        about["tags"] = [TAG, *about.get("tags", ())]
        if fate == "stalls":
            about["heartbeat_timeout"] = max(1.0, SILENCE / self.pace)
        ticket = Ticket(scene, about, fate, job_of(scene, about))
        ticket.job.create()
        self._queues[type].put(ticket)
        return ticket

    def cancel(self, id: str) -> None:
        self._client.cancel(id)

    # The work

    def start(self) -> None:
        for scene in SCENES:
            for number in range(1, scene.workers + 1):
                name = f"{scene.type}-{number}"
                threading.Thread(target=self._work, args=(scene, name), daemon=True).start()
        for _ in range(HISTORY):
            self.add("convert", "well")

    def fill_queues(self) -> None:
        """Add the jobs that are due."""
        now = time.monotonic()
        for scene in SCENES:
            if scene.every is None or now < self._due[scene.type]:
                continue
            self._due[scene.type] = now + self._dice.uniform(*scene.every) / self.pace
            if self._queues[scene.type].qsize() < WAITING:
                self.add(scene.type)

    def _work(self, scene: Scene, name: str) -> None:
        while True:
            ticket = self._queues[scene.type].get()
            try:
                self._do(ticket, name)
            except Again:
                self._add_again(ticket)
                continue
            except livejobs.Cancelled:  # before its block was open
                ticket.job.end_cancelled()
            except Exception as error:  # noqa: BLE001 - its block has reported it
                ticket.failed = str(error)
            ticket.ended.set()
            time.sleep(self._dice.uniform(0, 1) / self.pace)

    def _add_again(self, ticket: Ticket) -> None:
        ticket.job = job_of(ticket.scene, ticket.about, id=ticket.job.id)
        ticket.fate = "well"
        time.sleep(self._dice.uniform(2, 5) / self.pace)
        self._queues[ticket.scene.type].put(ticket)

    def _do(self, ticket: Ticket, name: str) -> None:
        if ticket.fate == "stalls":
            self._be_silent(ticket)
        with ticket.job as job:
            toolkit = "endpoint" in ticket.about.get("meta", {})
            more = {"queue_id": threading.get_ident()} if toolkit else {}
            job.start(host=name, pid=os.getpid(), **more)
            job.succeed(ticket.scene.play(Stage(ticket, self, self._dice)))
        if ticket.job.saw_cancel:
            ticket.failed = "Cancelled"

    def _be_silent(self, ticket: Ticket) -> None:
        """As a worker that hangs. Outside of its block, a job gets no heartbeats."""
        ticket.job.progress(message=f"{ticket.scene.trouble}: waiting")
        ticket.job.log(f"{ticket.scene.trouble}: waiting", "warning")
        time.sleep((SILENCE + 12) / self.pace + self._dice.uniform(2, 4))


def job_of(scene: Scene, about: Mapping[str, Any], **more: Any) -> Block:
    return livejobs.job(scene.type, **about, **more, raise_on_cancel=True)


def end_leftovers(client: livejobs.Client) -> None:
    """End the jobs of earlier workers."""
    for left in list(client.list(status="queued,running", tag=TAG, limit=1000)):
        livejobs.job(id=left["id"]).fail(STOPPED)
    livejobs.flush()


def run(pace: float) -> None:
    """Never returns."""
    client = livejobs.Client()
    while not connected(client):
        time.sleep(5)
    workers = Workers(client, pace)
    workers.start()
    while True:
        workers.fill_queues()
        time.sleep(1 / max(1.0, pace))


def connected(client: livejobs.Client) -> bool:
    try:
        end_leftovers(client)
    except (livejobs.Refused, livejobs.Unreachable) as error:
        log.warning("The demo's workers can't reach their server: %s", error)
        return False
    return True
