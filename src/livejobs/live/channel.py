"""Viewers who watch the same thing in the same way, and the pace at which they hear of it.

The first change after a quiet time goes out at once; what comes within 1/rate after it is
joined into one message. A window is what has gathered since the last message. It holds one
base a job, to tell what changed, and the entries, which are all kept; so it grows with jobs and
entries only, and past its bound the viewers read from the store instead.

Messages go out in order of seq, and a message's cursor covers nothing that was not sent: cut
anywhere, a viewer that comes back with the last cursor it saw has missed and repeats nothing.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from itertools import islice
from sys import intern
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from msgspec import Raw, Struct
from msgspec.structs import replace

from livejobs import clock
from livejobs.core import delta, wire
from livejobs.core.cursor import Cursor
from livejobs.core.model import Entry, EntryKind, Head
from livejobs.jobs.committer import Committed
from livejobs.jobs.state import Slot
from livejobs.live.frames import Message, Sendable, Wire
from livejobs.live.sink import Sink

View: TypeAlias = Literal["state", "delta"]

SLICE: Final = 100  # viewers written to before others get a turn: about a millisecond
WINDOW_ENTRIES: Final = 10_000
WINDOW_BYTES: Final = 1024 * 1024
PUSH_BYTES: Final = 4 * 1024 * 1024
BYTES: Final = 4 * 1024 * 1024  # a second, for each viewer: large states go out less often
FEED_MESSAGES: Final = 1000  # a second, for all jobs of a feed together
SLOWEST: Final = 10.0  # seconds between two writes of a feed, however much moves in it
# Messages a second. A channel has one of these: each rate of its own would be a channel of its own,
# and every change be encoded once for it.
RATES: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0)


class Filter(Struct, frozen=True):
    """Which jobs of a project a feed carries. Empty: all."""

    project: str
    statuses: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    parent: str | None = None
    owner: str | None = None

    def may_match(self, head: Head) -> bool:
        """All but the status, which alone can change."""
        return (
            head.project == self.project
            and (not self.ids or head.id in self.ids)
            and (not self.types or head.type in self.types)
            and (not self.tags or not self.tags.isdisjoint(head.tags))
            and (self.parent is None or head.parent == self.parent)
            and (self.owner is None or head.owner == self.owner)
        )

    def matches(self, head: Head | None) -> bool:
        if head is None or (self.statuses and head.status not in self.statuses):
            return False
        return self.may_match(head)


class Options(Struct, frozen=True):
    """How a viewer wants to see it."""

    view: View = "state"
    logs: bool = False
    rate: float = 30.0

    def kinds(self, feed: bool) -> frozenset[EntryKind]:
        """The entries that are sent by themselves. A feed's states come without them."""
        kinds: set[EntryKind] = {"results", "errors"} if self.view == "delta" else set()
        return frozenset(kinds | ({"logs"} if self.logs else set()))

    def paced(self) -> Options:
        """The same, at the fastest of RATES that is no faster."""
        return replace(self, rate=RATES[max(0, bisect_right(RATES, self.rate) - 1)])


class Viewer:
    """One subscription. `seq` is all it is remembered by: what it has been sent."""

    __slots__ = ("behind", "channel", "first", "known", "seq", "sink", "wire")

    def __init__(self, sink: Sink, wire: Wire, since: int | None, first: int) -> None:
        self.sink = sink
        self.wire = wire
        self.seq = since  # None: nothing yet
        self.first = first  # how many log lines, or jobs of a feed, it begins with
        self.behind = True  # until it has been brought up to date
        self.known: Known | None = None  # jobs it has a base for; None: all there are
        self.channel: Channel | None = None


class Known:
    """The jobs a feed's viewer has seen whole. One that saw too many is told all anew."""

    __slots__ = ("_ids",)

    MOST: Final = 2_000  # a subscription begins with a thousand at most

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._ids: set[str] = set()
        self.learn(ids)

    def learn(self, ids: Iterable[str]) -> None:
        self._ids.update(map(intern, ids))  # many viewers know the same ones
        if len(self._ids) > self.MOST:
            self._ids.clear()

    def __len__(self) -> int:
        return len(self._ids)

    def lacks(self, ids: Collection[str]) -> frozenset[str]:
        return frozenset(id for id in ids if id not in self._ids)


class Item(NamedTuple):
    """Entries of one change that this channel carries."""

    seq: int
    slot: Slot
    entries: tuple[Entry, ...]


class Moved:
    """A job that changed in a window."""

    __slots__ = ("base", "entered", "fields", "gone", "seq", "slot", "state")

    def __init__(self, slot: Slot, base: Head | None, entered: bool) -> None:
        self.slot = slot
        self.base = base  # the head its viewers have
        self.entered = entered  # they have none
        self.seq = 0
        self.gone = False
        self.fields: dict[str, Any] = {}
        self.state = b""


