"""The thread that sends files, called directly: it goes on whatever a client does."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from livejobs.server.sendfile import Pump, Transfer, send_file
from tests.support.server import Server

SIZE = 8 << 20
RESET = struct.pack("ii", 1, 0)  # close with a reset


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
    async with asyncio.timeout(30):  # reached only if it is stuck
        await transfer.done


def read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := sock.recv(1 << 20)):
        data += piece
    return data


async def test_two_files_are_sent_side_by_side(file: Path) -> None:
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
    assert not transfer.refused
    theirs.close()


async def test_a_disconnect_ends_its_transfer_and_no_other(file: Path) -> None:
    pump = Pump()
    left, leaving = begin(pump, file)
    stays, theirs = begin(pump, file)
    leaving.close()
    await over(left)
    assert left.left > 0
    assert left.refused
    await asyncio.to_thread(read, theirs, SIZE)
    await over(stays)
    theirs.close()


async def test_cancelling_a_transfer_that_could_go_on_harms_no_other(file: Path) -> None:
    """An event of the cancelled transfer then comes in the same round of epoll."""
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


class Unread:
    """A connection, and a request on it, whose client does not read."""

    checks = 0

    @property
    def transport(self) -> Unread:
        return self

    def get_write_buffer_size(self) -> int:
        self.checks += 1
        return 1


async def test_a_client_that_does_not_read_the_head_is_checked_ever_less_often(file: Path) -> None:
    unread: Any = Unread()
    gone = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.4, gone.set_result, None)
    with file.open("rb") as opened:
        assert await send_file(unread, opened.fileno(), 0, SIZE, gone) == 0
    assert unread.checks < 50  # 200, if each pause were as short as the first


def test_clients_that_disconnect_cause_no_warnings(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--log-level", "warning") as server:
        place = f"{server.url}/v1/jobs/j/files/f"
        httpx.put(f"{server.url}/v1/jobs/j").raise_for_status()
        httpx.put(place, content=bytes(SIZE)).raise_for_status()
        for number in range(90):
            with socket.create_connection(("127.0.0.1", server.port)) as leaving:
                leaving.sendall(b"GET /v1/jobs/j/files/f HTTP/1.1\r\nHost: localhost\r\n\r\n")
                leaving.recv(number % 3 * 1000 or 1)
                leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        assert len(httpx.get(place).content) == SIZE
        server.stop()
        lines = server.stderr.splitlines()
    assert [line for line in lines if "Open: there are no keys" not in line] == []


async def drain(sock: socket.socket) -> Any:
    def work() -> None:
        while sock.recv(1 << 16):
            pass

    await asyncio.to_thread(work)
