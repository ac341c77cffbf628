"""Files from their descriptor to the socket, by the kernel, past the event loop.

One thread waits for all sockets that can take more and has the kernel copy. The loop hears of
it when a file is through. So a download costs the loop nothing, however large, and those who
wait for a report do not wait for a disk. It is for plain HTTP/1.1 behind our own runner; what
it can't serve goes through `send`, a piece at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import select
import socket
import threading
from collections import deque
from functools import partial
from typing import Final

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from livejobs.files.area import FileSender
from livejobs.live.sink import Send
from livejobs.server.runner import UNSENT

PIECE: Final = 1 << 20  # bytes copied for one before another has its turn
TURNS: Final = 10  # of the loop, within which a head usually has gone out
PAUSES: Final = (0.002, 0.1)  # seconds between looks after that: from, to
AHEAD: Final = 1 << 20  # bytes that may wait in the kernel: nothing here grows stale


log = logging.getLogger("livejobs.sendfile")


class Transfer:
    """Some bytes of a file on their way to a socket. Both are descriptors of its own."""

    def __init__(self, sock: socket.socket, file: int, offset: int, count: int) -> None:
        self.sock = sock
        self.file = file
        self.offset = offset
        self.left = count
        self.cancelled = False
        self.refused = False  # by the socket: its client has gone
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self.loop.create_future()

    def advance(self) -> bool:
        """Whether there is nothing more to do: all was sent, or no more can be."""
        if self.cancelled:
            return True
        try:
            sent = os.sendfile(self.sock.fileno(), self.file, self.offset, min(self.left, PIECE))
        except BlockingIOError:
            return False
        except OSError as error:
            self.refused = error.errno != errno.EIO  # which is the disk's
            return True
        self.offset += sent
        self.left -= sent
        return not sent or not self.left

    def finish(self) -> None:
        os.close(self.file)
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
        self.sock.close()
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
            self.loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class Pump:
    """The thread. It is begun with the first transfer, and ends with the process."""

    def __init__(self) -> None:
        self._arrived: deque[Transfer] = deque()
        self._lock = threading.RLock()
        self._wake = -1

    def take(self, transfer: Transfer) -> None:
        with self._lock:
            if self._wake < 0:
                self._begin()
            self._arrived.append(transfer)
            self.wake()

    def _begin(self) -> None:
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            threading.Thread(target=self._run, name="livejobs-sendfile", daemon=True).start()
        except RuntimeError:  # there can be no more threads; the next one may have more luck
            self._end()
            raise

    def _end(self) -> None:
        os.close(self._wake)
        self._wake = -1

    def wake(self) -> None:
        """There is something new, or somebody has been cancelled."""
        with self._lock:
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        under_way: dict[int, Transfer] = {}
        try:
            self._carry(under_way)
        except Exception:  # a bug; whoever waits is let go, and the next one begins anew
            log.exception("sending files failed")
            with self._lock:
                self._end()
                waiting, self._arrived = self._arrived, deque()
            for transfer in (*under_way.values(), *waiting):
                transfer.finish()

    def _carry(self, under_way: dict[int, Transfer]) -> None:
        with select.epoll() as poll:
            poll.register(self._wake, select.EPOLLIN)
            while True:
                for descriptor, _ in poll.poll():
                    if descriptor == self._wake:
                        os.eventfd_read(self._wake)
                        self._welcome(poll, under_way)
                    # One that was parted with just now may still be among the events.
                    elif descriptor in under_way and under_way[descriptor].advance():
                        self._part(poll, under_way, descriptor)

    def _welcome(self, poll: select.epoll, under_way: dict[int, Transfer]) -> None:
        for descriptor in [fd for fd, it in under_way.items() if it.cancelled]:
            self._part(poll, under_way, descriptor)
        while self._arrived:
            transfer = self._arrived.popleft()
            under_way[transfer.sock.fileno()] = transfer
            poll.register(transfer.sock.fileno(), select.EPOLLOUT)

    @staticmethod
    def _part(poll: select.epoll, under_way: dict[int, Transfer], descriptor: int) -> None:
        poll.unregister(descriptor)
        under_way.pop(descriptor).finish()


PUMP: Final = Pump()


def sender_of(send: Send) -> FileSender | None:
    """None: it is not known what this `send` does (HTTP/2, TLS, or a layer in between)."""
    cycle = getattr(send, "__self__", None)
    if not isinstance(cycle, RequestResponseCycle):
        return None
    if cycle.transport.get_extra_info("sslcontext") is not None:
        return None
    return partial(send_file, cycle)


async def send_file(
    cycle: RequestResponseCycle, file: int, offset: int, count: int, gone: asyncio.Future[None]
) -> int:
    """How many of the bytes went out: all, or those before the client left or the file ended."""
    turns, pause = 0, PAUSES[0]
    while cycle.transport.get_write_buffer_size():  # the head is before us
        turns += 1
        if turns < TURNS:
            await asyncio.sleep(0)
        else:  # one who does not read costs ever less
            await asyncio.wait({gone}, timeout=pause)
            pause = min(2 * pause, PAUSES[1])
        if gone.done():
            return 0
    held = _second_hold(cycle.transport)
    if held is None:
        await _left(cycle, gone)
        return 0
    transfer = Transfer(held, os.dup(file), offset, count)
    try:
        PUMP.take(transfer)
    except BaseException:  # whatever it was, nobody else would close its descriptors
        transfer.finish()
        raise
    try:
        await asyncio.wait({transfer.done, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not transfer.done.done():
            transfer.cancelled = True
            PUMP.wake()
    await transfer.done  # the thread may just be counting the last bytes of a client that has left
    sent = count - transfer.left
    cycle.expected_content_length -= sent
    if transfer.refused:
        await _left(cycle, gone)
    return sent


async def _left(cycle: RequestResponseCycle, gone: asyncio.Future[None]) -> None:
    """The thread may know before the loop does that a client has gone; so the loop is told."""
    cycle.transport.abort()
    await asyncio.wait({gone})


def _second_hold(transport: asyncio.Transport) -> socket.socket | None:
    """The same socket by a descriptor of our own: the loop's must not be used by others. None:
    it was closed just now."""
    descriptor = transport.get_extra_info("socket").fileno()
    if transport.is_closing() or descriptor < 0:
        return None
    held = socket.socket(fileno=os.dup(descriptor))
    held.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, AHEAD)
    return held
