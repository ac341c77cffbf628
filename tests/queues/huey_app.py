"""Tasks of Huey as a program has them. BROKER names its Redis."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from huey import CancelExecution, RedisHuey, chord

import livejobs

huey = RedisHuey("shop", url=os.environ["BROKER"])
livejobs.huey.install(huey, exclude=["*.secret"])
livejobs.huey.install(huey)  # twice is harmless


def sent(task: Any) -> str:
    """The id of the task, and of the job."""
    huey.enqueue(task)
    livejobs.flush()
    return str(task.id)


@huey.pre_execute()  # type: ignore[untyped-decorator]  # it has no types
def leave_out(task: Any) -> None:
    if task.name == "unwanted":
        raise CancelExecution


@huey.task()  # type: ignore[untyped-decorator]  # it has no types
def add(a: int, b: int) -> int:
    return a + b


@huey.task()  # type: ignore[untyped-decorator]  # it has no types
def secret() -> None: ...


@huey.task()  # type: ignore[untyped-decorator]  # it has no types
def unwanted() -> None: ...


@huey.task()  # type: ignore[untyped-decorator]  # it has no types
def gives_up() -> None:
    raise CancelExecution


@huey.task()  # type: ignore[untyped-decorator]  # it has no types
def broken(password: str) -> None:
    raise ValueError("no such order")


@huey.task(retries=2, context=True)  # type: ignore[untyped-decorator]  # it has no types
def flaky(task: Any = None) -> str:
    livejobs.current().progress(2 - task.retries, 2)
    if task.retries:
        raise ConnectionError("the shop is closed")
    return "open"


@huey.task()  # type: ignore[untyped-decorator]  # it has no types
def touch(path: str) -> None:
    Path(path).touch()


@huey.task()  # type: ignore[untyped-decorator]  # it has no types
def endless() -> None:
    job = livejobs.current()
    while not job.cancelled:
        job.advance()
        time.sleep(0.02)


@huey.task(retries=2)  # type: ignore[untyped-decorator]  # it has no types
def stops() -> None:
    raise livejobs.Cancelled("a job")


@huey.task()  # type: ignore[untyped-decorator]  # it has no types
def total(numbers: list[int]) -> int:
    return sum(numbers)


def fan(tasks: list[Any], callback: Any) -> str:
    """A chord. The id of its callback."""
    huey.enqueue(chord(tasks, callback))
    livejobs.flush()
    return str(callback.id)


def chain(*tasks: Any) -> list[str]:
    first, *rest = tasks
    for task in rest:
        first.then(task)
    sent(first)
    return [task.id for task in tasks]


def revoke(task: Any) -> str:
    """Revoked before a consumer has it."""
    huey.revoke(task)
    return sent(task)
