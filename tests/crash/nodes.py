"""Drills: several nodes share one PostgreSQL, and one after the other of all these parts fails.

A client stays at one node for a round, and is at another one in the next. So workers send what was
not answered to another node, and viewers go there with their cursor.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.crash.checker import Broken
from tests.crash.client import Client
from tests.crash.database import CUT, Unsure, UnsureWatcher, until_ready
from tests.crash.kill import check, rest
from tests.crash.ledger import Ledger
from tests.crash.load import Load
from tests.crash.namespace import Namespace
from tests.crash.wire import Wire
from tests.support.postgres import Postgres
from tests.support.server import Running, Server

NODES: Final = 3
UNDER_WAY: Final = 200  # reports
AWAY: Final = 10.0  # seconds of a silence
Say = Callable[[str], None]
Fault = Callable[[], Awaitable[str]]


class Spread(Load):
    """Clients at all nodes."""

    def __init__(self, ledger: Ledger, ports: Sequence[int], seed: int, gap: float) -> None:
        super().__init__(ledger, ports[0], seed, client=Unsure, watcher=UnsureWatcher, gap=gap)
        self._ports = ports
        self._at = {
            one: at for at, one in enumerate((*self.workers, *self.viewers, *self.watchers))
        }

    def port_of(self, one: Any) -> int:
        return self._ports[(self._at[one] + self.round) % len(self._ports)]


class Crowd:
    """Nodes, the network between each and PostgreSQL, their load, and the checker."""

    def __init__(self, postgres: Postgres, seed: int, silence: float, gap: float = 0) -> None:
        self.postgres = postgres
        self.gap = gap
        self.database = "drill"
        self.silence = silence
        self.chance = random.Random(seed)
        self.seed = seed
        self.ledger = Ledger()
        self.servers: list[Running] = []
        self.wires: list[Wire] = []

    async def start(
        self, stack: AsyncExitStack, folder: Path, environments: Sequence[dict[str, str]]
    ) -> None:
        url = self.postgres.url_of(self.database)
        for env in environments:
            wire = await stack.enter_async_context(Wire(self.postgres.port))
            self.wires.append(wire)
            own = url.replace(f":{self.postgres.port}/", f":{wire.port}/")
            await self._add(stack, Server, folder, "--database", own, env=env)
        self._open()

    async def start_at(
        self, url: str, stack: AsyncExitStack, folder: Path, environments: Sequence[dict[str, str]]
    ) -> None:
        """The same, with all nodes directly at this address."""
        for env in environments:
            await self._add(stack, Server, folder, "--database", url, env=env)
        self._open()

    async def add_to(self, space: Namespace, url: str, stack: AsyncExitStack, folder: Path) -> None:
        """Another node, in a network namespace. Clients reach it by a relay."""
        inside = await asyncio.to_thread(space.serve, url, folder)
        stack.enter_context(inside)
        inside.port = (await stack.enter_async_context(Wire(inside.port, space.ours))).port
        self.servers.append(inside)
        self._open()

    async def _add(self, stack: AsyncExitStack, make: Any, *args: Any, **how: Any) -> None:
        self.servers.append(stack.enter_context(await asyncio.to_thread(make, *args, **how)))

    def _open(self) -> None:
        self.load = Spread(self.ledger, [it.port for it in self.servers], self.seed, self.gap)

    async def round(self, fault: Fault) -> str:
        running = asyncio.create_task(self.load.run())
        await self._reported(running)
        how = await fault()
        begin = time.monotonic()
        for server in self.servers:
            await until_ready(server)
        up = time.monotonic() - begin
        self.load.enough.set()
        await running
        jobs = await self.check(self.chance.choice(self.servers))
        said = f"{self.ledger.acknowledged} acknowledged so far"
        return f"{how}; all ready after {up:.2f} s; {said}; {jobs} jobs checked"

    async def _reported(self, running: asyncio.Task[None]) -> None:
        """Wait until the load is under way, however busy the machine is."""
        before = self.ledger.acknowledged
        while self.ledger.acknowledged < before + UNDER_WAY and not running.done():
            await asyncio.wait([running], timeout=self.chance.uniform(0.2, 0.5))

    async def check(self, *servers: Running, everything: bool = False) -> int:
        jobs = 0
        for server in servers:
            await self._settle(server)
            jobs, _ = await check(self.ledger, server, everything=everything)
            self.ledger.expect("Traceback" not in server.stderr, server.stderr)
        return jobs

    async def _settle(self, server: Running) -> None:
        """Show the node the newest cursor of each project. It must learn all that it lacks."""
        ask = "SELECT name || ' ' || epoch || '.' || seq FROM livejobs.projects"
        rows = await asyncio.to_thread(self.postgres.execute, ask, database=self.database)
        newest = dict(row.split() for row in rows.splitlines())
        client = Client(server.port)
        for project, cursor in newest.items():
            there = (it for it in self.ledger.books.values() if it.project == project)
            id = next((it.id for it in there if (it.born or it.found) and not it.gone), None)
            if id is not None:
                await client.get(f"/v1/jobs/{id}", if_none_match=f'"{cursor}"')
        client.close()

    def end(self) -> None:
        if self.ledger.wrong:
            raise Broken(self.ledger.wrong)

    async def rest(self) -> str:
        """Let the workers send again what was not answered; then compare everything, at every
        node."""
        await rest(self.load)
        jobs = await self.check(*self.servers, everything=True)
        told = sum(one.told for one in self.load.watchers)
        return (
            f"{self.ledger.acknowledged} reports acknowledged, all there exactly once at every "
            f"node; {jobs} jobs; {told} entries streamed"
        )

    # What fails. Each ends when its cause has ended; nodes may not have noticed yet.

    async def kill(self) -> str:
        server = self.chance.choice(self.servers)
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(self.chance.uniform(0, 1))
        await asyncio.to_thread(server.restart)
        return f"node {self.servers.index(server)} killed"

    async def roll(self) -> str:
        for server in self.servers:
            code = await asyncio.to_thread(server.stop)
            self.ledger.expect(code == 0, f"exit {code}: {server.stderr}")
            await asyncio.to_thread(server.restart)
        return "nodes restarted one after the other"

    async def all_at_once(self) -> str:
        for server in self.servers:
            server.process.kill()
        await asyncio.gather(*(asyncio.to_thread(it.kill) for it in self.servers))
        await asyncio.gather(*(asyncio.to_thread(it.restart) for it in self.servers))
        return "all nodes killed and started at once"

    async def freeze(self) -> str:
        server = self.chance.choice(self.servers)
        server.signal(signal.SIGSTOP)
        await asyncio.sleep(self.silence)
        server.signal(signal.SIGCONT)
        return f"node {self.servers.index(server)} stopped for {self.silence:g} s"

    async def postgres_killed(self) -> str:
        await asyncio.to_thread(self.postgres.kill)
        for server in self.servers:
            await until_ready(server, ready=False)
        await asyncio.to_thread(self.postgres.start)
        return "PostgreSQL killed"

    async def postgres_stopped(self) -> str:
        self.postgres.signal(signal.SIGSTOP)
        await asyncio.sleep(self.silence)
        self.postgres.signal(signal.SIGCONT)
        return f"PostgreSQL stopped for {self.silence:g} s"

    async def cut(self) -> str:
        await asyncio.to_thread(self.postgres.execute, CUT)
        return "all connections terminated"

    async def deaf(self) -> str:
        many = sum(wire.deafen() for wire in self.wires)
        self.ledger.expect(many >= len(self.wires), f"only {many} connections listened")
        await asyncio.sleep(self.silence)
        return "connections that listen lost silently"

    async def apart(self) -> str:
        at = self.chance.randrange(len(self.wires))
        self.wires[at].part()
        await asyncio.sleep(self.silence)
        self.wires[at].join()
        return f"node {at} cut off for {self.silence:g} s"


FAULTS: Final[dict[str, Callable[[Crowd], Awaitable[str]]]] = {
    "kill": Crowd.kill,
    "roll": Crowd.roll,
    "all-at-once": Crowd.all_at_once,
    "freeze": Crowd.freeze,
    "postgres-killed": Crowd.postgres_killed,
    "postgres-stopped": Crowd.postgres_stopped,
    "cut": Crowd.cut,
    "deaf": Crowd.deaf,
    "apart": Crowd.apart,
}


@asynccontextmanager
async def crowd(
    folder: Path,
    seed: int,
    silence: float = AWAY,
    environments: Sequence[dict[str, str]] = ({},) * NODES,
    disk: Path | None = None,
    *,
    wired: bool = True,
    gap: float = 0,
) -> AsyncIterator[Crowd]:
    postgres = await asyncio.to_thread(Postgres, disk)
    with postgres:
        await asyncio.to_thread(postgres.database, "drill")
        async with AsyncExitStack() as stack:
            people = Crowd(postgres, seed, silence, gap)
            if wired:
                await people.start(stack, folder / "data", environments)
            else:
                url = postgres.url_of(people.database)
                await people.start_at(url, stack, folder / "data", environments)
            yield people


async def drill(
    names: Sequence[str],
    rounds: int,
    folder: Path,
    seed: int,
    say: Say,
    *,
    silence: float = AWAY,
    gap: float = 0,
) -> None:
    async with crowd(folder, seed, silence, gap=gap) as people:
        for at in range(1, rounds + 1):
            for name in names:
                said = await people.round(partial(FAULTS[name], people))
                say(f"round {at}/{rounds}, {name}: {said}")
        say(f"{rounds} rounds: {await people.rest()}")
        people.end()
