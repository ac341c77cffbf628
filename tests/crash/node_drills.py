"""Drills of several nodes that need a PostgreSQL, or a machine, of their own."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from tests.crash.client import Client
from tests.crash.clock import Clock
from tests.crash.database import until_ready
from tests.crash.nodes import NODES, Crowd, Say, crowd
from tests.nodes.viewer import Viewer
from tests.support.postgres import Postgres, Replica

APART: Final = "+10m"  # of clocks


# Two nodes report to one job


async def two_writers(reports: int, folder: Path, seed: int, say: Say) -> None:
    path = "/v1/jobs/shared/events?view=delta&logs=1&rate=60"
    async with crowd(folder, seed, 0) as people:
        expect = people.ledger.expect
        ports = [server.port for server in people.servers]
        await Client(ports[0]).call("PUT", "/v1/jobs/shared")
        async with AsyncExitStack() as stack:
            viewers = [
                await stack.enter_async_context(Viewer(server.url, path, key=None))
                for server in people.servers
            ]
            for viewer in viewers:
                await viewer.until(lambda it: it.events)
            begin = time.monotonic()
            await asyncio.gather(
                *(_write(port, who, reports) for port, who in zip(ports[:2], "ab", strict=True))
            )
            took = time.monotonic() - begin
            for viewer in viewers:
                await viewer.until(lambda it: len(it.lines) >= 2 * reports)
        kept = viewers[0].lines
        for who in "ab":
            mine = [it for it in kept if it[0] == who]
            expect(mine == [f"{who}{n}" for n in range(reports)], f"{who}: {len(mine)} lines")
        for viewer in viewers:
            expect(viewer.lines == kept, f"{len(viewer.lines)} lines, in another order")
            expect(viewer.seqs == sorted(viewer.seqs), "a cursor went back")
        for port in ports:
            job = (await Client(port).get("/v1/jobs/shared")).json()
            told = job["logs_total"], job["counters"]
            expect(told == (2 * reports, {"done": 2 * reports}), f"{told}")
        people.end()
    say(
        f"2 nodes sent {reports} reports each to one job in {took:.1f} s, and viewers of 3 nodes "
        "got each line once, in one order"
    )


async def _write(port: int, who: str, many: int) -> None:
    client = Client(port)
    for n in range(many):
        told = [{"type": "log", "message": f"{who}{n}"}, {"type": "count", "counters": {"done": 1}}]
        answer = await client.call("POST", "/v1/jobs/shared/reports", json.dumps(told).encode())
        assert answer.status == 200, answer
    client.close()


# Clocks


async def clocks(rounds: int, folder: Path, seed: int, say: Say) -> None:
    """The clocks of nodes are ten minutes apart, in either direction."""
    environments: list[dict[str, str]] = [{}]
    for at, offset in enumerate((APART, APART.replace("+", "-"))):
        (folder / f"clock-{at}").mkdir()
        clock = Clock(folder / f"clock-{at}" / "clock")
        clock.set(offset)
        environments.append(clock.environment)
    async with crowd(folder, seed, 0, environments) as people:
        for at in range(1, rounds + 1):
            say(f"round {at}/{rounds}: {await people.round(people.kill)}")
        said = await people.rest()
        warned = ["machine's clock is" in server.stderr for server in people.servers]
        people.ledger.expect(warned == [False, True, True], f"warned of clocks: {warned}")
        people.end()
    say(f"{rounds} rounds with clocks 10 minutes ahead and behind: {said}")


# A failover


async def failover(folder: Path, seed: int, say: Say, *, silent: bool) -> None:
    """The primary is killed, or stops to answer. Its synchronous replica is promoted."""
    primary = await asyncio.to_thread(Postgres)
    with primary:
        await asyncio.to_thread(primary.database, "drill")
        replica = await asyncio.to_thread(Replica, primary)
        with replica:
            url = replica.url_of("drill").replace(
                "127.0.0.1", f"127.0.0.1:{primary.port},127.0.0.1"
            )
            people = Crowd(primary, seed, 0)
            async with AsyncExitStack() as stack:
                await people.start_at(
                    f"{url}?target_session_attrs=read-write", stack, folder / "data", [{}] * NODES
                )
                say(await people.round(_promote(people, primary, replica, silent=silent)))
                say(await people.round(people.kill))
                say(await people.rest())
                people.end()


def _promote(
    people: Crowd, primary: Postgres, replica: Replica, *, silent: bool
) -> Callable[[], Awaitable[str]]:
    async def fault() -> str:
        if silent:
            primary.signal(signal.SIGSTOP)
        else:
            await asyncio.to_thread(primary.kill)
        for server in people.servers:
            await until_ready(server, ready=False)
        await asyncio.to_thread(replica.promote)
        people.postgres = replica
        how = "stopped to answer" if silent else "was killed"
        return f"the primary {how}, its synchronous replica was promoted"

    return fault
