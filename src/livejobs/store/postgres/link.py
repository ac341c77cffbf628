"""The one connection of this node that writes.

Each node has a row in `nodes`. A new connection raises the row's term, and a commit needs the
term of its own connection. So when a connection was lost during a commit, the next one learns from
the row whether the commit was kept, and what is still under way on the old one can't be kept any
more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
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
    until,
)
from livejobs.store.postgres.sql import nodes as sql

ANSWER: Final = 5.0  # seconds; a statement that takes longer has lost its connection
PAUSE: Final = 1.0  # seconds between attempts to connect

log = logging.getLogger("livejobs.store")


class Link:
    def __init__(self, url: str, node: str) -> None:
        self._url = url
        self._node = node
        self.term = 0  # of the connection
        self.done = 0  # the number of the last commit that was kept before this connection
        self._connection: Any = None
        self._lock = asyncio.Lock()
        self._failed_at = 0.0
        self._lost = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def open(self, migrations: Sequence[Path]) -> Any:
        self._lock, self._lost = asyncio.Lock(), asyncio.Event()  # each belongs to one event loop
        connection = await first_connection(self._url, migrations)
        await self._enter(connection)
        self._take(connection)
        self._keeper = asyncio.create_task(self._keep(), name="database")
        return self._connection

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                async with asyncio.timeout(1):
                    await connection.execute(sql.NODE_GONE, self._node)
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
                self.drop()
                raise

    def drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

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
                    await to_write(connection)
                    await self._enter(connection)
            except BaseException:  # also when cancelled: nobody else would close it
                connection.terminate()
                raise
        self._take(connection)
        log.warning("The database is there again.")

    async def _enter(self, connection: Any) -> None:
        """Write our row. This waits for a commit that is under way on the old connection."""
        self.term, self.done = await connection.fetchrow(sql.NODE_NEW, self._node)

    def _take(self, connection: Any) -> None:
        self._connection = connection
        connection.add_termination_listener(lambda _: self._lost.set())

    async def _keep(self) -> None:
        """Replace a connection that ends while nobody writes, so that the next commit need not
        wait."""
        while True:
            await self._lost.wait()
            self._lost.clear()
            await until(self._works, PAUSE)

    async def _works(self) -> bool:
        with suppress(StorageUnavailable, *LOST):
            async with self.use():
                return True
        return False
