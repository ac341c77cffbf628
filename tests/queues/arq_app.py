"""Functions of arq as a program has them. BROKER names its Redis."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from arq import Retry, create_pool, cron, func
from arq.connections import RedisSettings
from arq.jobs import Job, ResultNotFound
from blockbuster import BlockBuster

import livejobs

Context = dict[str, Any]

# A blocking call of ours in the loop fails the job, or its sender.
BlockBuster("livejobs").activate()


async def add(context: Context, a: int, b: int) -> int:
    return a + b


async def secret(context: Context) -> None: ...


async def send_another(context: Context) -> str:
    job = await context["redis"].enqueue_job("add", 1, 1)
    return str(job.job_id)


async def broken(context: Context, password: str) -> None:
    raise ValueError("no such order")


async def flaky(context: Context) -> str:
    livejobs.current().progress(context["job_try"], 3)
    if context["job_try"] < 3:
        raise Retry
    return "open"


async def hopeless(context: Context) -> None:
    raise Retry


async def touch(context: Context, path: str) -> None:
    await asyncio.to_thread(Path(path).touch)


async def endless(context: Context) -> None:
    job = livejobs.current()
    # Where it is to be stopped, it must not be faster and end by itself.
    while "TERMINATE" in os.environ or not job.cancelled:
        job.advance()
        await asyncio.sleep(0.02)


async def raises_cancelled(context: Context) -> None:
    job = livejobs.current()
    raise livejobs.Cancelled(job.id)


async def tick(context: Context) -> None: ...


async def started(context: Context) -> None:
    context["started"] = True


async def was_started(context: Context) -> bool:
    return bool(context["started"])


limited: Any = func  # its type takes no plain function


class WorkerSettings:
    redis_settings = RedisSettings.from_dsn(os.environ["BROKER"])
    functions = (
        add, secret, send_another, broken, flaky, touch, endless, was_started,
        raises_cancelled,
        limited(endless, name="short", timeout=0.2), limited(hopeless, max_tries=2),
    )  # fmt: skip
    cron_jobs = (cron(tick, second=set(range(60)), job_id="tick"),)  # type: ignore[arg-type]  # arq's type has no result
    on_startup = started
    allow_abort_jobs = True
    poll_delay = 0.05


livejobs.arq.install(WorkerSettings, terminate="TERMINATE" in os.environ, exclude=["secret"])
livejobs.arq.install(WorkerSettings)  # twice is harmless

loop = asyncio.new_event_loop()
pool: Any = None


def sent(function: str, *args: Any, id: str | None = None) -> str:
    """The id of arq's job, and of ours."""
    job = loop.run_until_complete(send(function, *args, _job_id=id))
    livejobs.flush()
    return str(job.job_id)


async def send(*args: Any, **options: Any) -> Any:
    global pool  # noqa: PLW0603 - made in the loop
    if pool is None:
        pool = await create_pool(WorkerSettings.redis_settings)
        livejobs.arq.install(pool, exclude=["secret"])
        livejobs.arq.install(pool)  # twice is harmless
    return await pool.enqueue_job(*args, **options)


def outcome(id: str) -> str:
    """The result or error that the sender hears of."""

    async def wait() -> Any:
        result: Any = ResultNotFound()
        while isinstance(result, ResultNotFound):  # arq looks twice, and the job may end in between
            (result,) = await asyncio.gather(
                Job(id, pool).result(poll_delay=0.02), return_exceptions=True
            )
        return result

    return str(loop.run_until_complete(wait()))


def abort(id: str, *, wait: bool = True) -> bool:
    timeout = None if wait else 0.0
    try:
        return loop.run_until_complete(Job(id, pool).abort(timeout=timeout, poll_delay=0.02))
    except TimeoutError:
        return False
