"""Viewers that watch the same jobs with the same options, and the pace of their messages.

The first change after a quiet time is sent at once. Changes within 1/rate after it are joined into
one message (see window.py).

Messages are sent in order of seq, and a message's cursor covers only what was sent. So a client
may be cut anywhere: if it resumes from the last cursor it has seen, it misses nothing and sees
nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from itertools import islice
from sys import intern
from typing import Final, Literal, TypeAlias

from livejobs import clock
from livejobs.core.model import Entry, Head
from livejobs.jobs.commit.publishing import Committed
from livejobs.jobs.state import Slot
from livejobs.live.frames import Message, Wire
from livejobs.live.options import Filter, Options
from livejobs.live.sent import Batch, Made, Page, Sent
from livejobs.live.sink import Sink
from livejobs.live.window import Window, delta_message, end_message

Shown: TypeAlias = Literal["job", "feed", "logs", "face"]

SLICE: Final = 100  # viewers written to before other tasks run: about a millisecond
PUSH_BYTES: Final = 4 * 1024 * 1024
BYTES: Final = 4 * 1024 * 1024  # a second, for each viewer: large states are sent less often
FEED_MESSAGES: Final = 1000  # a second, for all jobs of a feed together
NOTHING: Final[frozenset[str]] = frozenset()
SLOWEST: Final = 10.0  # seconds between two messages of a feed, however many jobs change

_SHOWN: Final[Mapping[str, Shown]] = {
    "state": "job",
    "delta": "job",
    "logs": "logs",
    "form": "face",
}


class Viewer:
    """One subscription. To resume it, the server needs nothing but `seq`."""

    __slots__ = ("behind", "channel", "first", "known", "seq", "sink", "wire")

    def __init__(self, sink: Sink, wire: Wire, since: int | None, first: int) -> None:
        self.sink = sink
        self.wire = wire
        self.seq = since  # the last change that was sent; None: nothing yet
        self.first = first  # how many log lines, or jobs of a feed, to begin with
        self.behind = True  # until the catch-up from the store has reached the present
        self.known: Known | None = None  # jobs for which it has a base; None: all
        self.channel: Channel | None = None

    @property
    def shows(self) -> Shown:
        if self.channel is None or self.channel.feed:
            return "feed"
        return _SHOWN[self.channel.options.view]


class Known:
    """The jobs of a feed that a viewer has seen whole. Past MOST all are forgotten, and are then
    sent whole again."""

    __slots__ = ("_ids",)

    MOST: Final = 2_000  # a subscription begins with at most a thousand

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._ids: set[str] = set()
        self.learn(ids)

    def learn(self, ids: Iterable[str]) -> None:
        self._ids.update(map(intern, ids))  # many viewers know the same jobs
        if len(self._ids) > self.MOST:
            self._ids.clear()

    def __len__(self) -> int:
        return len(self._ids)

    def lacks(self, ids: Collection[str]) -> frozenset[str]:
        return frozenset(id for id in ids if id not in self._ids)


class Channel:
    def __init__(
        self,
        key: Hashable,
        options: Options,
        slot: Slot | None,
        filter: Filter,
        emptied: Callable[[Channel], None],
        sent: Sent,
    ) -> None:
        self._emptied = emptied
        self._sent = sent
        self.key = key
        self.options = options
        self.slot = slot  # None: a feed
        self.filter = filter
        self.viewers: dict[Viewer, None] = {}
        self.kinds = options.kinds
        # A subscription begins with the present place in the queue; later moves are pushed.
        self.lane_moves = slot.lane.moves if slot is not None and slot.lane is not None else -1
        self._window = Window()
        self._scheduled = False  # a flush
        self._began = 0.0  # the time of the last flush
        self._next = 0.0  # the earliest time of the next
        self._written = 0  # bytes of the last flush, for one viewer
        self._loop = asyncio.get_running_loop()

    @property
    def feed(self) -> bool:
        return self.slot is None

    def carries(self, entry: Entry) -> bool:
        return entry.kind in self.kinds and self.options.selects(entry)

    # Gathering

    def add(self, change: Committed) -> None:
        entered = False
        if self.feed and not change.unknown:
            was, now = self.filter.matches(change.before), self.filter.matches(change.after)
            if not was and not now:
                return
            entered = not was
        entries = tuple(entry for entry in change.entries if self.carries(entry))
        if not (self.options.heads or entries or self._ends(change.after)):
            return
        self._window.add(change, entries, entered=entered)
        if self._window.overfull:
            self.resync()
        elif not self._scheduled:
            self._scheduled = True
            self._loop.call_at(max(self._next, self._loop.time()), self._flush)

    def resync(self) -> None:
        """Drop the window, which is too large. Each viewer reads from the store at its own speed
        instead."""
        self._window = Window()
        for viewer in list(self.viewers):
            viewer.behind = True
            viewer.sink.settle()

    # Sending

    def _flush(self) -> None:
        window, self._window = self._window, Window()
        if not window.heads or not self.viewers:
            self._scheduled = False
            return
        self._began = self._loop.time()
        self._written = 0
        window.freeze(self.options, feed=self.feed)
        self._push_slice(window, iter(list(self.viewers)), Made())

    def _push_slice(self, window: Window, viewers: Iterator[Viewer], made: Made) -> None:
        upto = window.last_seq
        some = list(islice(viewers, SLICE))
        for viewer in some:
            self._push(viewer, window, upto, made)
        if len(some) == SLICE:
            self._loop.call_soon(self._push_slice, window, viewers, made)
        else:
            self._count(made.batches.values())
            self._pause(len(window.heads) + len(window.items))

    def _count(self, batches: Iterable[Batch | None]) -> None:
        for batch in batches:
            if batch is not None:
                self._sent.add(batch.messages, batch.size, batch.taken)

    def _pause(self, messages: int) -> None:
        """Set the earliest time of the next flush, and schedule it if changes wait already."""
        pause = max(1 / self.options.rate, self._written / BYTES)
        if self.feed:
            pause = max(pause, min(SLOWEST, messages / FEED_MESSAGES))
        self._next = self._began + pause
        self._scheduled = bool(self._window.heads)
        if self._scheduled:
            self._loop.call_at(self._next, self._flush)

    def _push(self, viewer: Viewer, window: Window, upto: int, made: Made) -> None:
        if viewer.behind or viewer.seq is None or viewer.seq >= upto:
            return
        lacks = NOTHING if viewer.known is None else self._lacks(viewer.known, window)
        key = (viewer.wire, viewer.seq, lacks)
        try:
            batch = made.batches[key]
        except KeyError:
            page = self._page(window, viewer.seq, lacks, made)
            batch = made.batches[key] = None if page is None else page.on(viewer.wire)
        if batch is None:
            viewer.behind = True
            viewer.sink.settle()
        elif viewer.sink.try_push(batch.sendable):
            viewer.seq = upto
            batch.taken += 1
            if batch.ends:
                self.leave(viewer)
        else:
            viewer.behind = True

    def _page(self, window: Window, since: int, lacks: frozenset[str], made: Made) -> Page | None:
        """The window as messages, made once for all wires. None: it is too large to keep for slow
        clients, so viewers read from the store, page by page."""
        try:
            return made.pages[since, lacks]
        except KeyError:
            page = made.pages[since, lacks] = self._new_page(window, since, lacks)
            return page

    def _new_page(self, window: Window, since: int, lacks: frozenset[str]) -> Page | None:
        messages, size = [], 0
        for message in self.messages(window, since, lacks):
            messages.append(message)
            size += len(message.data)
            if size > PUSH_BYTES:
                return None
        self._written = max(self._written, size)
        return Page(messages, size, ends=not self.feed and messages[-1].op == "end")

    def messages(self, window: Window, since: int, lacks: frozenset[str]) -> Iterator[Message]:
        """For a client that has seen `since`, and that has no base for the jobs it `lacks`."""
        for run in window.runs(since):
            whole = run.slot.head.id in lacks
            yield from run.messages(since, self.options, feed=self.feed, whole=whole)
            if run.head is not None and not self.feed and self.options.over(run.head.head):
                yield end_message(str(run.slot.cursor._replace(seq=run.seq)))
            since = run.seq

    def _lacks(self, known: Known, window: Window) -> frozenset[str]:
        lacks = known.lacks([slot.head.id for slot in window.heads])
        known.learn(lacks)
        return lacks

    def leave(self, viewer: Viewer) -> None:
        viewer.sink.remove(viewer)
        if self.viewers.pop(viewer, viewer) is None and not self.viewers:
            self._emptied(self)

    def push_place(self) -> None:
        """Send the job's place in its queue, which moves without its cursor."""
        slot = self.slot
        if slot is None or slot.lane is None or slot.lane.moves == self.lane_moves:
            return
        self.lane_moves = slot.lane.moves
        message = self._place(slot)
        if message is None:
            return
        for viewer in list(self.viewers):
            # Only to viewers that have everything else: the message has the job's cursor.
            up_to_date = not viewer.behind and viewer.seq == slot.seq
            if up_to_date and viewer.sink.try_push(viewer.wire.encode([message])):
                self._sent.add_page([message])

    def _place(self, slot: Slot) -> Message | None:
        fields, cursor = slot.fields(clock.now_ms()), str(slot.cursor)
        if self.options.view in ("logs", "form"):
            return None
        if self.options.view == "delta":
            return delta_message(slot, cursor, {"queue": fields["queue"]}, ())
        return Message("state", slot.state_json(clock.now_ms()), cursor)

    def _ends(self, head: Head | None) -> bool:
        return head is None or self.options.over(head)
