"""A network between one node and PostgreSQL, which can fail."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self


class Wire:
    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._to = host, port
        self._flows = asyncio.Event()
        self._flows.set()
        self._listening: set[Connection] = set()
        self._running: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def part(self) -> None:
        """Nothing arrives any more, and nothing is closed: as with a cable that was pulled."""
        self._flows.clear()

    def join(self) -> None:
        """What was sent meanwhile arrives, as TCP sends it again."""
        self._flows.set()

    def deafen(self) -> int:
        """Forget the connections that LISTEN, as a firewall does: they stay open, and carry nothing
        any more. Return how many they are."""
        for connection in self._listening:
            connection.silent = True
        return len(self._listening)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        ends = [writer]
        connection = Connection()
        try:
            answers, back = await asyncio.open_connection(*self._to)
            ends.append(back)
            await asyncio.gather(
                self._carry(reader, back, connection), self._carry(answers, writer, connection)
            )
        except (OSError, asyncio.CancelledError):  # the drill ends, and asyncio would report it
            pass
        finally:
            self._listening.discard(connection)
            self._running.discard(task)
            for end in ends:
                end.close()

    async def _carry(
        self, source: asyncio.StreamReader, to: asyncio.StreamWriter, connection: Connection
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                await self._flows.wait()
                if b"LISTEN" in data:
                    self._listening.add(connection)
                if not connection.silent:
                    to.write(data)
                    await to.drain()
        await self._flows.wait()
        to.close()


class Connection:
    silent = False
