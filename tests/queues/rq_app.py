"""Tasks of RQ as a program has them. BROKER names their Redis."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from redis import Redis
from rq import Queue, Retry, cancel_job, requeue_job
from rq.job import Job

import livejobs

redis = Redis.from_url(os.environ["BROKER"])
plain = Queue("plain", connection=redis)
stopping = Queue("stopping", connection=redis)
sync = Queue("sync", connection=redis, is_async=False)
unseen = Queue("unseen", connection=redis)
livejobs.rq.install(plain)
livejobs.rq.install(plain)  # twice is harmless
livejobs.rq.install(sync)
livejobs.rq.install(stopping, terminate=True)


def add(a: int, b: int) -> int:
    livejobs.current().log("adding")
    return a + b


def broken(password: str) -> None:
    raise ValueError("no such order")


def stops() -> None:
    raise livejobs.Cancelled("a job")


def flaky(path: str) -> str:
    """Fails when it runs for the first time, and when it runs for the second time."""
    livejobs.current().progress(1)
    for name in ("first", "second"):
        if not (Path(path) / name).exists():
            (Path(path) / name).touch()
            raise ConnectionError("the shop is closed")
    return "open"


def again(path: str) -> object:
    """The other way of RQ to retry."""
    if Path(path).exists():
        return "done"
    Path(path).touch()
    return Retry(max=1)


def touch(path: str) -> None:
    Path(path).touch()


def endless() -> None:
    job = livejobs.current()
    for step in range(10**6):
        if job.cancelled:
            return
        job.progress(step)
        time.sleep(0.05)


def hang() -> None:
    signal.pause()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def send(task: str, *args: Any, queue: str = "plain", retries: int = 0, after: Any = None) -> str:
    """The id of the task, once the server has its job."""
    retry = Retry(max=retries) if retries else None
    queues = {"plain": plain, "stopping": stopping, "sync": sync, "unseen": unseen}
    function = f"tests.queues.rq_app.{task}"
    id = queues[queue].enqueue(function, *args, retry=retry, depends_on=after).id
    assert livejobs.flush(60.0)
    return str(id)


def cancel(id: str) -> None:
    cancel_job(id, redis)
    assert livejobs.flush(60.0)


def requeue(id: str) -> None:
    requeue_job(id, redis)


def state_of(id: str) -> str:
    """What RQ itself says."""
    return str(Job.fetch(id, redis).get_status().value)
