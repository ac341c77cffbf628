"""From any cursor to the present, from the store: for viewers that are new, resume or fall behind.

Pages are sent one at a time, in order of seq, each with the cursor that it reaches. The next page
is read when the client has taken the one before. A viewer is up to date when nothing was committed
after what it has been sent. No await lies between that comparison and its joining the live
changes, so none is missed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any, Final

from livejobs import clock
from livejobs.core import wire
from livejobs.core.cursor import Cursor
from livejobs.core.model import KINDS, Entry, Record, Stored
from livejobs.jobs.commit.committer import Committer
from livejobs.jobs.reader import Reader
from livejobs.jobs.state import Slot
from livejobs.live.channel import Channel, Known, Viewer
from livejobs.live.frames import Message
from livejobs.live.window import (
    Pending,
    Run,
    end_message,
    gone_message,
    logs_json,
    state_and_logs,
    trimmed_message,
)
from livejobs.store.base import EntryQuery, Gone, JobStore, Query, is_full

Messages = list[Message]

PAGE_BYTES: Final = 256 * 1024  # of entries or heads: the most that waits here for a slow client

RESET: Final = Message("reset", b'{"reason":"The server can\'t resume from this cursor."}')


class CatchUp:
    def __init__(
        self, store: JobStore, reader: Reader, committer: Committer, *, largest_batch: int
    ) -> None:
        self._store = store
        self._reader = reader
        self._committer = committer
        # The entries of a change share a seq and are sent together, so a page must be able to hold
        # any two changes.
        self._page = 2 * max(1000, largest_batch) + 1

    async def pages(self, viewer: Viewer) -> AsyncIterator[Messages]:
        """What the viewer still lacks, until it lacks nothing."""
        channel = viewer.channel
        assert channel is not None, "a viewer is registered before it is brought up to date"
        if channel.slot is None:
            async for page in self._feed(viewer, channel):
                yield page
        else:
            async for page in self._job(viewer, channel, channel.slot):
                yield page

    # One job

    async def _job(self, viewer: Viewer, channel: Channel, slot: Slot) -> AsyncIterator[Messages]:
        if slot.tail is None and channel.options.view in ("state", "delta"):
            await self._reader.read_tail(slot)
        if viewer.seq is None:
            yield await self._beginning(viewer, channel, slot)
        while (viewer.seq or 0) < slot.seq and not slot.gone:
            yield await self._job_page(viewer, channel, slot)
        if slot.head.finished:
            # A finished job can only be deleted. If a delete is being written right now, the store
            # may have returned too few entries.
            await self._committer.published()
        cursor = str(slot.cursor)
        if slot.gone:
            yield [gone_message(slot.head.id, cursor), end_message(cursor)]
        elif channel.options.over(slot.head):
            yield [end_message(cursor)]

    async def _beginning(self, viewer: Viewer, channel: Channel, slot: Slot) -> Messages:
        """The present state, with the last log lines if the viewer wants them."""
        # Both are taken before the first await: they show the same moment.
        cursor, view = str(slot.cursor), channel.options.view
        state = None if view == "logs" else slot.state_json(clock.now_ms())
        viewer.seq = slot.seq
        lines = await self._last_lines(viewer, channel, slot)
        if view == "delta" and state is not None:
            if channel.options.logs:
                state = state[:-1] + b',"logs":' + logs_json(slot, lines, named=False) + b"}"
            return [Message("snapshot", state, cursor)]
        logs = logs_json(slot, lines, named=False) if lines else None
        return state_and_logs(state, logs, fresh(slot.epoch), cursor)

    async def _last_lines(self, viewer: Viewer, channel: Channel, slot: Slot) -> list[Entry]:
        upto = slot.head.logs_total
        if not (upto and viewer.first and "logs" in channel.kinds):
            return []
        query = EntryQuery(
            slot.head.id,
            "logs",
            after=max(channel.options.after, slot.head.removed("logs")),
            limit=viewer.first,
            level=channel.options.level,
            tail=True,
            most_bytes=PAGE_BYTES,
        )
        records = await self._store.entries(query)
        return [record.entry for record in records if record.entry.n <= upto]

    async def _job_page(self, viewer: Viewer, channel: Channel, slot: Slot) -> Messages:
        """The next entries, and with the last of them the head."""
        seen, upto, options = viewer.seq, slot.seq, channel.options
        assert seen is not None, "the beginning has set it"
        head = Pending(slot).freeze(options, feed=False)  # before the first await
        cut = await self._cut(slot, seen, channel)
        records, complete = await self._entries_after(slot, seen, upto, channel)
        entries = tuple(record.entry for record in records)
        viewer.seq = upto if complete else records[-1].seq
        if cut and options.form is not None:  # its clients learn it when they resume
            return [end_message(str(slot.cursor))]
        run = Run(viewer.seq, slot, entries, head if complete else None)
        return [*cut, *run.messages(seen, options, feed=False, whole=True)]

    async def _cut(self, slot: Slot, seen: int, channel: Channel) -> Messages:
        """Tell a viewer of entries alone that some were removed which it has not seen."""
        if channel.options.heads or slot.recent.after(seen) is not None:
            return []  # it is sent the head, or all that it lacks is in memory
        for kind in channel.kinds:
            removed = slot.head.removed(kind)
            if removed <= channel.options.after:
                continue
            query = EntryQuery(slot.head.id, kind, after=removed, limit=1)
            first = await self._store.entries(query)
            if first and first[0].seq > seen:
                return [trimmed_message(removed)]
        return []

    async def _entries_after(
        self, slot: Slot, seen: int, upto: int, channel: Channel
    ) -> tuple[list[Record], bool]:
        """Entries of whole changes with seen < seq <= upto, and whether these are all."""
        kinds = [kind for kind in KINDS if kind in channel.kinds and slot.head.total(kind)]
        recent = slot.recent.after(seen) if kinds else []
        if recent is not None:
            return [r for r in recent if channel.carries(r.entry)], True
        found: list[Record] = []
        end = upto
        for kind in kinds:
            query = EntryQuery(
                slot.head.id,
                kind,
                after=max(channel.options.after, slot.head.removed(kind)),
                after_seq=seen,
                limit=self._page,
                level=channel.options.level,
                most_bytes=PAGE_BYTES,
            )
            page = await self._store.entries(query)
            found += page
            if len(page) >= self._page:  # the last change may be cut: stop before it
                end = min(end, page[-1].seq - 1)
            elif is_full(page, PAGE_BYTES):
                end = min(end, page[-1].seq)
        records = sorted((r for r in found if r.seq <= end), key=_order)
        return records, end == upto

    # A feed

    async def _feed(self, viewer: Viewer, channel: Channel) -> AsyncIterator[Messages]:
        project = channel.filter.project
        if viewer.seq is not None and await self._forgotten(project, viewer.seq):
            yield [RESET]
            viewer.seq = None
        if viewer.seq is None:
            async for page in self._opening(viewer, channel):
                yield page
        elif viewer.known is None:
            viewer.known = Known()  # it resumes, and the server does not know what it has seen
        while (viewer.seq or 0) < self._committer.seqs.get(project, 0):
            yield await self._feed_page(viewer, channel)

    async def _forgotten(self, project: str, seq: int) -> bool:
        """Whether the store may have forgotten a deletion after this seq."""
        return seq < (await self._store.project(project)).floor

    async def _opening(self, viewer: Viewer, channel: Channel) -> AsyncIterator[Messages]:
        """The matching jobs, newest first. A client that is cut here begins again."""
        filter, now = channel.filter, clock.now_ms()
        seq = self._committer.seqs.get(filter.project, 0)
        epoch = self._committer.epochs.get(filter.project, "-")
        op: Any = "snapshot" if channel.options.view == "delta" else "state"
        known = Known()
        async for slots in self._first_jobs(channel, viewer.first + 1):
            shown = slots[: viewer.first - len(known)]
            known.learn(slot.head.id for slot in shown)
            if len(slots) > len(shown):
                viewer.known = known
            yield [Message(op, slot.head_json(now), fresh(epoch)) for slot in shown]
        viewer.seq = seq
        cursor = str(Cursor(epoch, seq))
        yield [Message("ready", wire.encode({"cursor": cursor}), cursor)]

    async def _first_jobs(self, channel: Channel, limit: int) -> AsyncIterator[list[Slot]]:
        """At most `limit` matching jobs, page by page."""
        filter = channel.filter
        query = Query(
            projects=(filter.project,),
            # Those that are no status match nothing.
            statuses=tuple(sorted(filter.statuses)),  # type: ignore[arg-type]
            type=_only(filter.types),
            tag=_only(filter.tags),
            parent=filter.parent,
            owner=filter.owner,
            ids=tuple(sorted(filter.ids)),
        )
        before = None
        while limit > 0:
            page = await self._store.list(query, limit=limit, before=before, most_bytes=PAGE_BYTES)
            found = (self._reader.slot(stored) for stored in page.jobs)
            slots = [slot for slot in found if filter.matches(slot.head)][:limit]
            yield slots
            limit -= len(slots)
            before = page.next
            if before is None:
                break

    async def _feed_page(self, viewer: Viewer, channel: Channel) -> Messages:
        project, seen = channel.filter.project, viewer.seq
        assert seen is not None, "the opening has set it"
        upto = self._committer.seqs[project]
        entries: Sequence[Record] = ()
        if channel.kinds:
            entries = await self._store.feed_entries(
                project,
                seen,
                upto,
                limit=self._page,
                kinds=sorted(channel.kinds),
                most_bytes=PAGE_BYTES,
            )
            if len(entries) >= self._page or is_full(entries, PAGE_BYTES):
                upto = entries[-1].seq
        changes = await self._store.changes(project, seen, limit=self._page, most_bytes=PAGE_BYTES)
        if not changes.complete:
            upto = min(upto, max([it.seq for it in changes.jobs] + [it.seq for it in changes.gone]))
        viewer.seq = upto
        page = _FeedPage(self._committer.epochs[project], channel, viewer)
        await self._add_entries(page, [r for r in entries if r.seq <= upto])
        for stored in changes.jobs:
            if stored.seq <= upto:
                page.add_head(self._reader.slot(stored), stored)
        for gone in changes.gone:
            if gone.seq <= upto:
                page.add_gone(gone)
        return page.messages(seen)

    async def _add_entries(self, page: _FeedPage, records: Sequence[Record]) -> None:
        slots: dict[str, Slot | None] = {}
        for (seq, job), same in groupby(records, key=attrgetter("seq", "job")):
            if job not in slots:
                slots[job] = await self._reader.look_up(job)
            slot = slots[job]
            if slot is not None and page.channel.filter.may_match(slot.head):
                page.add_entries(slot, seq, tuple(record.entry for record in same))


class _FeedPage:
    """A page of a feed, put in order of seq."""

    def __init__(self, epoch: str, channel: Channel, viewer: Viewer) -> None:
        self.channel = channel
        self._epoch = epoch
        self._viewer = viewer
        self._by_seq: dict[int, Run | Gone] = {}

    def add_entries(self, slot: Slot, seq: int, entries: tuple[Entry, ...]) -> None:
        self._by_seq[seq] = Run(seq, slot, entries, None)

    def add_head(self, slot: Slot, stored: Stored) -> None:
        """Every job that may have matched when the client left. A job that no longer matches is
        sent a last time."""
        if self.channel.filter.may_match(stored.head):
            head = Pending(slot).freeze(self.channel.options, feed=True)
            step = self._by_seq.get(stored.seq)
            entries = step.entries if isinstance(step, Run) else ()
            self._by_seq[stored.seq] = Run(stored.seq, slot, entries, head)

    def add_gone(self, gone: Gone) -> None:
        if not self.channel.filter.ids or gone.id in self.channel.filter.ids:
            self._by_seq[gone.seq] = gone

    def messages(self, seen: int) -> Messages:
        page: Messages = []
        for seq, step in sorted(self._by_seq.items(), key=itemgetter(0)):
            if isinstance(step, Gone):
                page.append(gone_message(step.id, str(Cursor(self._epoch, seq))))
            else:
                self._learn(step)
                page += step.messages(seen, self.channel.options, feed=True, whole=True)
            seen = seq
        return page

    def _learn(self, run: Run) -> None:
        if run.head is not None and self._viewer.known is not None:
            self._viewer.known.learn([run.slot.head.id])


def fresh(epoch: str) -> str:
    """The cursor of a client that has seen nothing. To resume from it is to begin."""
    return str(Cursor(epoch, 0))


def _only(names: frozenset[str]) -> str | None:
    return next(iter(names)) if len(names) == 1 else None


def _order(record: Record) -> tuple[int, str, int]:
    return record.seq, record.entry.kind, record.entry.n
