"""Drill: PostgreSQL is killed, stopped and cut off under load, and so is the server.

When the database is away, a 503 leaves open whether a report was kept. So the load takes each 503
as a request without an answer, and sends it again.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterable, Callable, Mapping
from pathlib import Path
from typing import Final

from tests.crash.client import PATIENCE, Answer, Client, Lost
from tests.crash.kill import check, rest
from tests.crash.ledger import Ledger
from tests.crash.load import Load
from tests.crash.watch import Watcher
from tests.support.postgres import Postgres
from tests.support.server import Running, Server

AWAY: Final = 10.0  # seconds that PostgreSQL is stopped
CUT: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'livejobs'"
)


class Unsure(Client):
    async def _send(
        self, method: str, path: str, headers: Mapping[str, str], pieces: AsyncIterable[bytes]
    ) -> Answer:
        answer = await super()._send(method, path, headers, pieces)
        if answer.status == 503:
            self.close()
            raise Lost(f"{method} {path}: 503")
        return answer


class UnsureWatcher(Watcher):
    def _is_stream(self, status: int) -> bool:
        if status == 503:
            raise Lost(f"{self.name}: 503")
        return super()._is_stream(status)


async def drill(
    rounds: int,
    data: Path,
    seed: int,
    say: Callable[[str], None],
    *,
    stopped: float = AWAY,
    gap: float = 0,
) -> None:
    ledger = Ledger()
    chance = random.Random(seed)
    with (
        Postgres() as postgres,
        Server(data, "--database", postgres.database("drill")) as server,
    ):
        load = Load(ledger, server.port, seed, client=Unsure, watcher=UnsureWatcher, gap=gap)
        faults = Faults(postgres, server, stopped)
        for at in range(1, rounds + 1):
            running = asyncio.create_task(load.run())
            await asyncio.wait([running], timeout=chance.uniform(0.3, 1))
            how = await faults.each[(at - 1) % len(faults.each)]()
            begin = time.monotonic()
            await until_ready(server)
            up = time.monotonic() - begin
            load.enough.set()
            await running
            if server.process.poll() is not None:
                raise AssertionError(server.stderr)
            if how == "server killed":
                ledger.restarted()
            jobs, _ = await check(ledger, server)
            acknowledged = f"{ledger.acknowledged} acknowledged so far"
            say(f"round {at}/{rounds}: {how}; ready after {up:.2f} s; {acknowledged}; {jobs} jobs")
        await rest(load)
        jobs, seconds = await check(ledger, server, everything=True)
        ledger.expect("Traceback" not in server.stderr, server.stderr)
    say(
        f"{rounds} rounds: {ledger.acknowledged} reports acknowledged, all there exactly once; "
        f"all {jobs} jobs checked in {seconds:.1f} s"
    )


class Faults:
    """Each ends when its cause has ended; the server may not have noticed yet."""

    def __init__(self, postgres: Postgres, server: Server, stopped: float) -> None:
        self._postgres = postgres
        self._server = server
        self._stopped = stopped
        self.each = (self.killed, self.stopped, self.cut, self.server_killed)

    async def killed(self) -> str:
        await asyncio.to_thread(self._postgres.kill)
        await until_ready(self._server, ready=False)
        await asyncio.to_thread(self._postgres.start)
        return "PostgreSQL killed"

    async def stopped(self) -> str:
        self._postgres.signal(signal.SIGSTOP)
        await asyncio.sleep(self._stopped)
        self._postgres.signal(signal.SIGCONT)
        return f"PostgreSQL stopped for {self._stopped} s"

    async def cut(self) -> str:
        await asyncio.to_thread(self._postgres.execute, CUT)
        return "connections terminated"

    async def server_killed(self) -> str:
        await asyncio.to_thread(self._server.kill)
        await asyncio.to_thread(self._server.restart)
        return "server killed"


async def until_ready(server: Running, *, ready: bool = True) -> None:
    client = Client(server.port)
    async with asyncio.timeout(PATIENCE):
        while True:
            if ((await client.get("/readyz")).status == 200) == ready:
                break
            await asyncio.sleep(0.05)
    client.close()
