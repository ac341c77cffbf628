"""Send files from their descriptor to the socket: by the kernel, outside the event loop.

One thread waits until a socket is writable, and lets the kernel copy. The loop gets a callback
when a file has been sent. So a download of any size costs the loop nothing, and reports and
viewers do not wait for a disk. This works for plain HTTP/1.1 behind our own runner. All other
downloads go through `send`, in pieces.
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

from livejobs.files.areas.area import FileSender
from livejobs.live.sink import Send
from livejobs.server.runner import UNSENT

PIECE: Final = 1 << 20  # bytes copied for one transfer before the next has its turn
TURNS: Final = 10  # of the loop, within which a head usually has been sent
PAUSES: Final = (0.002, 0.1)  # seconds between checks after that: from, to
AHEAD: Final = 1 << 20  # bytes that the kernel may hold: files do not become stale, as states do


log = logging.getLogger("livejobs.sendfile")


class Transfer:
    """A part of a file that is sent to a socket. It owns both descriptors."""

    def __init__(self, sock: socket.socket, file: int, offset: int, count: int) -> None:
        self.sock = sock
        self.file = file
        self.offset = offset
        self.left = count
        self.cancelled = False
        self.refused = False  # by the socket: the client has gone
        self.loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self.loop.create_future()

    def advance(self) -> bool:
        """Send what the socket takes. True if all was sent, or if no more can be."""
        if self.cancelled:
            return True
        try:
            sent = os.sendfile(self.sock.fileno(), self.file, self.offset, min(self.left, PIECE))
        except BlockingIOError:
            return False
        except OSError as error:
            self.refused = error.errno != errno.EIO  # an error of the disk
            return True
        self.offset += sent
        self.left -= sent
        return not sent or not self.left

    def finish(self) -> None:
        os.close(self.file)
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
        self.sock.close()
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nothing waits
            self.loop.call_soon_threadsafe(self._set_done)

    def _set_done(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class Pump:
    """The thread. It starts with the first transfer and ends with the process."""

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
        except RuntimeError:  # the system allows no more threads now; the next transfer tries again
            self._end()
            raise

    def _end(self) -> None:
        os.close(self._wake)
        self._wake = -1

    def wake(self) -> None:
        """Call it after a transfer was added or cancelled."""
        with self._lock:
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        under_way: dict[int, Transfer] = {}
        try:
            self._carry(under_way)
        except Exception:  # a bug: end all transfers; the next one starts a new thread
            log.exception("The thread that sends files failed. Its downloads are cut off.")
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
                        self._add_and_drop(poll, under_way)
                    # A transfer that was dropped just now may still be among the events.
                    elif descriptor in under_way and under_way[descriptor].advance():
                        self._drop(poll, under_way, descriptor)

    def _add_and_drop(self, poll: select.epoll, under_way: dict[int, Transfer]) -> None:
        for descriptor in [fd for fd, it in under_way.items() if it.cancelled]:
            self._drop(poll, under_way, descriptor)
        while self._arrived:
            transfer = self._arrived.popleft()
            under_way[transfer.sock.fileno()] = transfer
            poll.register(transfer.sock.fileno(), select.EPOLLOUT)

    @staticmethod
    def _drop(poll: select.epoll, under_way: dict[int, Transfer], descriptor: int) -> None:
        poll.unregister(descriptor)
        under_way.pop(descriptor).finish()


PUMP: Final = Pump()


def sender_of(send: Send) -> FileSender | None:
    """None if bytes must not bypass this `send`: HTTP/2, TLS, or a layer in between. Nor can they
    on another system than Linux."""
    cycle = getattr(send, "__self__", None)
    if not isinstance(cycle, RequestResponseCycle) or not hasattr(os, "eventfd"):
        return None
    if cycle.transport.get_extra_info("sslcontext") is not None:
        return None
    return partial(send_file, cycle)


async def send_file(
    cycle: RequestResponseCycle, file: int, offset: int, count: int, gone: asyncio.Future[None]
) -> int:
    """Return how many bytes were sent: fewer than `count` if the client left or the file ended."""
    turns, pause = 0, PAUSES[0]
    while cycle.transport.get_write_buffer_size():  # the head goes first
        turns += 1
        if turns < TURNS:
            await asyncio.sleep(0)
        else:  # check ever less often, if the client does not read
            await asyncio.wait({gone}, timeout=pause)
            pause = min(2 * pause, PAUSES[1])
        if gone.done():
            return 0
    sock = _duplicate(cycle.transport)
    if sock is None:
        await _disconnect(cycle, gone)
        return 0
    transfer = Transfer(sock, os.dup(file), offset, count)
    try:
        PUMP.take(transfer)
    except BaseException:  # nothing else would close its descriptors
        transfer.finish()
        raise
    try:
        await asyncio.wait({transfer.done, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not transfer.done.done():
            transfer.cancelled = True
            PUMP.wake()
    await transfer.done  # the thread may still count the last bytes
    sent = count - transfer.left
    cycle.expected_content_length -= sent
    if transfer.refused:
        await _disconnect(cycle, gone)
    return sent


async def _disconnect(cycle: RequestResponseCycle, gone: asyncio.Future[None]) -> None:
    """The client has gone, and the thread may know it before the loop does."""
    cycle.transport.abort()
    await asyncio.wait({gone})


def _duplicate(transport: asyncio.Transport) -> socket.socket | None:
    """The same socket with a descriptor of its own, since nothing else may use the loop's. None
    if the socket was closed just now."""
    descriptor = transport.get_extra_info("socket").fileno()
    if transport.is_closing() or descriptor < 0:
        return None
    sock = socket.socket(fileno=os.dup(descriptor))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, AHEAD)
    return sock
