"""From any cursor to now, out of the store: for viewers that are new, come back, or fell behind.

Pages go out one at a time, in order of seq, each under the cursor it reaches; the next one is
read when the client has taken the last. A viewer is caught up when nothing was committed beyond
what it has been sent; no await lies between that look and its joining the live changes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from livejobs import clock
from livejobs.core import wire
from livejobs.core.cursor import Cursor
from livejobs.core.model import KINDS, Entry, EntryKind, Record, Stored
from livejobs.jobs.committer import Committer
from livejobs.jobs.reader import Reader
from livejobs.jobs.state import Slot
from livejobs.live.channel import (
    Channel,
    Known,
    Viewer,
    delta_message,
    gone_message,
    logs_json,
)
from livejobs.live.frames import Message
from livejobs.store.base import EntryQuery, Gone, JobStore, Query, is_full

Messages = list[Message]

PAGE_BYTES: Final = 256 * 1024  # of entries or heads: so much waits here for one who does not read

RESET: Final = Message("reset", b'{"reason":"This position can\'t be continued from."}')


class CatchUp:
    def __init__(
        self, store: JobStore, reader: Reader, committer: Committer, *, largest_batch: int
    ) -> None:
        self._store = store
        self._reader = reader
        self._committer = committer
        # A change's entries share a seq and go out together, so a page takes any two changes.
        self._page = 2 * max(1000, largest_batch) + 1

    async def pages(self, viewer: Viewer) -> AsyncIterator[Messages]:
        """What the viewer lacks, until it lacks nothing."""
        channel = viewer.channel
        assert channel is not None, "a viewer is registered before it is caught up"
        if channel.slot is None:
            async for page in self._feed(viewer, channel):
                yield page
        else:
            async for page in self._job(viewer, channel, channel.slot):
                yield page

    # One job

    async def _job(self, viewer: Viewer, channel: Channel, slot: Slot) -> AsyncIterator[Messages]:
        if slot.tail is None:
            await self._reader.read_tail(slot)
        if viewer.seq is None:
            yield await self._beginning(viewer, channel, slot)
        while (viewer.seq or 0) < slot.seq and not slot.gone:
            yield await self._job_page(viewer, channel, slot)
        if slot.head.finished:
            # It can only be deleted, and if it just is, what was read may lack its entries.
            await self._committer.told()
        if slot.gone:
            yield [gone_message(slot, str(slot.cursor)), Message("end", b"{}", str(slot.cursor))]
        elif slot.head.finished:
            yield [Message("end", b"{}", str(slot.cursor))]

    async def _beginning(self, viewer: Viewer, channel: Channel, slot: Slot) -> Messages:
        """The state as of now, with the last log lines if they are asked for."""
        # All taken before the first await: it is one moment that is shown.
        seq, cursor, upto = slot.seq, str(slot.cursor), slot.head.logs_total
        state = slot.state_json(clock.now_ms())
        viewer.seq = seq
        logs: list[Entry] = []
        if channel.options.logs and upto and viewer.first:
            after = max(0, upto - viewer.first)
            query = EntryQuery(
                slot.head.id,
                "logs",
                after=after,
                limit=viewer.first,
                tail=True,
                most_bytes=PAGE_BYTES,
            )
            records = await self._store.entries(query)
            logs = [record.entry for record in records if record.entry.n <= upto]
        if channel.options.view == "delta":
            if channel.options.logs:
                lines = b"[" + b",".join(bytes(entry.value) for entry in logs) + b"]"
                state = state[:-1] + b',"logs":' + lines + b"}"
            return [Message("snapshot", state, cursor)]
        first = Message("state", state, fresh(slot.epoch) if logs else cursor)
        return [first, Message("logs", logs_json(slot, logs, False), cursor)] if logs else [first]

    async def _job_page(self, viewer: Viewer, channel: Channel, slot: Slot) -> Messages:
        """Entries after what was sent, and once they are all there, the head."""
        seen, upto = viewer.seq, slot.seq
        assert seen is not None
        head = _Head(slot, channel)
        records, complete = await self._entries_after(slot, seen, upto, channel.kinds)
        entries = tuple(record.entry for record in records)
        reached = upto if complete else records[-1].seq
        viewer.seq = reached
        cursor = str(Cursor(slot.epoch, reached))
        if channel.options.view == "delta":
            fields = head.fields if complete else {"cursor": cursor}
            return [delta_message(slot, cursor, fields, entries)]
        page = []
        if complete:
            before = str(Cursor(slot.epoch, seen)) if entries else cursor
            page.append(Message("state", head.state, before))
        if entries:
            page.append(Message("logs", logs_json(slot, entries, False), cursor))
        return page

    async def _entries_after(
        self, slot: Slot, seen: int, upto: int, kinds: frozenset[EntryKind]
    ) -> tuple[list[Record], bool]:
        """Entries of whole changes with seen < seq <= upto, and whether these are all."""
        if not any(slot.head.total(kind) for kind in kinds):
            return [], True
        recent = slot.recent.after(seen)
        if recent is not None:
            return [r for r in recent if r.entry.kind in kinds and r.seq <= upto], True
        found: list[Record] = []
        end = upto
        for kind in KINDS:
            if kind not in kinds or not slot.head.total(kind):
                continue
            query = EntryQuery(
                slot.head.id, kind, after_seq=seen, limit=self._page, most_bytes=PAGE_BYTES
            )
            page = await self._store.entries(query)
            found += page
            if len(page) >= self._page:  # the last change may go on: stop before it
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
            viewer.known = Known()  # it comes back: what it has seen is not known here
        while (viewer.seq or 0) < self._committer.seqs.get(project, 0):
            yield await self._feed_page(viewer, channel)

    async def _forgotten(self, project: str, seq: int) -> bool:
        """Whether deletions after this seq may no longer be known."""
        return seq < (await self._store.project(project)).floor

    async def _opening(self, viewer: Viewer, channel: Channel) -> AsyncIterator[Messages]:
        """The matching jobs, newest first. Cut within it, a viewer begins again."""
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
        """Page by page, as many as are asked for."""
        filter = channel.filter
        query = Query(
            projects=(filter.project,),
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
        assert seen is not None
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
        steps = _Steps(self._committer.epochs[project], channel, viewer)
        await self._add_entries(steps, [r for r in entries if r.seq <= upto])
        for stored in changes.jobs:
            if stored.seq <= upto:
                steps.add_head(self._reader.slot(stored), stored)
        for gone in changes.gone:
            if gone.seq <= upto:
                steps.add_gone(gone)
        return steps.messages(seen)

    async def _add_entries(self, steps: _Steps, records: Sequence[Record]) -> None:
        slots: dict[str, Slot | None] = {}
        for record in records:
            if record.job not in slots:
                slots[record.job] = await self._reader.look_up(record.job)
            slot = slots[record.job]
            if slot is not None and steps.channel.filter.may_match(slot.head):
                steps.add_entry(slot, record)


class _Head:
    """A job's head as it was before reading its entries."""

    def __init__(self, slot: Slot, channel: Channel) -> None:
        self.fields = slot.fields(clock.now_ms())
        self.state = slot.state_json(clock.now_ms()) if channel.options.view == "state" else b""