class Window:
    """What has gathered since the last message."""

    def __init__(self) -> None:
        self.moved: dict[Slot, Moved] = {}
        self.items: list[Item] = []
        self.entries = 0
        self.bytes = 0

    def note(self, change: Committed, entries: tuple[Entry, ...], entered: bool) -> None:
        moved = self.moved.get(change.slot)
        if moved is None:
            moved = self.moved[change.slot] = Moved(change.slot, change.before, entered)
        moved.seq = change.seq
        moved.gone = change.after is None
        if entries:
            self.items.append(Item(change.seq, change.slot, entries))
            self.entries += len(entries)
            self.bytes += sum(len(bytes(entry.value)) for entry in entries)

    @property
    def overfull(self) -> bool:
        changes = max(self.entries, len(self.moved))
        return changes > WINDOW_ENTRIES or self.bytes > WINDOW_BYTES

    def close(self, view: View, feed: bool) -> None:
        """Fix what is shown: slots move on while viewers are being written to."""
        now = clock.now_ms()
        for moved in self.moved.values():
            moved.fields = moved.slot.fields(now)
            if view == "state" and not moved.gone:
                moved.state = moved.slot.head_json(now) if feed else moved.slot.state_json(now)


class Run(NamedTuple):
    """Consecutive changes of one job: entries, and its head if nothing follows in the window."""

    seq: int
    slot: Slot
    entries: tuple[Entry, ...]
    moved: Moved | None


def runs(window: Window, since: int) -> list[Run]:
    """A window in order of seq, for one who has seen `since`. A head that is superseded within
    the window is not shown; entries all are, each before anything with a higher seq."""
    steps: dict[int, Run] = {
        item.seq: Run(item.seq, item.slot, item.entries, None)
        for item in window.items
        if item.seq > since
    }
    for moved in window.moved.values():
        if moved.seq > since:
            step = steps.get(moved.seq)
            steps[moved.seq] = Run(moved.seq, moved.slot, step.entries if step else (), moved)
    result: list[Run] = []
    for _, run in sorted(steps.items()):
        if result and result[-1].slot is run.slot:
            last = result.pop()
            run = Run(run.seq, run.slot, last.entries + run.entries, run.moved)  # noqa: PLW2901
        result.append(run)
    return result


