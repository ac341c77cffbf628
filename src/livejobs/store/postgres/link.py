"""The one connection that writes. It holds the database's lock for as long as it lives.

PostgreSQL frees the lock when the session has ended, so whoever gets the lock knows that every
statement of the session before is either done or will never be. That is how the fate of a commit is
found whose connection was lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from livejobs.core.errors import StorageUnavailable
from livejobs.store.postgres.opening import (
    AWAY,
    LOST,
    connect,
    first_connection,
    refusals,
    to_write,
    try_lock,
    until,
)

ANSWER: Final = 5.0  # seconds; a statement that takes longer has lost its connection
PAUSE: Final = 1.0  # seconds between attempts to connect
LOCK_WAIT: Final = 2.0  # seconds; for the end of our own session of before

log = logging.getLogger("livejobs.store")


class Link:
    def __init__(self, url: str, check: Callable[[Any], Awaitable[None]]) -> None:
        """`check` gets each new connection after the first."""
        self._url = url
        self._check = check
        self._connection: Any = None
        self._lock = asyncio.Lock()
        self._failed_at = 0.0
        self._lost = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def open(self, migrations: Sequence[Path]) -> Any:
        self._lock, self._lost = asyncio.Lock(), asyncio.Event()  # each belongs to one event loop
        self._take(await first_connection(self._url, migrations))
        self._keeper = asyncio.create_task(self._keep(), name="database")
        return self._connection

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=1)
            except LOST:
                connection.terminate()

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Any]:
        """The connection, for one user at a time. A connection that fails is not used again."""
        async with self._lock:
            connection = await self._alive()
            try:
                async with asyncio.timeout(ANSWER):
                    yield connection
            except (*LOST, asyncio.CancelledError):
                self._drop()
                raise

    async def _alive(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            loop = asyncio.get_running_loop()
            if loop.time() - self._failed_at < PAUSE:
                raise StorageUnavailable(AWAY)
            try:
                await self._connect_again()
            except StorageUnavailable:
                self._failed_at = loop.time()
                raise
        return self._connection

    async def _connect_again(self) -> None:
        with refusals():
            connection = await connect(self._url)
            try:
                async with asyncio.timeout(ANSWER):
                    await _lock_again(connection)
                    await self._check(connection)
                    await to_write(connection)
            except BaseException:
                connection.terminate()
                raise
        self._take(connection)
        log.warning("The database is there again.")

    def _take(self, connection: Any) -> None:
        self._connection = connection
        connection.add_termination_listener(lambda _: self._lost.set())

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _keep(self) -> None:
        """Replace a connection that ends while nobody writes: the lock has ended with it, and
        another server could take the database."""
        while True:
            await self._lost.wait()
            self._lost.clear()
            await until(self._works, PAUSE)

    async def _works(self) -> bool:
        with suppress(StorageUnavailable, *LOST):
            async with self.use():
                return True
        return False


async def _lock_again(connection: Any) -> None:
    try:
        async with asyncio.timeout(LOCK_WAIT):
            await until(partial(try_lock, connection), 0.05)
    except TimeoutError:
        raise StorageUnavailable(
            "Another session holds the lock on the database: this server's own, which has not "
            "ended yet, or another livejobs server's."
        ) from None
