"""The thread that hands files to the kernel, at its own door: whoever leaves, it goes on."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from livejobs.sendfile import Pump, Transfer

SIZE = 8 << 20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(SIZE))
    return path


def begin(pump: Pump, file: Path, count: int = SIZE) -> tuple[Transfer, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    transfer = Transfer(ours, os.open(file, os.O_RDONLY), 0, count)
    pump.take(transfer)
    return transfer, theirs


async def over(transfer: Transfer) -> None:
    async with asyncio.timeout(30):  # else it is stuck
        await transfer.done


def read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := sock.recv(1 << 20)):
        data += piece
    return data


async def test_files_go_through_side_by_side(file: Path) -> None:
    pump = Pump()
    both = [begin(pump, file) for _ in range(2)]
    wanted = await asyncio.to_thread(file.read_bytes)
    for transfer, theirs in both:
        assert await asyncio.to_thread(read, theirs, SIZE) == wanted
        await over(transfer)
        assert transfer.left == 0
        theirs.close()


async def test_a_file_that_ends_early_ends_its_transfer(file: Path) -> None:
    transfer, theirs = begin(Pump(), file, SIZE + 1)
    await asyncio.to_thread(read, theirs, SIZE)
    await over(transfer)
    assert transfer.left == 1
    theirs.close()


async def test_a_peer_that_leaves_ends_its_transfer_and_no_other(file: Path) -> None:
    pump = Pump()
    left, leaving = begin(pump, file)
    stays, theirs = begin(pump, file)
    leaving.close()
    await over(left)
    assert left.left > 0
    await asyncio.to_thread(read, theirs, SIZE)
    await over(stays)
    theirs.close()


async def test_cancelling_while_there_is_room_to_write_harms_no_other(file: Path) -> None:
    """Then an event of the one that is parted with comes in the same round."""
    pump = Pump()
    for _ in range(200):
        transfer, theirs = begin(pump, file)
        draining = asyncio.create_task(drain(theirs))
        await asyncio.sleep(0)
        transfer.cancelled = True
        pump.wake()
        await over(transfer)
        theirs.shutdown(socket.SHUT_RDWR)
        await draining
        theirs.close()
    last, theirs = begin(pump, file)
    await asyncio.to_thread(read, theirs, SIZE)
    await over(last)
    assert last.left == 0
    theirs.close()


async def drain(sock: socket.socket) -> Any:
    def work() -> None:
        while sock.recv(1 << 16):
            pass

    await asyncio.to_thread(work)
