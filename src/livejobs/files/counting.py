"""Count downloads and record them in the audit trail. They are written together once a second,
since one download is not worth a sync to disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

from livejobs import clock
from livejobs.core.errors import StorageUnavailable
from livejobs.core.model import File, Head
from livejobs.store.audit import AuditRecord
from livejobs.store.files import FileStore, Tally

PATIENCE: Final = 0.5  # seconds
MOST_ARRIVING: Final = 1000  # each holds a descriptor; further downloads count as arrived
SHOWN: Final = 20  # ranges in one audit record: a player that seeks asks for hundreds

log = logging.getLogger("livejobs.downloads")


class Sent(NamedTuple):
    """One response that carried bytes of a file."""

    head: Head
    file: File
    by: str
    size: int  # bytes sent
    range: str | None  # the Range header; None: the whole file
    whole: bool  # the file's last byte was sent and arrived
    handed: bool = False  # another node sends it, so the number of bytes is not known
    by_id: str | None = None  # the id of the key in `by`


class Arriving(Protocol):
    """The end of a response that the kernel is still sending."""

    async def wait(self) -> bool:
        """Wait until it is known whether the last byte arrived, and return that."""

    def close(self) -> None:
        """Release it; nobody waits."""


class Downloads:
    def __init__(self, store: FileStore) -> None:
        self.total = 0
        self.bytes = 0
        self._store = store
        self._tallies: dict[str, Tally] = {}
        self._sent: dict[tuple[str | None, ...], list[Sent]] = {}
        self._arriving: set[asyncio.Task[None]] = set()
        self._moving = asyncio.Lock()  # held while the counts here and in the store do not add up

    def note(self, sent: Sent, arriving: Arriving | None = None) -> None:
        """Count the response now, or once it is known whether its last byte arrived."""
        if arriving is None:
            self._note(sent)
        elif len(self._arriving) >= MOST_ARRIVING:
            arriving.close()
            self._note(sent._replace(whole=True))
        else:
            task = asyncio.create_task(self._note_later(sent, arriving))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    async def _note_later(self, sent: Sent, arriving: Arriving) -> None:
        whole = True  # when the server stops, the kernel still sends the rest
        with suppress(asyncio.CancelledError):
            whole = await arriving.wait()
        self._note(sent._replace(whole=whole))

    @property
    def arriving(self) -> int:
        return len(self._arriving)

    async def stop(self) -> None:
        for task in self._arriving:
            task.cancel()
        await asyncio.gather(*self._arriving, return_exceptions=True)
        await self.flush()

    def _note(self, sent: Sent) -> None:
        log.info(
            "download job=%s file=%r by=%s key=%s bytes=%d range=%s%s",
            sent.head.id, sent.file.name, sent.by, sent.by_id or "-", sent.size, sent.range or "-",
            _ending(sent),
        )  # fmt: skip
        self.bytes += sent.size
        about = (sent.by, sent.by_id, sent.head.id, sent.file.name)
        self._sent.setdefault(about, []).append(sent)
        if sent.whole:
            self.total += 1
            there = self._tallies.get(sent.file.key, Tally())
            self._tallies[sent.file.key] = Tally(there.count + 1, clock.now_ms())

    async def flush(self) -> None:
        async with self._moving:
            if self._sent:
                await self._flush()

    async def _flush(self) -> None:
        tallies, self._tallies = self._tallies, {}
        sent, self._sent = self._sent, {}
        try:
            await self._store.downloaded(tallies, [_audit(sents) for sents in sent.values()])
        except StorageUnavailable:  # keep them for the next flush
            for key, tally in self._tallies.items():
                tallies[key] = Tally(tallies.get(key, Tally()).count + tally.count, tally.last_at)
            for about, sents in self._sent.items():
                sent.setdefault(about, []).extend(sents)
            self._tallies, self._sent = tallies, sent
            raise

    async def of(self, files: Sequence[File]) -> Mapping[str, Tally]:
        """Download counts by key, including those not written yet. While the disk is stuck on
        writing those, they are left out."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE), self._moving:
                return await self._of(files)
        return await self._of(files)

    async def _of(self, files: Sequence[File]) -> Mapping[str, Tally]:
        kept = dict(await self._store.downloads([it.key for it in files]))
        for key in kept.keys() & self._tallies.keys():
            new = self._tallies[key]
            kept[key] = Tally(kept[key].count + new.count, new.last_at)
        return kept


def _ending(sent: Sent) -> str:
    if sent.handed:
        return " (handed over)"
    return "" if sent.whole else " (not to the end)"


def _audit(sents: Sequence[Sent]) -> AuditRecord:
    first = sents[0]
    detail: dict[str, Any] = {"file": first.file.name, "bytes": sum(sent.size for sent in sents)}
    if len(sents) > 1:
        detail["answers"] = len(sents)
    handed = sum(sent.handed for sent in sents)
    if handed:
        detail["handed_over"] = handed
    ranges = [sent.range for sent in sents if sent.range is not None]
    if ranges:
        detail["ranges"] = ranges[:SHOWN]
    head = first.head
    return AuditRecord(
        *(clock.now_ms(), first.by, "download", head.project, head.id, detail, first.by_id),
        created_at=head.created_at,
    )
