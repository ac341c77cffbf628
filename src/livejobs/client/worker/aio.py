"""The same verbs for asyncio: `async with livejobs.job("render") as job: await job.progress(3)`.

A verb has done its part when it returns; awaiting it matters only when memory is full, and the
caller has to wait for the disk.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Generator, Mapping
from typing import TYPE_CHECKING, Any, Final

from livejobs.client.worker.ask import ask_async
from livejobs.client.worker.fields import Level, Number, StepStatus
from livejobs.client.worker.job import WorkerJob

if TYPE_CHECKING:
    from livejobs.client.sending.channel import Channel


class Done:
    """Awaited at once. Unlike a coroutine it may be left alone, and costs nothing to make."""

    __slots__ = ()

    def __await__(self) -> Generator[None]:
        yield from ()


DONE: Final = Done()


async def finish(channel: Channel, wait: float) -> None:
    """As the channel's own, without blocking the loop. Cancelling does not stop it."""
    await asyncio.shield(asyncio.to_thread(channel.finish, wait))


class AsyncWorkerJob:
    """A job as its worker sees it. Everything is as in WorkerJob, and awaitable."""

    def __init__(self, job: WorkerJob, channel: Channel | None) -> None:
        self._job = job
        self._channel = channel
        self.id = job.id
        self.track = job.track

    @property
    def cancelled(self) -> bool:
        return self._job.cancelled

    @property
    def page(self) -> str | None:
        return self._job.page

    def __repr__(self) -> str:
        return f"<Async{repr(self._job)[1:]}"

    def __reduce__(self) -> Any:
        return self._job.__reduce__()

    def _done(self) -> Awaitable[Any]:
        if not self._job.owes or self._channel is None:
            return DONE
        self._job.owes = False
        return asyncio.ensure_future(asyncio.to_thread(self._channel.spill))

    def create(self) -> Awaitable[Any]:
        self._job.create()
        return DONE

    def start(self, **worker: Any) -> Awaitable[Any]:
        self._job.start(**worker)
        return self._done()

    def progress(
        self,
        current: Number | None = None,
        total: Number | None = None,
        *,
        percent: float | None = None,
        unit: str | None = None,
        message: str | None = None,
    ) -> Awaitable[Any]:
        self._job.progress(current, total, percent=percent, unit=unit, message=message)
        return DONE

    def advance(self, by: Number = 1) -> Awaitable[Any]:
        self._job.advance(by)
        return DONE

    def step(
        self,
        name: str,
        status: StepStatus | None = None,
        *,
        title: str | None = None,
        current: Number | None = None,
        total: Number | None = None,
        weight: Number | None = None,
    ) -> Awaitable[Any]:
        self._job.step(name, status, title=title, current=current, total=total, weight=weight)
        return self._done()

    def log(
        self, message: object, level: Level = "info", *, source: str | None = None
    ) -> Awaitable[Any]:
        self._job.log(message, level, source=source)
        return self._done()

    def result(self, value: Any) -> Awaitable[Any]:
        self._job.result(value)
        return self._done()

    def item_error(
        self, message: object, item: str | Number | None = None, detail: Any = None
    ) -> Awaitable[Any]:
        self._job.item_error(message, item, detail)
        return self._done()

    def count(
        self, name: str | None = None, by: Number = 1, /, **counters: Number
    ) -> Awaitable[Any]:
        self._job.count(name, by, **counters)
        return DONE

    def meta(self, **values: Any) -> Awaitable[Any]:
        self._job.meta(**values)
        return self._done()

    async def ask(
        self, prompt: object, schema: Mapping[str, Any] | None = None, timeout: float | None = None
    ) -> Any:
        channel = self._job.live()
        if channel is None or channel.cancelled:
            return None
        value = await ask_async(channel, str(prompt), schema, timeout)
        if value is None:
            self._job.live()  # raises Cancelled where that was asked for
        return value

    def heartbeat(self) -> Awaitable[Any]:
        self._job.heartbeat()
        return DONE

    def succeed(self, result: Any = None) -> Awaitable[Any]:
        self._job.succeed(result)
        return DONE

    def fail(self, message: object, code: str | None = None, detail: Any = None) -> Awaitable[Any]:
        self._job.fail(message, code, detail)
        return DONE

    def end_cancelled(self) -> Awaitable[Any]:
        self._job.end_cancelled()
        return DONE

    def retry(self, error: str | None = None) -> Awaitable[Any]:
        self._job.retry(error)
        return DONE

    async def upload(
        self,
        source: str | os.PathLike[str] | bytes,
        name: str | None = None,
        *,
        media_type: str | None = None,
        timeout: float = 60.0,
    ) -> Mapping[str, Any] | None:
        return await asyncio.to_thread(
            self._job.upload, source, name, media_type=media_type, timeout=timeout
        )

    async def attach(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        url: str | None = None,
        name: str | None = None,
        media_type: str | None = None,
        timeout: float = 60.0,
    ) -> Mapping[str, Any] | None:
        return await asyncio.to_thread(
            self._job.attach, path, url=url, name=name, media_type=media_type, timeout=timeout
        )

    async def flush(self, timeout: float = 5.0) -> bool:
        return await asyncio.to_thread(self._job.flush, timeout)
