"""Drill: the disk fills up under load and gets room again. Runs in its own mount namespace."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple, NoReturn, Self

from tests.crash.checker import integrity
from tests.crash.client import PATIENCE, Client
from tests.crash.kill import check, rest
from tests.crash.ledger import Ledger
from tests.crash.load import Load
from tests.support.server import DidNotStart, Server

BALLAST: Final = 2 << 20
ENOUGH: Final = 40  # refusals
ANY_ROOM: Final = ("--min-free-bytes", "1")  # ready on this disk, which is smaller than the default


def possible() -> bool:
    """Whether this process may mount, as root or in a user namespace."""
    command = [*namespace(), "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def namespace() -> list[str]:
    return (
        ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    )


def enter(*command: str) -> NoReturn:
    """Replace this process by a command in a mount namespace, whose mounts end with it."""
    inside = [*namespace(), *command]
    os.execvp(inside[0], inside)


class Room(NamedTuple):
    size: int  # of the disk, to begin with
    slack: int  # free when a later cycle begins
    more: int  # added when the disk is full


WIDE: Final = Room(8 << 20, 1 << 20, 3 << 20)
TIGHT: Final = Room(5 << 20, 1 << 18, 2 << 20)  # full after some seconds of load


class Disk:
    """A small tmpfs."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size

    def __enter__(self) -> Self:
        self.path.mkdir(exist_ok=True)
        _mount("-t", "tmpfs", "-o", f"size={self.size}", "tmpfs", str(self.path))
        return self

    def __exit__(self, *exc: object) -> None:
        subprocess.run(["umount", str(self.path)], check=True)

    def resize(self, size: int) -> None:
        _mount("-o", f"remount,size={size}", str(self.path))
        self.size = size

    @property
    def free(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    @property
    def used(self) -> int:
        return self.size - self.free

    def fill(self, name: str, most: int = 1 << 40) -> Path:
        """Write a file that takes all free space, or at most `most` bytes."""
        path = self.path / name
        with path.open("wb", buffering=0) as file:
            try:
                while (left := most - file.tell()) > 0:
                    file.write(bytes(min(left, 65536)))
            except OSError:
                pass
        return path


def _mount(*args: str) -> None:
    subprocess.run(["mount", *args], check=True)


Say = Callable[[str], None]


async def drill(cycles: int, folder: Path, seed: int, say: Say, room: Room = WIDE) -> None:
    ledger = Ledger()
    chance = random.Random(seed)
    with Disk(folder, room.size) as disk, Server(folder / "data", *ANY_ROOM) as server:
        load = Load(ledger, server.port, seed)
        for at in range(1, cycles + 1):
            cycle = Cycle(server, load, disk, room, chance)
            if at % 3 == 1:
                said = await cycle.fill_and_kill()
            else:
                said = await cycle.fill_and_free()
            said += await cycle.kill()
            say(f"cycle {at}/{cycles}: {said}")
        await rest(load)
        jobs, seconds = await check(ledger, server, everything=True)
        say(
            f"{cycles} cycles: {ledger.acknowledged} reports acknowledged, all there exactly "
            f"once; {ledger.refused} requests refused; all {jobs} jobs checked in {seconds:.1f} s"
        )


class Cycle:
    """Fill the disk once and free it once."""

    def __init__(
        self, server: Server, load: Load, disk: Disk, room: Room, chance: random.Random
    ) -> None:
        self.server, self.load, self.disk, self.chance = server, load, disk, chance
        self.room = room
        self.ledger = load.ledger
        self.client = Client(server.port)
        self.ballast: list[Path] = []
        if disk.size == room.size:
            self.ballast.append(disk.fill("ballast", BALLAST))
        else:
            disk.resize(disk.used + room.slack)

    async def fill_and_free(self) -> str:
        """The server accepts reports again as soon as there is room."""
        running = asyncio.create_task(self.load.run())
        refused = await self._fill(running)
        await self._check_reads()
        self.load.enough.set()
        await running
        said = await self._check_ready_again()
        running = asyncio.create_task(self.load.run())
        await self._until(self._acknowledged_since(self.ledger.acknowledged), running)
        self.load.enough.set()
        await running
        jobs, _ = await check(self.ledger, self.server)
        return f"{refused} refused, reads answered; {said}; {jobs} jobs checked; "

    async def fill_and_kill(self) -> str:
        """Kill the server while the disk is full, and start it before there is room."""
        running = asyncio.create_task(self.load.run())
        refused = await self._fill(running)
        self.server.kill()
        await running
        said = self._start_on_full_disk()
        self.server.kill()
        self._make_room()
        integrity(self.server.data)
        self.server.restart()
        self.ledger.restarted()
        jobs, _ = await check(self.ledger, self.server)
        return f"{refused} refused, killed while full, {said}; {jobs} jobs checked; "

    async def kill(self) -> str:
        running = asyncio.create_task(self.load.run())
        await asyncio.wait([running], timeout=self.chance.uniform(0.1, 0.5))
        self.server.kill()
        await running
        integrity(self.server.data)
        self.server.restart()
        self.ledger.restarted()
        jobs, _ = await check(self.ledger, self.server)
        self.client.close()
        return f"killed again, {jobs} jobs checked; {self.ledger.acknowledged} acknowledged so far"

    async def _fill(self, running: asyncio.Task[None]) -> int:
        """Fill the disk to the last page, until workers are refused."""
        before = self.ledger.refused
        await self._until(lambda: _true(self.ledger.refused > before), running)
        self.ballast.append(self.disk.fill("filling"))
        before_full = self.ledger.refused
        await self._until(lambda: _true(self.ledger.refused > before_full + ENOUGH), running)
        return self.ledger.refused - before

    async def _check_reads(self) -> None:
        await self._until(self._not_ready)  # now and then the log has a little room of its own
        id = next(
            id for id, book in reversed(self.ledger.ids.items()) if book.born and not book.gone
        )
        for path, status in {
            "/healthz": 200,
            f"/v1/jobs/{id}": 200,
            f"/v1/jobs/{id}/logs": 200,
            "/v1/jobs?limit=10&status=running": 200,
        }.items():
            answer = await self.client.get(path)
            self.ledger.expect(answer.status == status, f"on a full disk, {path}: {answer}")

    async def _check_ready_again(self) -> str:
        """Ready without any report: a load balancer sends reports only after /readyz is ready."""
        self._make_room()
        begin = time.monotonic()
        await self._until(self._ready)
        return f"ready {time.monotonic() - begin:.2f} s after there was room"

    async def _ready(self) -> bool:
        return (await self.client.get("/readyz")).status == 200

    async def _not_ready(self) -> bool:
        return not await self._ready()

    def _acknowledged_since(self, before: int) -> Callable[[], Awaitable[bool]]:
        return lambda: _true(self.ledger.acknowledged > before + 1000)

    async def _until(
        self, there: Callable[[], Awaitable[bool]], running: asyncio.Task[None] | None = None
    ) -> None:
        async with asyncio.timeout(PATIENCE):
            while not await there():
                if running is not None and running.done():
                    await running
                    raise AssertionError(f"the server is gone:\n{self.server.stderr}")
                await asyncio.sleep(0.01)

    def _make_room(self) -> None:
        if self.ballast and self.chance.random() < 0.5:
            self._drop_ballast()
        self.disk.resize(self.disk.size + self.room.more)
        self._drop_ballast()

    def _drop_ballast(self) -> None:
        for path in self.ballast:
            path.unlink(missing_ok=True)
        self.ballast.clear()

    def _start_on_full_disk(self) -> str:
        """The server may start or refuse to, but it must give the reason and keep all data."""
        try:
            self.server.restart()
        except DidNotStart as error:
            lines = str(error).splitlines()[1:]
            self.ledger.expect(len(lines) == 1, f"said, when not starting: {lines}")
            return f"refused to start ({lines[0] if lines else ''})"
        return "started on the full disk"


async def _true(value: bool) -> bool:
    return value
