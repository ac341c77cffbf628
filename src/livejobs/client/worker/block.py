"""Which job a worker reports on: a new one, one that is there, the current one."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from livejobs.client import settings
from livejobs.client.worker import opened
from livejobs.client.worker.fields import Number, given
from livejobs.client.worker.job import AT_THE_END, WorkerJob

if TYPE_CHECKING:
    from livejobs.client.worker.aio import AsyncWorkerJob

logger: Final = logging.getLogger("livejobs.client")


class Block(WorkerJob):
    """A job that is also a block of asyncio, and can be sent to another process."""

    def __reduce__(self) -> tuple[Callable[..., Block], tuple[Any, ...]]:
        """In another process it is a handle to the same job, which does not end it."""
        if self._channel is None:
            return silent, ()
        url, key, spool = self._channel.target
        # Where the other process has the key as well, a secret less goes through pipes and brokers.
        secret = None if key == os.environ.get(settings.KEY) else key
        where = (url, secret, os.fspath(spool))
        return _attached, (self._id, where, self._channel.creation, self._inside)

    async def __aenter__(self) -> AsyncWorkerJob:
        # Loaded on use: asyncio is half of what importing the SDK would cost.
        from livejobs.client.worker.aio import AsyncWorkerJob  # noqa: PLC0415 - see above

        self.__enter__()
        self.patient = True
        return AsyncWorkerJob(self, self._channel)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        # Loaded on use, as above.
        from livejobs.client.worker.aio import finish  # noqa: PLC0415 - see above

        stopped = self._close(error)
        if self._channel is not None:
            await finish(self._channel, AT_THE_END)
        return stopped


def job(  # noqa: PLR0913 - the contract's fields of a job
    type: str | None = None,
    *,
    title: str | None = None,
    total: Number | None = None,
    unit: str | None = None,
    steps: Sequence[str | Mapping[str, Any]] | None = None,
    meta: Mapping[str, Any] | None = None,
    tags: Sequence[str] | None = None,
    parent: str | WorkerJob | None = None,
    project: str | None = None,
    id: str | None = None,
    heartbeat_timeout: float | None = None,
    ttl_seconds: float | None = None,
    webhooks: Sequence[Mapping[str, Any]] | None = None,
    raise_on_cancel: bool = False,
    url: str | None = None,
    key: str | None = None,
    spool: str | os.PathLike[str] | None = None,
) -> Block:
    """A job to report on. Use it as a block, sync or async; it ends the job.

    With an `id` and nothing else about the job, it reports on a job that is there already, and
    does not end it. So does a block within `livejobs run`.
    """
    parent = parent.id or None if isinstance(parent, WorkerJob) else parent
    begun = given(
        type=type, title=title, total=total, unit=unit, steps=steps, meta=meta, tags=tags,
        parent=parent, project=project, heartbeat_timeout=heartbeat_timeout,
        ttl_seconds=ttl_seconds, webhooks=webhooks,
    )  # fmt: skip
    where = _target(url, key, spool)
    if where is None:
        return silent()
    outer = settings.outer_job() if id is None else None
    attached = outer or (id if id is not None and not begun else None)
    if attached is not None:
        made = _on(where, attached, None, inside=outer is not None, raise_on_cancel=raise_on_cancel)
        made._begun = begun
        return made
    return _on(where, id or _new_id(), begun, owned=True, raise_on_cancel=raise_on_cancel)


def _on(target: settings.Target, id: str, creation: Mapping[str, Any] | None, **how: bool) -> Block:
    # Loaded on use: without a server to report to, none of it is needed.
    from livejobs.client.sending import process  # noqa: PLC0415 - see above

    return Block(process.channel(target, id, creation), id, **how)


def _attached(
    id: str, where: Sequence[str | None], creation: Mapping[str, Any] | None, inside: bool
) -> Block:
    """A handle that came from another process. It may come before the job does, so it creates the
    job if it is absent."""
    target = _target(*where)
    return silent() if target is None else _on(target, id, creation, inside=inside)


def silent() -> Block:
    """A job that reports nowhere: every call does nothing."""
    return Block(None, "")


def current() -> Block:
    """The job whose block is open here: in this thread or task, else the only one in the process,
    else that of the surrounding `livejobs run`. Without any, one that reports nowhere."""
    found = opened.innermost()
    if isinstance(found, Block):
        return found
    outer = settings.outer_job()
    where = _target() if outer else None
    return _on(where, outer, None, inside=True) if where and outer else silent()


def adopt(job: WorkerJob) -> None:
    """Make it the current job of this process: the initializer of a pool of processes."""
    opened.enter(job)


_warned: set[str] = set()


def _target(
    url: str | None = None, key: str | None = None, spool: str | os.PathLike[str] | None = None
) -> settings.Target | None:
    """A wrong URL must not end a worker: it reports nowhere then, and says so once."""
    try:
        return settings.target(url, key, spool)
    except ValueError as error:
        if str(error) not in _warned and len(_warned) < 100:
            _warned.add(str(error))
            logger.error("Nothing is reported: %s", error)
        return None


def _new_id() -> str:
    # Loaded on use: without a server to report to, no id is needed.
    from livejobs.core.uuid7 import uuid7  # noqa: PLC0415 - see above

    return uuid7(time.time_ns() // 1_000_000, os.urandom(10))
