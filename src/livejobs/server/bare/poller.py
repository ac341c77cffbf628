"""One epoll for all bare connections. It is itself one reader of the event loop.

A descriptor's number is given to the next connection as soon as it is closed. So a connection that
ends leaves the epoll and the table at once, but its descriptor is closed only after the batch of
events in which it ended. An event of that batch can't reach a later connection.
"""

from __future__ import annotations

import asyncio
import os
import select
from typing import Final, Protocol

AVAILABLE: Final = hasattr(select, "epoll")  # on Linux


class Polled(Protocol):
    fd: int

    def take_event(self, event: int) -> None: ...


class Poller:
    def __init__(self) -> None:
        self._epoll: select.epoll | None = None
        self._open: dict[int, Polled] = {}
        self._ended: list[int] = []  # descriptors to close

    def add(self, connection: Polled) -> None:
        if self._epoll is None:
            self._epoll = select.epoll()
            asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._poll)
        # Edge-triggered: the kernel reports room for more bytes only after a write that found none.
        events = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
        self._epoll.register(connection.fd, events)
        self._open[connection.fd] = connection

    def drop(self, connection: Polled) -> None:
        """Close the connection's descriptor. Nothing may use it from now on."""
        assert self._epoll is not None
        del self._open[connection.fd]
        self._epoll.unregister(connection.fd)
        if not self._ended:
            asyncio.get_running_loop().call_soon(self._close_ended)
        self._ended.append(connection.fd)

    def _poll(self) -> None:
        assert self._epoll is not None
        for fd, event in self._epoll.poll(0):
            connection = self._open.get(fd)
            if connection is not None:  # else it ended in this batch
                connection.take_event(event)

    def _close_ended(self) -> None:
        ended, self._ended = self._ended, []
        for fd in ended:
            os.close(fd)

    def close(self) -> None:
        if self._epoll is not None:
            asyncio.get_running_loop().remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None
