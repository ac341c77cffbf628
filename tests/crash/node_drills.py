"""Drills of several nodes that need a PostgreSQL, or a machine, of their own."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from tests.client.worker import Worker
from tests.crash.client import PATIENCE, Client
from tests.crash.clock import Clock
from tests.crash.database import until_ready
from tests.crash.full_disk import Disk
from tests.crash.namespace import Namespace
from tests.crash.nodes import AWAY, FAULTS, NODES, Crowd, Say, crowd, drill
from tests.interop.proxies import Nginx
from tests.nodes.viewer import Viewer
from tests.support.postgres import Postgres, Replica
from tests.support.server import Running

APART: Final = "+10m"  # of clocks
SIZE: Final = 192 << 20  # of a small disk for PostgreSQL


# Two nodes report to one job


async def two_writers(reports: int, folder: Path, seed: int, say: Say) -> None:
    path = "/v1/jobs/shared/events?view=delta&logs=1&rate=60"
    async with crowd(folder, seed, wired=False) as people:
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
    async with crowd(folder, seed, environments=environments) as people:
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


# A cable


async def cable(rounds: int, folder: Path, seed: int, say: Say, *, silence: float = AWAY) -> None:
    """A node in a network namespace loses its cable to PostgreSQL, and keeps the one to its
    clients."""
    with Namespace() as space, await asyncio.to_thread(Postgres) as postgres:
        await asyncio.to_thread(postgres.database, "drill")
        await asyncio.to_thread(postgres.serve_network, space.network)
        await asyncio.to_thread(postgres.kill)
        await asyncio.to_thread(postgres.start)
        async with AsyncExitStack() as stack:
            people = Crowd(postgres, seed, silence)
            url = postgres.url_of("drill")
            await people.start_at(url, stack, folder / "data", [{}] * (NODES - 1))
            url = url.replace("127.0.0.1", space.database)
            await people.add_to(space, url, stack, folder / "data")

            async def pulled() -> str:
                await asyncio.to_thread(space.plug, "down")
                await asyncio.sleep(silence)
                await asyncio.to_thread(space.plug, "up")
                return f"a node's cable to PostgreSQL pulled for {silence:g} s"

            for at in range(1, rounds + 1):
                say(f"round {at}/{rounds}: {await people.round(pulled)}")
            say(f"{rounds} rounds: {await people.rest()}")
            people.end()


# A full disk


async def full_disk(cycles: int, folder: Path, seed: int, say: Say) -> None:
    """PostgreSQL's disk is full to the last byte, and then has space again."""
    with Disk(folder / "disk", SIZE) as disk:
        async with crowd(folder, seed, disk=disk.path) as people:
            for at in range(1, cycles + 1):
                say(f"cycle {at}/{cycles}: {await people.round(partial(_fill, people, disk))}")
            say(f"{cycles} cycles: {await people.rest()}")
            people.end()


async def _fill(people: Crowd, disk: Disk) -> str:
    filling = await asyncio.to_thread(disk.fill, "filling")
    before = _refusals(people)
    async with asyncio.timeout(PATIENCE):
        # There is no event: another process counts them.
        while _refusals(people) == before and people.postgres.process.poll() is None:  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0.1)
    await asyncio.sleep(2)  # there is nothing to wait for: the disk stays full for a while
    filling.unlink()
    died = people.postgres.process.poll() is not None
    if died:
        await asyncio.to_thread(people.postgres.start)
    return f"disk full{', PostgreSQL ended' * died}"


def _refusals(people: Crowd) -> int:
    return sum(server.stderr.count("disk is full") for server in people.servers)


# A rolling restart

WORKER: Final = """
    import sys, threading, time, livejobs
    jobs, lines = int(sys.stdin.readline()), int(sys.stdin.readline())
    watched = threading.Event()
    def work(at):
        with livejobs.job("roll", id=f"roll-{at}", title="x") as job:
            watched.wait()
            for n in range(lines):
                job.log(n)
                job.count(done=1)
                time.sleep(0.01)
    threads = [threading.Thread(target=work, args=(at,)) for at in range(jobs)]
    for thread in threads: thread.start()
    sys.stdin.readline()
    watched.set()
    for thread in threads: thread.join()
    livejobs.flush(60)
"""


