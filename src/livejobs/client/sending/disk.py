"""What of a job's queue is kept on disk, and when it leaves the disk.

The lock is held while files are written. It is taken before the queue's guard, never within it.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from livejobs.client.sending.exchange import Record
from livejobs.client.sending.guard import Guard
from livejobs.client.sending.outbox import Outbox
from livejobs.client.sending.spool import Spool
from livejobs.client.settings import Target


class Disk:
    def __init__(
        self, target: Target, id: str, outbox: Outbox, guard: Guard, spool: Spool | None = None
    ) -> None:
        """`spool`: what a process that has gone left."""
        self._target = target
        self._id = id
        self._outbox = outbox
        self._guard = guard
        self._lock = threading.RLock()
        self._inherited = spool is not None
        self._spilling = False
        self.spool = spool
        self.released = False  # another channel or process sends what is left

    def refill(self) -> bool:
        """Read back what is sent next. False: the disk has lost it."""
        waiting = self._outbox.waiting
        if waiting.missing() is None:  # as nearly always: no need to wait for the lock
            return True
        with self._lock:
            first = waiting.missing()
            if first is None:
                return True
            records = self.spool.read(first) if self.spool is not None else []
            self._guard.run(waiting.refill, records)
            if self._inherited:  # nothing of it may be left to send
                self.tidy()
        return bool(records)

    def tidy(self, *, created: bool = False) -> None:
        """Remove from disk what is not needed there any more."""
        if self.spool is None:  # as nearly always: no need to wait for the lock
            return
        with self._lock, suppress(OSError):
            self._tidy(self.spool, created=created)

    def _tidy(self, spool: Spool | None, *, created: bool) -> None:
        if spool is None:  # closed meanwhile
            return
        if not self._outbox.unanswered:
            self.spool = None
            spool.remove()
            return
        spool.forget(self._outbox.acked)
        if created:
            spool.note_created()

    def spill(self, share: int, *, sync: bool) -> OSError | None:
        """Write what is not on disk yet. Where memory holds more bytes than `share`, what was
        written leaves it. If the disk refuses, the oldest log lines leave it instead."""
        with self._lock:
            # A signal handler's may come within the same one.
            if self._spilling or self.released:
                return None
            self._spilling = True
            try:
                refused = self._spill(share, sync)
                # What was acknowledged meanwhile had no folder yet that could be removed.
                if not self._outbox.unanswered:
                    self.tidy()
                return refused
            finally:
                self._spilling = False

    def _spill(self, share: int, sync: bool) -> OSError | None:
        written: list[Record] = []
        try:
            if self._outbox.unanswered:
                written = self._write(sync)
        except OSError as error:
            self._guard.run(self._outbox.drop, share)
            return error
        waiting = self._outbox.waiting
        if written:
            self._guard.run(waiting.written, written[-1].n)
        if waiting.bytes > share:
            self._guard.run(waiting.shed)
        return None

    def _write(self, sync: bool) -> list[Record]:
        waiting = self._outbox.waiting
        if self.spool is not None and not self.spool.exists:  # somebody cleaned up
            self.spool.close()
            self.spool = None
            self._guard.run(waiting.written, 0)
        if self.spool is None:
            self.spool = Spool.create(self._target, self._header())
            if self._outbox.creation is None:
                self.spool.note_created()
        records = self._guard.run(waiting.unspooled) or []
        if records:
            self.spool.append(records)
        if sync:
            self.spool.sync()
        return records

    def _header(self) -> dict[str, Any]:
        creation = self._outbox.creation
        return {
            "url": self._target.url,
            "job": self._id,
            "producer": self._outbox.producer,
            "creation": None if creation is None else dict(creation),
        }

    def release(self) -> Path | None:
        """Write no more, and leave what is there. Returns the folder, if it is not synced."""
        with self._lock:
            self.released = True
            spool, self.spool = self.spool, None
            if spool is None:
                return None
            spool.close()
            return None if spool.synced else spool.folder

    def abandon(self) -> None:
        """In a child made by fork: the folder is the parent's."""
        if self.spool is not None:
            self.spool.abandon()
