"""Connections and their subscriptions. The hub passes every commit to the channels that carry it.

A viewer is registered before anything is read for it, so no change is lost between history and
live messages. While it is behind it gets pages from the store (see catchup.py). When it is up to
date its channel pushes to it (see channel.py). Nothing here waits, except for the timer of pings.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Final

from livejobs import clock
from livejobs.access.keyring import LOOK_EVERY, Keyring
from livejobs.core import wire
from livejobs.core.access import ANONYMOUS, Principal
from livejobs.core.errors import StorageUnavailable, TooMany
from livejobs.jobs.commit.committer import Committer
from livejobs.jobs.commit.publishing import Committed
from livejobs.jobs.reader import Reader
from livejobs.jobs.state import Slot
from livejobs.live.catchup import CatchUp
from livejobs.live.channel import Channel, Shown, Viewer
from livejobs.live.frames import PING, Message, Transport, Wire, encoded
from livejobs.live.options import Filter, Options
from livejobs.live.sent import Sent
from livejobs.live.sink import Bare, BareSink, InlineSink, Send, Sink, TaskSink, Writer
from livejobs.store.base import JobStore

AGED: Final = Message("bye", b'{"reason":"The stream has reached its longest time."}')
BYE: Final = Message("bye", b'{"reason":"The server is stopping."}')
NONE: Final[Mapping[Hashable, Channel]] = {}
READ_AGAIN: Final = 0.5  # seconds after the store has failed
PING_EVERY: Final = 15  # seconds; each second a fifteenth of the connections gets a ping


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
        inline: Callable[[Send], bool] = lambda _: False,
        writer_of: Callable[[Send], Writer | None] = lambda _: None,
    ) -> None:
        self._inline = inline  # whether a `send` may be stepped by hand
        self._writer_of = writer_of
        self._catch_up = CatchUp(store, reader, committer, largest_batch=largest_batch)
        self._next_wheel = 0
        self._resyncs = 0
        self._sent = Sent()
        self._keyring = keyring
        self._connections_each = connections_each  # the most for one credential
        self.begin()
        committer.listeners.append(self.publish)
        committer.skipping.append(self.resync)

    def begin(self) -> None:
        """Start with no connections. A second start forgets those of the first."""
        self._feeds: dict[str, dict[Hashable, Channel]] = {}  # by project
        self._by_id: dict[str, dict[Hashable, Channel]] = {}  # feeds that name their jobs
        self._of_jobs: dict[Slot, dict[Hashable, Channel]] = {}  # single jobs
        self._sinks: list[dict[Sink, None]] = [{} for _ in range(PING_EVERY)]
        self._queued: set[Channel] = set()  # channels of queued jobs
        self._connections: Counter[str] = Counter()  # by credential
        self._second = 0
        self._closing = False

    # Connections

    def check_limit(self, by: Principal) -> None:
        """Raise TooMany if the credential may not open one more connection."""
        limit = self._connections_each
        if limit is not None and self._connections[by.credential] >= limit:
            raise TooMany(
                f"This credential has {limit} open connections, and may not have more. "
                "Close one, or try again later.",
                code="too_many_connections",
                headers={"Retry-After": "5"},
            )

    def open(
        self,
        send: Send,
        own_wire: Wire,
        by: Principal = ANONYMOUS,
        *,
        solo: bool = False,
        bare: Bare | None = None,
        seconds: float | None = None,
    ) -> Sink:
        """A new connection. `own_wire` encodes its own messages, such as pings. The caller closes
        it in a `finally`; one that is bare closes by itself. It ends soon after so many seconds."""
        if bare is None:
            sink = self._sink(send, own_wire, by, solo)
        else:
            freed = self._bring_up_to_date
            sink = BareSink(bare, freed, self.close, own_wire, by=by, solo=solo)
        if seconds is not None:
            sink.ends_at = clock.monotonic() + seconds
        self._connections[by.credential] += 1
        self._next_wheel = (self._next_wheel + 1) % PING_EVERY
        self._sinks[self._next_wheel][sink] = None
        return sink

    def _sink(self, send: Send, own_wire: Wire, by: Principal, solo: bool) -> Sink:
        freed = self._bring_up_to_date
        if not self._inline(send):
            return TaskSink(send, freed, own_wire, by=by, solo=solo)
        writer = self._writer_of(send)
        return InlineSink(send, freed, own_wire, by=by, solo=solo, writer=writer)

    def close(self, sink: Sink) -> None:
        sink.closed = True
        sink.hang_up()
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
        """Replace the credential of a connection."""
        self._count_out(sink.by)
        self._connections[by.credential] += 1
        sink.by = by

    # Subscriptions

    def watch_job(
        self, sink: Sink, wire: Wire, slot: Slot, options: Options, since: int | None, first: int
    ) -> Viewer:
        options = options.paced()
        key = ("job", options)
        channels = self._of_jobs.setdefault(slot, {})
        channel = channels.get(key)
        if channel is None:
            channel = self._new_channel(key, options, slot, Filter(slot.head.project))
            channels[key] = channel
            slot.holders += 1  # keeps the slot in memory
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
            channel = feeds[key] = self._new_channel(key, options, None, filter)
            for id in filter.ids:
                self._by_id.setdefault(id, {})[key] = channel
        return self._register(Viewer(sink, wire, since, first), channel)

    def _new_channel(
        self, key: Hashable, options: Options, slot: Slot | None, filter: Filter
    ) -> Channel:
        return Channel(key, options, slot, filter, self._drop, self._sent)

    def _register(self, viewer: Viewer, channel: Channel) -> Viewer:
        viewer.channel = channel
        viewer.sink.viewers.append(viewer)
        channel.viewers[viewer] = None
        return viewer

    def unsubscribe(self, viewer: Viewer) -> None:
        if viewer.channel is not None:
            viewer.channel.leave(viewer)

    def _drop(self, channel: Channel) -> None:
        if channel.slot is not None:
            self._drop_job(channel.slot, channel.key)
            return
        filter = channel.filter
        feeds = self._feeds.get(filter.project, {})
        if feeds.get(channel.key) is not channel:
            return  # of an earlier run
        del feeds[channel.key]
        for id in filter.ids:
            named = self._by_id.get(id, {})
            named.pop(channel.key, None)
            if not named:
                self._by_id.pop(id, None)

    def _drop_job(self, slot: Slot, key: Hashable) -> None:
        channels = self._of_jobs.get(slot, {})
        if channels.pop(key, None) is not None:
            slot.holders -= 1
        if not channels:
            self._of_jobs.pop(slot, None)

    async def settle(self, sink: Sink) -> None:
        """Bring the connection's viewers up to date now, at the client's speed."""
        sink.busy = True
        try:
            await self._bring_up_to_date(sink)
        finally:
            sink.busy = False

    async def _bring_up_to_date(self, sink: Sink) -> None:
        """The sink is busy meanwhile, so nobody else writes to it."""
        while (viewer := _first_behind(sink)) is not None:
            self._resyncs += 1
            try:
                await self._catch_up_one(sink, viewer)
            except StorageUnavailable:  # the viewer waits until the store is there again
                if self._closing:
                    break
                await asyncio.sleep(READ_AGAIN)
        last = sink.farewell or (BYE if self._closing else None)
        if last is not None and not sink.closed:
            await sink.write(sink.own_wire.encode([last]))
            sink.closed = True

    async def _catch_up_one(self, sink: Sink, viewer: Viewer) -> None:
        ended, sent = False, viewer.seq
        try:
            async for page in self._catch_up.pages(viewer):
                if page:
                    self._sent.add_page(page)
                    await sink.write(viewer.wire.encode(page))
                    ended = page[-1].op == "end"
                sent = viewer.seq
                if ended:
                    break
                if sink.closed or sink.farewell is not None:
                    return
        except StorageUnavailable:  # the next try begins after the last page
            viewer.seq = sent
            raise
        viewer.behind = False
        if ended:
            self.unsubscribe(viewer)

    # Publishing

    def publish(self, committed: Sequence[Committed]) -> None:
        for change in committed:
            if change.slot in self._of_jobs:
                self._publish_job(change)
            for channel in self._feeds_of(change):
                channel.add(change)

    def _publish_job(self, change: Committed) -> None:
        for channel in list(self._of_jobs[change.slot].values()):
            channel.add(change)
            if change.slot.lane is not None:
                self._queued.add(channel)

    def resync(self, project: str) -> None:
        """The project has changed too much for messages: its viewers read from the store."""
        jobs = (own for slot, own in self._of_jobs.items() if slot.head.project == project)
        for channels in [*jobs, self._feeds.get(project, NONE)]:
            for channel in list(channels.values()):
                channel.resync()

    def _feeds_of(self, change: Committed) -> Iterable[Channel]:
        """Feeds of the project that name no jobs, and those that name this one."""
        if not self._feeds:
            return ()
        head = change.after or change.before or change.slot.head
        feeds = self._feeds.get(head.project, {}).values()
        unnamed = [channel for channel in feeds if not channel.filter.ids]
        return chain(unnamed, self._by_id.get(head.id, {}).values())

    def say_bye(self) -> None:
        """End every connection: at once if it takes a message now, else when it has taken what was
        sent before."""
        self._closing = True
        for sink in self._all():
            sink.try_end(BYE)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(1)
            self.tick()

    def tick(self) -> None:
        """Each second: pings, checks of credentials, and places in queues."""
        self._second = (self._second + 1) % PING_EVERY
        for sink in list(self._sinks[self._second]):
            sink.try_push(encoded(sink.own_wire, PING))
        for wheel in self._sinks[self._second % LOOK_EVERY :: LOOK_EVERY]:
            self._dismiss(wheel)
        self._push_places()

    def _dismiss(self, sinks: Iterable[Sink]) -> None:
        """Close connections whose credential is no longer valid, or whose time is over."""
        now, monotonic = clock.now_ms(), clock.monotonic()
        for sink in list(sinks):
            if sink.closed:
                continue
            why = self._keyring.valid(sink.by, now)
            if why is not None:
                sink.farewell = Message("unwelcome", wire.encode({"reason": why}))
            elif sink.ends_at is not None and sink.ends_at <= monotonic:
                sink.farewell = AGED
            else:
                continue
            sink.try_end(sink.farewell)

    def _push_places(self) -> None:
        for channel in list(self._queued):
            if channel.slot is not None and channel.viewers and channel.slot.lane is not None:
                channel.push_place()
            else:
                self._queued.discard(channel)

    def _all(self) -> list[Sink]:
        return [sink for wheel in self._sinks for sink in wheel]

    def statistics(self) -> dict[str, int]:
        sinks = self._all()
        viewers = [viewer for sink in sinks for viewer in sink.viewers]
        channels = {viewer.channel for viewer in viewers} - {None}
        streams = sum(sink.own_wire.transport != "websocket" for sink in sinks)
        return {
            "connections": len(sinks),
            "connections_slow": sum(sink.busy for sink in sinks),
            "streams": streams,
            "sockets": len(sinks) - streams,
            "subscriptions": len(viewers),
            "channels": len(channels),
            "resyncs": self._resyncs,
            "subscriptions_behind": sum(viewer.behind for viewer in viewers),
            "deliveries": self._sent.deliveries,
            "messages": self._sent.messages,
            "message_bytes": self._sent.bytes,
        }

    def watchers(self) -> Counter[tuple[Transport, Shown]]:
        """How many subscriptions there are, by their transport and by what they show."""
        viewers = (viewer for sink in self._all() for viewer in sink.viewers)
        return Counter((viewer.wire.transport, viewer.shows) for viewer in viewers)


def _first_behind(sink: Sink) -> Viewer | None:
    if sink.closed or sink.farewell is not None:  # it gets nothing more
        return None
    return next((viewer for viewer in sink.viewers if viewer.behind), None)
