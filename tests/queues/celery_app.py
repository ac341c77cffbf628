"""A Celery app as a program has it. BROKER names its Redis."""

# Celery has no types.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import Celery, chord, group
from celery.exceptions import Ignore, Reject

import livejobs

app = Celery("shop", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.broker_connection_retry_on_startup = True
app.conf.broker_transport_options = {"visibility_timeout": 1}
app.conf.worker_prefetch_multiplier = 1
livejobs.celery.install(app, terminate=True, exclude=["*.secret"])
livejobs.celery.install(app)  # twice is harmless


@app.task
def add(a: int, b: int) -> int:
    return a + b


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task
def secret() -> None: ...


@app.task
def report(parts: int) -> None:
    job = livejobs.current()
    for _ in job.track(range(parts)):
        pass
    job.log("All parts are done.")


@app.task(ignore_result=True)
def large() -> str:
    return "x" * 100_000


@app.task
def broken(password: str) -> None:
    raise ValueError("no such order")


@app.task(autoretry_for=(Exception,), max_retries=3)
def stops() -> None:
    raise livejobs.Cancelled("a job")


@app.task(bind=True, max_retries=3)
def flaky(self: Any, failures: int) -> str:
    livejobs.current().progress(self.request.retries, 3)
    try:
        if self.request.retries < failures:
            raise ConnectionError("the shop is closed")
    except ConnectionError as error:
        raise self.retry(exc=error, countdown=0) from error
    return "open"


@app.task
def ignored() -> None:
    raise Ignore


@app.task
def rejected() -> None:
    raise Reject("not mine", requeue=False)


@app.task
def touch(path: str) -> None:
    Path(path).touch()


@app.task
def endless() -> None:
    for step in range(10**6):
        livejobs.current().progress(step)
        time.sleep(0.05)


@app.task
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(bind=True, max_retries=1)
def end_as(self: Any, end: str) -> None:
    if end == "failed" or (end == "retried" and not self.request.retries):
        raise self.retry(countdown=0, exc=ValueError(end))


@app.task(acks_late=True, reject_on_worker_lost=True)
def die_once(path: str) -> str:
    if Path(path).exists():
        return "done"
    Path(path).touch()
    livejobs.flush(60.0)  # the server knows that it has begun
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


@app.task
def hang() -> None:
    signal.pause()


def send(task: str, *args: Any, **options: Any) -> str:
    """The id of the task, once the server has its job."""
    id = globals()[task].apply_async(args, **options).id
    assert livejobs.flush(60.0)
    return str(id)


def consume(queue: str) -> None:
    """The worker takes this queue as well. It answers, and had every earlier command before."""
    assert app.control.add_consumer(queue, reply=True, timeout=60.0, limit=1)


def state_of(id: str) -> str:
    """What Celery itself says in the end."""
    result = app.AsyncResult(id)
    result.get(timeout=60, propagate=False)
    return str(result.state)


def send_chain() -> str:
    """The id of its last task, whose job comes when it is sent."""
    first = (add.s(1, 1) | add.s(1) | add.s(1))()
    first.get(timeout=60)
    return str(first.id)


def send_group(*ends: str) -> str:
    """The id of a group whose tasks end like this."""
    id = group(end_as.s(end) for end in ends)().id
    assert livejobs.flush(60.0)
    return str(id)


def send_chord(numbers: int) -> str:
    """The id of the chord's body."""
    id = chord(add.s(n, n) for n in range(numbers))(total.s()).id
    assert livejobs.flush(60.0)
    return str(id)
