"""The outgoing side of one connection.

`try_push` never waits. It hands messages to the server's `send`, which nearly always takes them
at once. If `send` waits, the client is slow: the sink is busy until `send` returns, and refuses
other messages. A viewer whose message was refused is brought up to date afterwards.

There are two kinds, for two kinds of server:
- InlineSink steps the `send` coroutine by hand: no task, no queue. This is sound only where `send`
  suspends on plain asyncio futures and never asks for the current task, as uvicorn's does.
- TaskSink runs each push in a task of its own, for any other ASGI server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from types import coroutine
from typing import Any, ClassVar, TypeAlias

from livejobs.core.access import ANONYMOUS, Principal
from livejobs.live.frames import Message, Sendable, Wire

log = logging.getLogger("livejobs.sink")

Send: TypeAlias = Callable[[Any], Awaitable[None]]
# Writes bytes to the transport as they are, if it takes them now; returns whether it did.
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

    def __init__(
        self,
        send: Send,
        freed: Freed,
        own_wire: Wire,
        *,
        by: Principal = ANONYMOUS,
        solo: bool = False,
    ) -> None:
        self.send = send
        self.own_wire = own_wire  # for messages of the connection itself: ping and bye
        self.by = by  # whose connection it is
        self.solo = solo  # the connection is for one viewer, and ends with it
        self.viewers: list[Any] = []  # the subscriptions of this connection
        self.busy = False
        self.closed = False
        self.farewell: Message | None = None  # send this instead of anything else, then close
        self._freed = freed

    def try_push(self, messages: Sendable) -> bool:
        """Start to send the messages. False: the sink is busy or closed, and took none of them."""
        if self.busy or self.closed:
            return False
        self._push(messages)
        return True

    def _push(self, messages: Sendable) -> None:
        raise NotImplementedError

    async def write(self, messages: Sendable) -> None:
        """Send and wait. For callers that hold the sink as busy."""
        for message in messages:
            await self.send(message)

    def try_end(self, farewell: Message) -> None:
        """Send the last message and close. A sink that is busy stays open: whoever holds it sends
        the message afterwards (see Hub)."""
        if self.try_push(self.own_wire.encode([farewell])):
            self.closed = True

    def remove(self, viewer: Any) -> None:
        if viewer in self.viewers:
            self.viewers.remove(viewer)
            self.closed = self.closed or self.solo

    def settle(self) -> None:
        """Bring viewers that are behind up to date, in a task of its own."""
        if not self.busy and not self.closed:
            self.busy = True
            _keep(self._finish(_nothing()))

    async def _finish(self, rest: Awaitable[None]) -> None:
        """Send the rest, and what was committed meanwhile. Then the sink is free again."""
        try:
            await rest
            await self._freed(self)
        except Exception as error:  # noqa: BLE001  the client has gone, in whatever way
            log.debug("a connection ended: %r", error)
            self.closed = True
        finally:
            self.busy = False


class InlineSink(Sink):
    takes_frames = True

    __slots__ = ("_writer",)

    def __init__(
        self,
        send: Send,
        freed: Freed,
        own_wire: Wire,
        *,
        by: Principal = ANONYMOUS,
        solo: bool = False,
        writer: Writer | None = None,
    ) -> None:
        super().__init__(send, freed, own_wire, by=by, solo=solo)
        self._writer = writer  # past `send`, to a transport that takes more

    def _push(self, messages: Sendable) -> None:
        if self._writer is not None and len(messages) == 1:
            ready = messages[0].get("ready")
            if ready is not None and self._writer(ready):
                return
        for at, message in enumerate(messages):
            # The `send` of our runner is a coroutine function.
            sending: Coroutine[Any, Any, None] = self.send(message)  # type: ignore[assignment]
            try:
                waiting_for = sending.send(None)
            except StopIteration:
                continue
            except Exception:  # noqa: BLE001  the connection has just closed
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
    """Run a coroutine that was started by hand to its end, inside a task."""
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

    def _push(self, messages: Sendable) -> None:
        self.busy = True
        _keep(self._finish(self.write(messages)))

    async def write(self, messages: Sendable) -> None:
        for message in messages:
            await self.send(own_copy(message))


def own_copy(message: Mapping[str, Any]) -> dict[str, Any]:
    """Middleware of other apps edits messages in place, and many viewers share these. Only our
    own runner reads `ready`."""
    return {name: value for name, value in message.items() if name != "ready"}


async def _nothing() -> None:
    """Nothing is left to send."""


_running: set[asyncio.Task[None]] = set()  # the loop itself keeps tasks only weakly


def _keep(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(work)
    _running.add(task)
    task.add_done_callback(_running.discard)
