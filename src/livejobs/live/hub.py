"""Who watches what. The hub hears of every commit and tells those it concerns.

A viewer registers before anything is read for it, so that nothing falls between history and
live: until it is caught up it is only marked as behind (see catchup.py), and then it is told
inline (see channel.py). Nothing here waits, but for the pings' one timer.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final

from livejobs import clock
from livejobs.access.keyring import Keyring
from livejobs.core import wire
from livejobs.core.access import ANONYMOUS, Principal
from livejobs.core.errors import TooMany
from livejobs.jobs.committer import Committed, Committer
from livejobs.jobs.reader import Reader
from livejobs.jobs.state import Slot
from livejobs.live.catchup import CatchUp
from livejobs.live.channel import Channel, Filter, Options, Viewer
from livejobs.live.frames import PING, Message, Wire
from livejobs.live.sink import InlineSink, Send, Sink, TaskSink, Writer
from livejobs.store.base import JobStore

BYE: Final = Message("bye", b'{"reason":"The server is stopping."}')
PING_EVERY: Final = 15  # seconds; each second a fifteenth of the connections gets its ping


class Hub:
    def __init__(
        self,
        store: JobStore,
        reader: Reader,
        committer: Committer,
        keyring: Keyring,
        *,
        largest_batch: int,
        connections_each: int | None = None,
    ) -> None:
        # Set by our own runner: whether a `send` is its own, so that it may be stepped by hand;
        # and the way past it.
        self.ours: Callable[[Send], bool] = lambda _: False
        self.writer_of: Callable[[Send], Writer | None] = lambda _: None
        self._catch_up = CatchUp(store, reader, committer, largest_batch=largest_batch)
        self._next_wheel = 0
        self._resyncs = 0
        self._delivered = 0  # in pages, and in pushes of channels that are gone
        self._keyring = keyring
        self._connections_each = connections_each  # most for one credential
        self.begin()
        committer.listeners.append(self.tell)

    def begin(self) -> None:
        """Nobody watches anything. A second start leaves the connections of the first behind."""
        self._feeds: dict[str, dict[Hashable, Channel]] = {}  # by project
        self._by_id: dict[str, dict[Hashable, Channel]] = {}  # feeds that name their jobs
        self._sinks: list[dict[Sink, None]] = [{} for _ in range(PING_EVERY)]
        self._queued: set[Channel] = set()  # of jobs that wait their turn
        self._connections: Counter[str] = Counter()  # by credential
        self._closing = False

    # Connections

    def check_room(self, by: Principal) -> None:
        """Whether the credential may have one more connection."""
        limit = self._connections_each
        if limit is not None and self._connections[by.credential] >= limit:
            raise TooMany(
                f"This credential has {limit} connections open, the most it may.",
                code="too_many_connections",
                headers={"Retry-After": "5"},
            )

    def open(
        self, send: Send, own_wire: Wire, by: Principal = ANONYMOUS, *, solo: bool = False
    ) -> Sink:
        """A way out, with the words of its own messages. To be closed in a `finally`."""
        sink = self._sink(send, own_wire, solo)
        sink.by = by
        self._connections[by.credential] += 1
        self._next_wheel = (self._next_wheel + 1) % PING_EVERY
        self._sinks[self._next_wheel][sink] = None
        return sink

    def _sink(self, send: Send, own_wire: Wire, solo: bool) -> Sink:
        if not self.ours(send):
            return TaskSink(send, self._bring_up_to_date, own_wire, solo=solo)
        sink = InlineSink(send, self._bring_up_to_date, own_wire, solo=solo)
        sink.writer = self.writer_of(send)
        return sink

    def close(self, sink: Sink) -> None:
        sink.closed = True
        for viewer in list(sink.viewers):
            self.unsubscribe(viewer)
        for wheel in self._sinks:
            if sink in wheel:
                del wheel[sink]
                self._count_out(sink.by)

    def _count_out(self, by: Principal) -> None:
        self._connections[by.credential] -= 1
        if self._connections[by.credential] <= 0:
            del self._connections[by.credential]

    def change_caller(self, sink: Sink, by: Principal) -> None:
        """Another credential on the same connection."""
        self._count_out(sink.by)
        self._connections[by.credential] += 1
        sink.by = by

    # Subscriptions

    def watch_job(
        self, sink: Sink, wire: Wire, slot: Slot, options: Options, since: int | None, first: int
    ) -> Viewer:
        options = options.paced()
        key = ("job", options)
        channel = slot.channels.get(key)
        if channel is None:
            channel = Channel(key, options, slot, Filter(slot.head.project), self._drop)
            slot.channels[key] = channel
            slot.busy += 1  # the slot stays as long as it is watched
        if slot.lane is not None:
            self._queued.add(channel)
        return self._register(Viewer(sink, wire, since, first), channel)

    def watch_feed(
        self,
        sink: Sink,
        wire: Wire,
        filter: Filter,
        options: Options,
        since: int | None,
        first: int,
    ) -> Viewer:
        options = options.paced()
        key = (filter, options)
        feeds = self._feeds.setdefault(filter.project, {})
        channel = feeds.get(key)
        if channel is None:
            channel = feeds[key] = Channel(key, options, None, filter, self._drop)
            for id in filter.ids:
                self._by_id.setdefault(id, {})[key] = channel
        return self._register(Viewer(sink, wire, since, first), channel)

    def _register(self, viewer: Viewer, channel: Channel) -> Viewer:
        viewer.channel = channel
        viewer.sink.viewers.append(viewer)
        channel.viewers[viewer] = None
        return viewer

    def unsubscribe(self, viewer: Viewer) -> None:
        if viewer.channel is not None:
            viewer.channel.leave(viewer)

    def _drop(self, channel: Channel) -> None:
        self._delivered += channel.pushed
        channel.pushed = 0
        if channel.slot is not None:
            if channel.slot.channels.pop(channel.key, None) is not None:
                channel.slot.busy -= 1
            return
        filter = channel.filter
        feeds = self._feeds.get(filter.project, {})
        if feeds.get(channel.key) is not channel:
            return  # it is of an earlier run
        del feeds[channel.key]
        for id in filter.ids:
            named = self._by_id.get(id, {})
            named.pop(channel.key, None)
            if not named:
                self._by_id.pop(id, None)

    async def settle(self, sink: Sink) -> None:
        """Bring the sink's viewers up to date, here and now, at the client's speed."""
        sink.busy = True
        try:
            await self._bring_up_to_date(sink)
        finally:
            sink.busy = False

    async def _bring_up_to_date(self, sink: Sink) -> None:
        """The sink is held as busy meanwhile, so that nobody else writes to it."""
        while (viewer := _first_behind(sink)) is not None:
            self._resyncs += 1
            await self._catch_up_one(sink, viewer)
        last = sink.farewell or (BYE if self._closing else None)
        if last is not None and not sink.closed:
            await sink.write(sink.own_wire.encode([last]))
            sink.closed = True

    async def _catch_up_one(self, sink: Sink, viewer: Viewer) -> None:
        ended = False
        async for page in self._catch_up.pages(viewer):
            if page:
                self._delivered += 1
                await sink.write(viewer.wire.encode(page))
                ended = page[-1].op == "end"
            if sink.closed or sink.farewell is not None:
                return
        viewer.behind = False
        if ended:
            self.unsubscribe(viewer)

    # Telling

    def tell(self, committed: Sequence[Committed]) -> None:
        for change in committed:
            for channel in list(change.slot.channels.values()):
                channel.note(change)
                if change.slot.lane is not None:
                    self._queued.add(channel)
            head = change.after or change.before
            if head is None or not self._feeds:
                continue
            for channel in self._feeds.get(head.project, {}).values():
                if not channel.filter.ids:
                    channel.note(change)
            for channel in self._by_id.get(head.id, {}).values():
                channel.note(change)

    def say_bye(self) -> None:
        """The last words on every connection, at once where it can hear them, else as soon as
        it has taken what it was given."""
        self._closing = True
        for wheel in self._sinks:
            for sink in list(wheel):
                if not sink.busy and not sink.closed:
                    sink.push(sink.own_wire.encode([BYE]))
                    sink.closed = True

    async def run(self) -> None:
        """Pings, and places in queues, once a second."""
        second = 0
        while True:
            await asyncio.sleep(1)
            second = (second + 1) % PING_EVERY
            self._ping(self._sinks[second])
            for wheel in self._sinks[second % 3 :: 3]:  # each connection every three seconds
                self._dismiss(wheel)
            self._tell_places()

    def _ping(self, sinks: dict[Sink, None]) -> None:
        for sink in list(sinks):
            if not sink.busy and not sink.closed:
                sink.push(sink.own_wire.encode([PING]))

    def _dismiss(self, sinks: Iterable[Sink]) -> None:
        """Close those whose credential is no longer good."""
        now = clock.now_ms()
        for sink in list(sinks):
            why = None if sink.closed else self._keyring.valid(sink.by, now)
            if why is not None:
                sink.farewell = Message("unwelcome", wire.encode({"reason": why}))
                if not sink.busy:
                    sink.push(sink.own_wire.encode([sink.farewell]))
                    sink.closed = True

    def _tell_places(self) -> None:
        for channel in list(self._queued):
            if channel.slot is not None and channel.viewers and channel.slot.lane is not None:
                channel.tell_place()
            else:
                self._queued.discard(channel)

    def statistics(self) -> dict[str, int]:
        sinks = [sink for wheel in self._sinks for sink in wheel]
        viewers = [viewer for sink in sinks for viewer in sink.viewers]
        channels = {viewer.channel for viewer in viewers} - {None}
        streams = sum(sink.solo for sink in sinks)
        return {
            "connections": len(sinks),
            "connections_slow": sum(sink.busy for sink in sinks),
            "streams": streams,
            "sockets": len(sinks) - streams,
            "subscriptions": len(viewers),
            "channels": len(channels),
            "resyncs": self._resyncs,
            "deliveries": self._delivered + sum(channel.pushed for channel in channels),
        }


def _first_behind(sink: Sink) -> Viewer | None:
    if sink.closed or sink.farewell is not None:  # nobody is to hear more
        return None
    return next((viewer for viewer in sink.viewers if viewer.behind), None)
