"""The way out to one connection.

`push` never waits. It hands messages to the server's `send`, which nearly always takes them at
once. When it does not, the client is slow: the sink is busy until the server has room again,
and whoever has something for it meanwhile must bring it up to date afterwards.

Two ways to do that, for two kinds of server:
- InlineSink steps the `send` coroutine by hand: no task, no queue. Sound only where `send`
  suspends on plain asyncio futures and never asks for the current task, as uvicorn's does.
- TaskSink gives each push a task of its own, for any other ASGI server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from types import coroutine
from typing import Any, ClassVar, TypeAlias

from livejobs.core.access import ANONYMOUS
from livejobs.live.frames import Message, Sendable, Wire

log = logging.getLogger("livejobs.sink")

Send: TypeAlias = Callable[[Any], Awaitable[None]]
# Writes bytes as they stand on the wire, if they can go at once; says whether they did.
Writer: TypeAlias = Callable[[bytes], bool]
Freed: TypeAlias = Callable[["Sink"], Awaitable[None]]


class Sink:
    takes_frames: ClassVar[bool] = False  # finished WebSocket frames, and messages that are shared

    __slots__ = (
        "__weakref__",
        "_freed",
        "busy",
        "by",
        "closed",
        "farewell",
        "own_wire",
        "send",
        "solo",
        "viewers",
    )

    def __init__(self, send: Send, freed: Freed, own_wire: Wire, *, solo: bool) -> None:
        self.send = send
        self.own_wire = own_wire  # for what concerns the connection: ping and bye
        self.solo = solo  # the connection is for one viewer, and ends with it
        self.viewers: list[Any] = []  # who goes out through it
        self.busy = False
        self.closed = False
        self.by = ANONYMOUS  # whose connection it is
        self.farewell: Message | None = None  # why it is to end, once it can be told
        self._freed = freed

    def push(self, messages: Sendable) -> None:
        """Out with them, now or as soon as the client has room. Not while busy."""
        raise NotImplementedError

    async def write(self, messages: Sendable) -> None:
        """The same for those who can wait, and hold the sink as busy."""
        for message in messages:
            await self.send(message)

    def let_go(self, viewer: Any) -> None:
        if viewer in self.viewers:
            self.viewers.remove(viewer)
            self.closed = self.closed or self.solo

    def settle(self) -> None:
        """Have those who fell behind brought up to date, in a task of its own."""
        if not self.busy and not self.closed:
            self.busy = True
            _keep(self._finish(_nothing()))

    async def _finish(self, rest: Awaitable[None]) -> None:
        """What is still to be sent, then what came meanwhile; the sink is free at the end."""
        try:
            await rest
            await self._freed(self)
        except Exception as error:  # noqa: BLE001  the client has gone, in whichever way
            log.debug("a connection ended: %r", error)
            self.closed = True
        finally:
            self.busy = False


class InlineSink(Sink):
    takes_frames = True

    __slots__ = ("writer",)

    writer: Writer | None  # past `send`, to a transport that has room

    def push(self, messages: Sendable) -> None:
        if self.writer is not None and len(messages) == 1:
            ready = messages[0].get("ready")
            if ready is not None and self.writer(ready):
                return
        for at, message in enumerate(messages):
            sending: Coroutine[Any, Any, None] = self.send(message)  # type: ignore[assignment]
            try:
                waiting_for = sending.send(None)
            except StopIteration:
                continue
            except Exception:  # noqa: BLE001  a send on a connection that has just gone
                self.closed = True
                return
            self.busy = True
            _keep(self._finish(self._resume(sending, waiting_for, messages[at + 1 :])))
            return

    async def _resume(
        self, sending: Coroutine[Any, Any, None], waiting_for: Any, rest: Sendable
    ) -> None:
        await _step(sending, waiting_for)
        await self.write(rest)


@coroutine
def _step(sending: Coroutine[Any, Any, None], waiting_for: Any) -> Generator[Any, Any, None]:
    """Drive a coroutine that was begun by hand to its end, inside a task."""
    try:
        while True:
            try:
                yield waiting_for
            except BaseException as error:  # noqa: BLE001  cancellation is the coroutine's too
                waiting_for = sending.throw(error)
            else:
                waiting_for = sending.send(None)
    except StopIteration:
        return


class TaskSink(Sink):
    __slots__ = ()

    def push(self, messages: Sendable) -> None:
        self.busy = True
        _keep(self._finish(self.write(messages)))

    async def write(self, messages: Sendable) -> None:
        for message in messages:
            await self.send(own_copy(message))


def own_copy(message: Mapping[str, Any]) -> dict[str, Any]:
    """Layers of other apps edit messages in place, and these are shared by many viewers. `ready`
    is for our own runner alone."""
    return {name: value for name, value in message.items() if name != "ready"}


async def _nothing() -> None:
    """No rest."""


_running: set[asyncio.Task[None]] = set()  # the loop itself keeps tasks only weakly


def _keep(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(work)
    _running.add(task)
    task.add_done_callback(_running.discard)
