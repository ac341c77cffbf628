"""Tasks of Taskiq as a program has them. BROKER names its Redis."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Annotated, Any

from blockbuster import BlockBuster
from taskiq import AsyncTaskiqTask, Context, SimpleRetryMiddleware, TaskiqDepends
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

import livejobs

results: Any = RedisAsyncResultBackend(os.environ["BROKER"])
# redis 8 breaks off a read after 5 s, which ends a worker that waits for a task.
queue = ListQueueBroker(os.environ["BROKER"], queue_name="shop", socket_timeout=None)
broker = queue.with_result_backend(results)
broker.add_middlewares(SimpleRetryMiddleware())
livejobs.taskiq.install(broker, terminate=True, exclude=["*:secret"])
livejobs.taskiq.install(broker)  # twice is harmless

# A blocking call of ours in the loop fails the task, or its sender.
BlockBuster("livejobs").activate()


def sent(task: Any, *args: Any, **labels: Any) -> str:
    """The id of the task, and of the job. `id`: of a job that is there."""

    async def send() -> str:
        id = labels.pop("id", None)
        found = await task.kicker().with_task_id(id).with_labels(**labels).kiq(*args)
        return str(found.task_id)

    id = loop.run_until_complete(send())
    livejobs.flush()
    return id


loop = asyncio.new_event_loop()


@broker.task
async def add(a: int, b: int) -> int:
    return a + b


@broker.task
def plain(n: int) -> int:
    for _ in livejobs.current().track(range(n)):
        pass
    return n


@broker.task(task_name="app:secret")
async def secret() -> None: ...


@broker.task
async def send_another() -> str:
    return (await add.kiq(1, 1)).task_id


@broker.task
async def broken(password: str) -> None:
    raise ValueError("no such order")


@broker.task(retry_on_error=True, max_retries=3)
async def flaky(context: Annotated[Context, TaskiqDepends()]) -> str:
    retries = int(context.message.labels.get("_retries", 0))
    livejobs.current().progress(retries, 2)
    if retries < 2:
        raise ConnectionError("the shop is closed")
    return "open"


@broker.task(retry_on_error=True, max_retries=3)
async def stops() -> None:
    raise livejobs.Cancelled("a job")


@broker.task
async def requeued(context: Annotated[Context, TaskiqDepends()]) -> str:
    if "X-Taskiq-requeue" not in context.message.labels:
        await context.requeue()
    return "again"


@broker.task(retry_on_error=True)
def touch(path: str) -> None:
    Path(path).touch()


@broker.task
async def endless() -> None:
    for step in range(10**6):
        livejobs.current().progress(step)
        await asyncio.sleep(0.02)


@broker.task
def endless_plain() -> None:
    job = livejobs.current()
    while not job.cancelled:
        job.advance()
        time.sleep(0.02)


def failure(id: str) -> str:
    """The error that the sender of the task hears of."""

    task = AsyncTaskiqTask[Any](id, results)
    found = loop.run_until_complete(task.wait_result(check_interval=0.02))
    return type(found.error).__name__