class _Steps:
    """A page of a feed, put in order of seq."""

    def __init__(self, epoch: str, channel: Channel, viewer: Viewer) -> None:
        self.channel = channel
        self._epoch = epoch
        self._viewer = viewer
        self._by_seq: dict[int, tuple[Slot | None, list[Entry], Gone | None, bool]] = {}

    def add_entry(self, slot: Slot, record: Record) -> None:
        step = self._by_seq.setdefault(record.seq, (slot, [], None, False))
        step[1].append(record.entry)

    def add_head(self, slot: Slot, stored: Stored) -> None:
        """Every job that may have matched when the viewer left: one that no longer does is sent
        a last time."""
        if self.channel.filter.may_match(stored.head):
            entries = self._by_seq.get(stored.seq, (slot, [], None, False))[1]
            self._by_seq[stored.seq] = (slot, entries, None, True)

    def add_gone(self, gone: Gone) -> None:
        if not self.channel.filter.ids or gone.id in self.channel.filter.ids:
            self._by_seq[gone.seq] = (None, [], gone, False)

    def messages(self, seen: int) -> Messages:
        page: Messages = []
        before = str(Cursor(self._epoch, seen))
        for seq, (slot, entries, gone, whole) in sorted(self._by_seq.items(), key=_first):
            cursor = str(Cursor(self._epoch, seq))
            if slot is None:
                assert gone is not None
                page.append(
                    Message("gone", wire.encode({"job": gone.id, "cursor": cursor}), cursor)
                )
            else:
                page += self._of_job(slot, entries, cursor, before, whole)
            before = cursor
        return page

    def _of_job(
        self, slot: Slot, entries: list[Entry], cursor: str, before: str, whole: bool
    ) -> Messages:
        now = clock.now_ms()
        if self.channel.options.view == "delta":
            if whole and self._viewer.known is not None:
                self._viewer.known.learn([slot.head.id])
            fields = slot.fields(now) if whole else {"cursor": cursor}
            return [delta_message(slot, cursor, fields, entries)]
        page = []
        if whole:
            page.append(Message("state", slot.head_json(now), before if entries else cursor))
        if entries:
            page.append(Message("logs", logs_json(slot, entries, True), cursor))
        return page


def fresh(epoch: str) -> str:
    """The cursor of one who has seen nothing: coming back with it is beginning again."""
    return str(Cursor(epoch, 0))


def _only(names: frozenset[str]) -> str | None:
    return next(iter(names)) if len(names) == 1 else None


def _order(record: Record) -> tuple[int, str, int]:
    return record.seq, record.entry.kind, record.entry.n


def _first(item: tuple[int, Any]) -> int:
    return item[0]
