"""The connection that hears what other nodes commit.

A lost connection is replaced. One that was cut silently is noticed by a question each second. The
next pulse finds what was missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from asyncpg import PostgresError

from livejobs.store.postgres.opening import LOST, connect

CHANNEL: Final = "livejobs"
EVERY: Final = 1.0  # seconds
ANSWER: Final = 5.0  # seconds; a connection that does not answer for so long is replaced

Heard = Callable[[str, int], None]


class Ear:
    def __init__(self, url: str, node: str) -> None:
        self.heard: Heard = lambda *_: None
        self._url = url
        self._node = node
        self._connection: Any = None
        self._keeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await self._connect()
        self._keeper = asyncio.create_task(self._keep(), name="listener")

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None
        self._drop()

    async def _connect(self) -> None:
        connection = await connect(self._url)
        try:
            async with asyncio.timeout(ANSWER):
                await connection.add_listener(CHANNEL, self._hear)
        except BaseException:  # also when cancelled: nobody else would close it
            connection.terminate()
            raise
        self._connection = connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self._check()
            except (*LOST, PostgresError):
                self._drop()

    async def _check(self) -> None:
        if self._connection is None or self._connection.is_closed():
            self._drop()
            await self._connect()
        async with asyncio.timeout(ANSWER):
            await self._connection.fetchval("SELECT 1")

    def _hear(self, _connection: Any, _pid: int, _channel: str, message: object) -> None:
        """`<node> <seq> <project>`. Anyone who may use the database can send other texts."""
        node, _, rest = str(message).partition(" ")
        seq, _, project = rest.partition(" ")
        if node != self._node and project:
            with suppress(ValueError):
                self.heard(project, int(seq))
