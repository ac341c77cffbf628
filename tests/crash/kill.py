"""Drill: kill -9 at random moments, repeatedly, with one data folder."""

from __future__ import annotations

import asyncio
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.crash.checker import Checker, integrity
from tests.crash.client import Client
from tests.crash.ledger import Ledger
from tests.crash.load import Load, unanswered
from tests.support.server import Running, Server

SHORTEST: Final = 0.2  # seconds of load in a round
LONGEST: Final = 1.5
MORE: Final = 10  # requests of each worker, before a last check


async def drill(
    rounds: int, data: Path, seed: int, say: Callable[[str], None], *, longest: float = LONGEST
) -> None:
    ledger = Ledger()
    chance = random.Random(seed)
    with Server(data) as server:
        load = Load(ledger, server.port, seed)
        for at in range(1, rounds + 1):
            how = await _run_and_kill(server, load, chance, longest)
            said = ledger.acknowledged
            integrity(data)
            up = _start_again(server, chance)
            ledger.restarted()
            jobs, seconds = await check(ledger, server)
            say(
                f"round {at}/{rounds}: {how}; {said} acknowledged so far, "
                f"{unanswered(load.workers)} unanswered; up in {up:.2f} s; "
                f"{jobs} jobs checked in {seconds:.2f} s"
            )
        await rest(load)
        jobs, seconds = await check(ledger, server, everything=True)
    size = (data / "livejobs.db").stat().st_size
    say(
        f"{rounds} rounds: {ledger.acknowledged} reports acknowledged, all there exactly once; "
        f"all {jobs} jobs checked in {seconds:.1f} s; "
        f"{sum(one.told for one in load.watchers)} entries streamed; database {size >> 20} MiB"
    )


async def _run_and_kill(server: Server, load: Load, chance: random.Random, longest: float) -> str:
    running = asyncio.create_task(load.run())
    seconds = chance.uniform(SHORTEST, longest)
    await asyncio.wait([running], timeout=seconds)
    how = f"killed after {seconds:.2f} s"
    if chance.random() < 0.1:
        server.process.terminate()
        seconds = chance.uniform(0, 0.05)
        await asyncio.sleep(seconds)
        how += f", {seconds * 1000:.0f} ms into its stop"
    server.kill()
    await running
    return how


def _start_again(server: Server, chance: random.Random) -> float:
    """Restart, and return the seconds until the server is ready. Some starts are killed first."""
    while chance.random() < 0.15:
        _start_and_kill(server, chance.uniform(0.05, 0.5))
    begin = time.monotonic()
    server.restart()
    return time.monotonic() - begin


def _start_and_kill(server: Server, seconds: float) -> None:
    with subprocess.Popen(
        [*server.command, "--port", str(server.port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=server.env,
    ) as process:
        time.sleep(seconds)
        process.kill()


async def rest(load: Load) -> None:
    """Let the workers repeat their unanswered reports and send some more; then stop them."""
    running = asyncio.create_task(load.run())
    enough = {worker: worker.steps + MORE for worker in load.workers}
    while not running.done() and any(worker.steps < n for worker, n in enough.items()):
        await asyncio.wait([running], timeout=0.02)
    load.enough.set()
    await running


async def check(ledger: Ledger, server: Running, *, everything: bool = False) -> tuple[int, float]:
    """Return the number of jobs checked, and the seconds it took."""
    begin = time.monotonic()
    client = Client(server.port)
    try:
        jobs = await Checker(ledger, client).check(everything=everything)
    finally:
        client.close()
    return jobs, time.monotonic() - begin
