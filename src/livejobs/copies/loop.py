"""Call stores and file areas, which are async, from a program that reads and writes lines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import ParamSpec, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

P = ParamSpec("P")
T = TypeVar("T")


class Loop:
    """An event loop in a thread, so that connections stay alive while lines are read."""

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal
        self._loop = portal.call(_loop)

    def call(self, fn: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        async def called() -> T:
            return await fn(*args, **kwargs)

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result()

    @contextmanager
    def inside(self, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
        with self._portal.wrap_async_context_manager(manager) as entered:
            yield entered


async def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


@contextmanager
def running() -> Iterator[Loop]:
    with start_blocking_portal() as portal:
        yield Loop(portal)