class Channel:
    def __init__(
        self,
        key: Hashable,
        options: Options,
        slot: Slot | None,
        filter: Filter,
        emptied: Callable[[Channel], None],
    ) -> None:
        self._emptied = emptied
        self.key = key
        self.options = options
        self.slot = slot  # None: a feed
        self.filter = filter
        self.viewers: dict[Viewer, None] = {}
        self.kinds = options.kinds(slot is None)
        # The beginning shows the place as it is; only what moves later is told.
        self.lane_moves = slot.lane.moves if slot is not None and slot.lane is not None else -1
        self.pushed = 0
        self._window = Window()
        self._due = False
        self._began = 0.0  # when the last window went out
        self._next = 0.0  # before which no other does
        self._wrote = 0  # bytes of its messages
        self._loop = asyncio.get_running_loop()

    @property
    def feed(self) -> bool:
        return self.slot is None

    # Gathering

    def note(self, change: Committed) -> None:
        entered = False
        if self.feed:
            was, now = self.filter.matches(change.before), self.filter.matches(change.after)
            if not was and not now:
                return
            entered = not was
        entries = tuple(e for e in change.entries if e.kind in self.kinds)
        self._window.note(change, entries, entered)
        if self._window.overfull:
            self._let_them_read()
        elif not self._due:
            self._due = True
            self._loop.call_at(max(self._next, self._loop.time()), self._flush)

    def _let_them_read(self) -> None:
        """Too much to hold: each viewer reads from the store at its own speed."""
        self._window = Window()
        for viewer in list(self.viewers):
            viewer.behind = True
            viewer.sink.settle()

    # Writing

    def _flush(self) -> None:
        window, self._window = self._window, Window()
        if not window.moved or not self.viewers:
            self._due = False
            return
        self._began = self._loop.time()
        self._wrote = 0
        window.close(self.options.view, self.feed)
        self._push_some(window, iter(list(self.viewers)), {})

    def _push_some(
        self, window: Window, viewers: Iterator[Viewer], made: dict[Any, Sendable | None]
    ) -> None:
        upto = max(moved.seq for moved in window.moved.values())
        some = list(islice(viewers, SLICE))
        for viewer in some:
            self._push(viewer, window, upto, made)
        if len(some) == SLICE:
            self._loop.call_soon(self._push_some, window, viewers, made)
        else:
            self._rest(len(window.moved) + len(window.items))

    def _rest(self, messages: int) -> None:
        """Until the next window goes out."""
        pause = max(1 / self.options.rate, self._wrote / BYTES)
        if self.feed:
            pause = max(pause, min(SLOWEST, messages / FEED_MESSAGES))
        self._next = self._began + pause
        self._due = bool(self._window.moved)
        if self._due:
            self._loop.call_at(self._next, self._flush)

    def _push(
        self, viewer: Viewer, window: Window, upto: int, made: dict[Any, Sendable | None]
    ) -> None:
        if viewer.behind or viewer.seq is None or viewer.seq >= upto:
            return
        sink = viewer.sink
        if sink.busy or sink.closed:
            viewer.behind = True
            return
        lacks = self._lacks(viewer, window)
        key = (viewer.wire, viewer.seq, lacks)
        if key not in made:
            made[key] = self._made(viewer, window, lacks)
        sendable = made[key]
        if sendable is None:  # too much for one push: it reads from the store, page by page
            viewer.behind = True
            sink.settle()
            return
        viewer.seq = upto
        self.pushed += 1
        sink.push(sendable)
        if self.slot is not None and self.slot.head.finished and upto == self.slot.seq:
            self.leave(viewer)

    def _made(
        self, viewer: Viewer, window: Window, lacks: frozenset[str] | None
    ) -> Sendable | None:
        """The window as messages; None if they are too large to be held for those who are slow."""
        messages, size = [], 0
        seen = viewer.seq or 0
        for message in self.messages(runs(window, seen), seen, lacks):
            messages.append(message)
            size += len(message.data)
            if size > PUSH_BYTES:
                return None
        self._wrote = max(self._wrote, size)
        return viewer.wire.encode(messages)

    def _lacks(self, viewer: Viewer, window: Window) -> frozenset[str] | None:
        if viewer.known is None:
            return None
        ids = [slot.head.id for slot in window.moved]
        lacks = viewer.known.lacks(ids)
        viewer.known.learn(lacks)
        return lacks

    def leave(self, viewer: Viewer) -> None:
        viewer.sink.let_go(viewer)
        if self.viewers.pop(viewer, viewer) is None and not self.viewers:
            self._emptied(self)

    def tell_place(self) -> None:
        """The job's place in its queue, which moves without its cursor."""
        slot = self.slot
        if slot is None or slot.lane is None or slot.lane.moves == self.lane_moves:
            return
        self.lane_moves = slot.lane.moves
        fields = slot.fields(clock.now_ms())
        if self.options.view == "state":
            message = Message("state", slot.state_json(clock.now_ms()), fields["cursor"])
        else:
            message = delta_message(slot, fields["cursor"], {"queue": fields["queue"]}, ())
        for viewer in list(self.viewers):
            # Only to those who have all else: the cursor must not run ahead of them.
            if not viewer.behind and not viewer.sink.busy and viewer.seq == slot.seq:
                self.pushed += 1
                viewer.sink.push(viewer.wire.encode([message]))

    # Wording

    def messages(
        self, them: Sequence[Run], since: int, lacks: Collection[str] | None = None
    ) -> Iterator[Message]:
        """The runs, for one who has seen `since` and lacks a base for some jobs."""
        for run in them:
            before, after = Cursor(run.slot.epoch, since), Cursor(run.slot.epoch, run.seq)
            if run.moved is not None and run.moved.gone:
                yield gone_message(run.slot, str(after))
            elif self.options.view == "delta":
                whole = lacks is not None and run.slot.head.id in lacks
                yield self._as_delta(run, str(after), whole)
            else:
                yield from self._as_state(run, str(before), str(after))
            if run.moved is not None and not self.feed and run.slot.head.finished:
                yield Message("end", b"{}", str(after))
            since = run.seq

    def _as_delta(self, run: Run, cursor: str, whole: bool) -> Message:
        """For a job that enters a feed every field is set: a delta is then its own base."""
        if run.moved is None:
            fields: dict[str, Any] = {"cursor": cursor}
        elif run.moved.entered or whole:
            fields = run.moved.fields
        else:
            fields = changed(run.moved)
        return delta_message(run.slot, cursor, fields, run.entries)

    def _as_state(self, run: Run, before: str, after: str) -> Iterator[Message]:
        if run.moved is not None:
            # A state may come twice, a line may not: cut between the two, the state comes again.
            yield Message("state", run.moved.state, before if run.entries else after)
        if run.entries:
            yield Message("logs", logs_json(run.slot, run.entries, self.feed), after)


def changed(moved: Moved) -> dict[str, Any]:
    """The fields that differ from the base. A queued job's place is always told."""
    if moved.base is None:
        return moved.fields
    slot = moved.slot
    old = wire.fields(moved.base, slot.cursor, base=slot.base)
    if moved.base.status == "queued":
        del old["queue"]
    return {**delta.diff(old, moved.fields), "cursor": moved.fields["cursor"]}


def delta_message(
    slot: Slot, cursor: str, fields: dict[str, Any], entries: Iterable[Entry]
) -> Message:
    append: dict[EntryKind, list[Raw]] = {}
    for entry in entries:
        append.setdefault(entry.kind, []).append(entry.value)
    body = {"job": slot.head.id, "cursor": cursor, "set": fields, "append": append}
    return Message("delta", wire.encode(body), cursor)


def logs_json(slot: Slot, entries: Iterable[Entry], named: bool) -> bytes:
    """An array of lines; in a feed each names its job."""
    values = [bytes(entry.value) for entry in entries]
    if named:
        prefix = b'{"job":' + wire.encode(slot.head.id) + b","
        values = [prefix + value[1:] for value in values]
    return b"[" + b",".join(values) + b"]"


def gone_message(slot: Slot, cursor: str) -> Message:
    return Message("gone", wire.encode({"job": slot.head.id, "cursor": cursor}), cursor)
