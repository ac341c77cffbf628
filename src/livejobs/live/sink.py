"""The outgoing side of one connection.

`try_push` never waits. It hands messages to the server's `send`, which nearly always takes them
at once. If `send` waits, the client is slow: the sink is busy until `send` returns, and refuses
other messages. A viewer whose message was refused is brought up to date afterwards.

There are three kinds:
- BareSink writes to a connection of which nothing is left but its socket. Our runner gives such
  connections to streams over plain HTTP/1.1 (see server/bare/).
- InlineSink steps the `send` coroutine by hand: no task, no queue. This is sound only where `send`
  suspends on plain asyncio futures and never asks for the current task, as uvicorn's does.
- TaskSink runs each push in a task of its own, for any other ASGI server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from types import coroutine
from typing import Any, ClassVar, Protocol, TypeAlias

from livejobs.core.access import ANONYMOUS, Principal
from livejobs.live.frames import Message, Sendable, Wire, encoded

log = logging.getLogger("livejobs.sink")


class Bare(Protocol):
    """A connection that is only its socket."""

    owner: Any  # its sink, which it calls: `resumed` and `gone`

    def push(self, messages: Sendable) -> bool:
        """Write the messages. False: some bytes wait; `resumed` is called when they are sent."""

    async def flushed(self) -> None:
        """Wait until nothing waits to be sent."""

    async def send(self, message: Any) -> None:
        """As an ASGI server's."""

    def hang_up(self) -> None:
        """Close, without cutting off what was sent."""


class BareSocket(Bare, Protocol):
    """The same of a WebSocket, whose client sends messages too."""

    heard: Callable[[], None] | None  # called when messages begin to wait

    def next(self) -> Mapping[str, Any] | None:
        """The next message to handle. None: `heard` will be called when there is one."""


Send: TypeAlias = Callable[[Any], Awaitable[None]]
# Writes bytes to the transport as they are, if it takes them now; returns whether it did.
Writer: TypeAlias = Callable[[bytes], bool]
# Takes the connection, once its head is written. None: it can't be taken, and goes on as it is.
Take: TypeAlias = Callable[[], Awaitable[Bare | None]]
TakeSocket: TypeAlias = Callable[[], Awaitable[BareSocket | None]]
Freed: TypeAlias = Callable[["Sink"], Awaitable[None]]


class Sink:
    takes_frames: ClassVar[bool] = False  # finished WebSocket frames, and messages that are shared

    __slots__ = (
        "__weakref__",
        "_freed",
        "busy",
        "by",
        "closed",
        "ends_at",
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
        self.ends_at: float | None = None  # by the monotonic clock
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
        if self.try_push(encoded(self.own_wire, farewell)):
            self.closed = True

    def hang_up(self) -> None:
        """Nothing uses the sink any more."""

    def remove(self, viewer: Any) -> None:
        if viewer in self.viewers:
            self.viewers.remove(viewer)
            self.closed = self.closed or self.solo

    def settle(self) -> None:
        """Bring viewers that are behind up to date, in a task of its own."""
        if not self.busy and not self.closed:
            self.busy = True
            keep(self._finish(_nothing()))

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


class BareSink(Sink):
    takes_frames = True

    __slots__ = ("_bare", "_blocked", "_left")

    def __init__(
        self,
        bare: Bare,
        freed: Freed,
        left: Callable[[Sink], None],
        own_wire: Wire,
        *,
        by: Principal = ANONYMOUS,
        solo: bool = False,
    ) -> None:
        super().__init__(bare.send, freed, own_wire, by=by, solo=solo)
        self._bare = bare
        self._left = left  # called when the client has gone
        self._blocked = False  # a push waits in part
        bare.owner = self

    def try_push(self, messages: Sendable) -> bool:  # in one step, for the many idle viewers
        if self.busy or self.closed:
            return False
        if not self._bare.push(messages):
            self.busy = self._blocked = True
        return True

    async def write(self, messages: Sendable) -> None:
        if not self._bare.push(messages):
            await self._bare.flushed()

    def resumed(self) -> None:
        if self._blocked:
            self._blocked = self.busy = False
            self.settle()

    def gone(self) -> None:
        self._left(self)

    def hang_up(self) -> None:
        self._bare.hang_up()


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
            keep(self._finish(self._resume(sending, waiting_for, messages[at + 1 :])))
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
        keep(self._finish(self.write(messages)))

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


def keep(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(work)
    _running.add(task)
    task.add_done_callback(_running.discard)