async def rolling(jobs: int, lines: int, viewers: int, folder: Path, seed: int, say: Say) -> None:
    """All nodes are restarted one after the other, behind nginx, until the workers have ended."""
    async with crowd(folder, seed, wired=False) as people:
        with _nginx(people.servers, folder / "nginx") as proxy:
            process = Worker(folder / "spool").start(proxy.url, WORKER)
            assert process.stdin
            process.stdin.write(f"{jobs}\n{lines}\n")
            process.stdin.flush()
            await _until_there(people.servers[0].port, jobs)
            async with AsyncExitStack() as stack:
                watching = [
                    await stack.enter_async_context(
                        Viewer(
                            proxy.url,
                            f"/v1/jobs/roll-{at % jobs}/events?view=delta&logs=1&tail=1000",
                            key=None,
                        )
                    )
                    for at in range(viewers)
                ]
                for viewer in watching:
                    await viewer.until_told("snapshot")
                # Not before: a viewer begins with the last lines, not with all.
                working = asyncio.create_task(asyncio.to_thread(process.communicate, "go\n"))
                restarts = 0
                while not working.done():
                    await people.roll()
                    restarts += len(people.servers)
                _, errors = await working
                people.ledger.expect(process.returncode == 0, f"the worker failed: {errors}")
                people.ledger.expect(not errors, f"the worker was told of errors: {errors}")
                for at, viewer in enumerate(watching):
                    await viewer.until_told("end")
                    people.ledger.expect(
                        viewer.lines == [str(n) for n in range(lines)],
                        f"viewer {at} got {len(viewer.lines)} lines of {lines}",
                    )
                    people.ledger.expect("reset" not in viewer.names, f"viewer {at} was reset")
            for at in range(jobs):
                job = (await Client(proxy.port).get(f"/v1/jobs/roll-{at}")).json()
                told = job["status"], job["logs_total"], job["counters"]
                good = told == ("succeeded", lines, {"done": lines})
                people.ledger.expect(good, f"job {at}: {told}")
            people.end()
    say(
        f"{restarts} restarts of nodes behind nginx: {jobs} SDK jobs of {lines} lines, each line "
        f"there once; {viewers} viewers got each line once, and no worker got an error"
    )


def _nginx(servers: Sequence[Running], home: Path) -> Nginx:
    nodes = "".join(f"server 127.0.0.1:{it.port}; " for it in servers)
    upstream = {
        "server {": f"upstream nodes {{ {nodes}}}\nserver {{",
        f"proxy_pass http://127.0.0.1:{servers[0].port}": "proxy_pass http://nodes",
    }
    return Many(servers[0], home, upstream)


class Many(Nginx):
    def prepare(self) -> list[str]:
        how = super().prepare()
        main = self.home / "main.conf"
        many = "events { worker_connections 8192; }"
        main.write_text(main.read_text().replace("events {}", many))
        return how


async def _until_there(port: int, jobs: int) -> None:
    client = Client(port)
    async with asyncio.timeout(PATIENCE):
        for at in range(jobs):
            # There is no event: another process creates it.
            while (await client.get(f"/v1/jobs/roll-{at}")).status != 200:  # noqa: ASYNC110  nothing tells of it
                await asyncio.sleep(0.05)
    client.close()


# By name


class Sizes(NamedTuple):
    rounds: int = 3
    silence: float = AWAY
    reports: int = 1000  # of each writer
    jobs: int = 8  # of the SDK, during restarts
    lines: int = 2000  # of each job
    viewers: int = 1000


ALONE: Final[dict[str, Callable[[Sizes, Path, int, Say], Awaitable[None]]]] = {
    "two-writers": lambda it, *how: two_writers(it.reports, *how),
    "clocks": lambda it, *how: clocks(it.rounds, *how),
    "failover": lambda it, *how: failover(*how, silent=False),
    "failover-silent": lambda it, *how: failover(*how, silent=True),
    "cable": lambda it, *how: cable(it.rounds, *how, silence=it.silence),
    "full-disk": lambda it, *how: full_disk(it.rounds, *how),
    "rolling": lambda it, *how: rolling(it.jobs, it.lines, it.viewers, *how),
}


async def run(names: Sequence[str], sizes: Sizes, folder: Path, seed: int, say: Say) -> None:
    together = [name for name in names if name in FAULTS]
    if together:
        await drill(together, sizes.rounds, folder, seed, say, silence=sizes.silence)
    for name in names:
        if name in ALONE:
            own = folder / name
            own.mkdir()
            say(f"{name}:")
            await ALONE[name](sizes, own, seed, say)
