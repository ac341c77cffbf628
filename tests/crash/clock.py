"""Drill: the wall clock jumps under load, forward by days and back by an hour.

libfaketime shifts the server's wall clock. As when a real clock is set, the monotonic clock does
not change.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

from tests.crash.checker import integrity
from tests.crash.client import PATIENCE, Client
from tests.crash.kill import check, rest
from tests.crash.ledger import Ledger
from tests.crash.load import Load
from tests.support.server import Server

JUMPS: Final = {"+3d": timedelta(days=3), "-1h": timedelta(hours=-1), "+0": timedelta()}
NEAR: Final = timedelta(minutes=1)
QUIET: Final = "says-nothing-for-long"


def library() -> Path | None:
    """Debian's package libfaketime."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    return found[0] if found else None


class Clock:
    """The server's clock: a file that libfaketime reads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.set("+0")

    def set(self, offset: str) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(f"{offset}\n")
        new.replace(self._path)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # else Python's threads wait far too long
        }


async def drill(
    rounds: int, folder: Path, seed: int, say: Callable[[str], None], *, gap: float = 0
) -> None:
    ledger = Ledger()
    chance = random.Random(seed)
    clock = Clock(folder / "clock")
    with Server(folder / "data", env=clock.environment) as server:
        load = Load(ledger, server.port, seed, gap=gap)
        await _start_quiet_job(server.port)
        for at in range(1, rounds + 1):
            for offset in JUMPS:
                await _jump(server, load, clock, offset, chance)
                say(f"round {at}/{rounds}, {offset}: {ledger.acknowledged} acknowledged so far")
        await rest(load)
        jobs, seconds = await check(ledger, server, everything=True)
    say(
        f"{rounds} rounds: {ledger.acknowledged} reports acknowledged, all there exactly once; "
        f"all {jobs} jobs checked in {seconds:.1f} s"
    )


async def _jump(
    server: Server, load: Load, clock: Clock, offset: str, chance: random.Random
) -> None:
    """The clock jumps under load; then the server is killed and starts at the new time."""
    ledger = load.ledger
    running = asyncio.create_task(load.run())
    await asyncio.wait([running], timeout=chance.uniform(0.2, 0.5))
    clock.set(offset)
    await _until_set(server.port, JUMPS[offset])
    await asyncio.wait([running], timeout=1.5)  # longer than the sweeper's round
    load.enough.set()
    await running
    await check(ledger, server)
    await _check_time(server.port, JUMPS[offset], ledger)
    running = asyncio.create_task(load.run())
    await asyncio.wait([running], timeout=chance.uniform(0.1, 0.3))
    server.kill()
    await running
    integrity(server.data)
    server.restart()
    ledger.restarted()
    await _check_time(server.port, JUMPS[offset], ledger)
    await check(ledger, server)


async def _until_set(port: int, offset: timedelta) -> None:
    """libfaketime reads the offset again after a second of the process's own time."""
    client = Client(port)
    async with asyncio.timeout(PATIENCE):
        while _off((await client.get("/healthz")).headers["date"], offset) > NEAR:  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(0.05)
    client.close()


def _off(shown: str, offset: timedelta) -> timedelta:
    return abs(parsedate_to_datetime(shown) - datetime.now(UTC) - offset)


async def _start_quiet_job(port: int) -> None:
    client = Client(port)
    await client.call("PUT", f"/v1/jobs/{QUIET}", b'{"project":"quiet"}')
    await client.call("POST", f"/v1/jobs/{QUIET}/reports", b'{"type":"start"}')
    client.close()


async def _check_time(port: int, offset: timedelta, ledger: Ledger) -> None:
    """The server uses the new time, and did not take the jump for a silent worker."""
    client = Client(port)
    new = await _made(client)
    quiet = (await client.get(f"/v1/jobs/{QUIET}")).json()
    client.close()
    shown = datetime.fromisoformat(new["created_at"])
    off = abs(shown - datetime.now(UTC) - offset)
    ledger.expect(off < NEAR, f"the clock was not set: it shows {shown}")
    state = quiet["status"], quiet["stalled"]
    ledger.expect(state == ("running", False), f"a jump was taken for silence: {state}")


async def _made(client: Client) -> dict[str, Any]:
    answer = await client.call("POST", "/v1/jobs", b'{"project":"quiet"}')
    made: dict[str, Any] = json.loads(answer.body)
    return made
