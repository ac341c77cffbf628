"""One job's way to the server, for all threads of a process: its queue, its spool, what was heard.

Locks: `lock` guards the queue and is held for moments; `disk` guards the spool and is held while
files are written. `disk` is taken before `lock`, never within it. Both may be taken again by
their holder, since signal handlers and finalizers may log in the middle of anything.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

from livejobs.client.outbox import Answer, News, Outbox, Request, Verdict
from livejobs.client.plain import encode
from livejobs.client.settings import Target
from livejobs.client.spool import Spool

logger: Final = logging.getLogger("livejobs.client")

LARGEST: Final = 8 * 1024 * 1024  # bytes of one report
MEMORY: Final = 8 * 1024 * 1024  # bytes of one job's queue
IN_ALL: Final = 32 * 1024 * 1024  # bytes of all queues of a server, shared alike


class Source(Protocol):
    """Something that counts by itself, such as a loop: it is asked when there is time to send."""

    def poll(self) -> None:
        """Say what has changed since the last call."""


class Channel:
    def __init__(
        self,
        target: Target,
        id: str,
        creation: Mapping[str, Any] | None,
        ring: Callable[[Channel], None],
    ) -> None:
        """`ring`: wakes the sender. Without a creation, the job is somebody else's."""
        self.target = target
        self.id = id
        self.creation = creation
        self._ring = ring
        self.owner = os.getpid() if creation is not None else 0
        self.share = MEMORY
        self._begin()

    def _begin(self, outbox: Outbox | None = None) -> None:
        self.lock = threading.RLock()
        self.disk = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.outbox = outbox or Outbox(
            new_producer(), self.creation, attached=self.owner != os.getpid()
        )
        self.spool: Spool | None = None
        self.sources: list[Source] = []
        self.open = 0  # blocks: while there is one, silence is filled with heartbeats
        self.awake = False  # the sender knows that there is something to send
        self.cancelled = False
        self.page: str | None = None  # with a token, where the server gave one
        self.away = False  # the server does not answer: waiting for it is no use
        self._told: set[str] = set()

    @classmethod
    def inherited(cls, target: Target, spool: Spool, ring: Callable[[Channel], None]) -> Channel:
        """What a process that has gone left in its folder."""
        header = spool.header
        creation = None if spool.created else header.get("creation")
        channel = cls(target, str(header["job"]), None, ring)
        channel.outbox = Outbox.inherited(str(header["producer"]), creation, *spool.span)
        channel.spool = spool
        return channel

    def after_fork(self, ring: Callable[[Channel], None]) -> None:
        """In the child: its queue is empty, and the parent's job is not its own to end."""
        self.owner = 0
        self._ring = ring
        self._begin()

    # What the job says

    def say(self, kind: str, report: Mapping[str, Any]) -> bool:
        """Queue an entry. True: memory is full, so call `spill` where the disk may be awaited."""
        body = encode(report)
        if len(body) > LARGEST:
            self._log([News(f"large:{kind}", f"A report of type {kind!r} is dropped: it takes "
                            f"{len(body)} bytes; {LARGEST} are allowed.")])  # fmt: skip
            return False
        with self.lock:
            self.outbox.put(kind, body)
            full = self.outbox.bytes > self.share
        self.wake()
        return full

    def step(self, name: str, said: Mapping[str, Any]) -> bool:
        """A step's progress is joined; all else about it is an entry."""
        with self.lock:
            if said.keys() <= {"current", "total"} and not self.outbox.joined.full:
                self.outbox.joined.step(name, said)
            else:
                self.outbox.put_step(name, said)
            full = self.outbox.bytes > self.share
        self.wake()
        return full

    def progress(self, said: Mapping[str, Any]) -> None:
        with self.lock:
            self.outbox.joined.say(said)
        if not self.awake:
            self.wake()

    def advance(self, by: Any) -> None:
        try:
            with self.lock:
                self.outbox.joined.advance(by)
        except TypeError as error:
            self._log([News("advance", f"Progress is dropped: {error}")])
        if not self.awake:
            self.wake()

    def count(self, counters: Mapping[str, Any]) -> None:
        try:
            with self.lock:
                self.outbox.joined.count(counters)
        except TypeError as error:
            self._log([News("count", f"A count is dropped: {error}")])
        if not self.awake:
            self.wake()

    def wake(self) -> None:
        if not self.awake:
            self.awake = True
            self._ring(self)

    def add(self, source: Source) -> None:
        with self.lock:
            self.sources.append(source)
        self.wake()

    def remove(self, source: Source) -> bool:
        """Asked one last time first. False: it is the parent's, and this is a child."""
        with self.lock:
            if source not in self.sources:
                return False
            self.sources.remove(source)
        source.poll()
        return True

    def enter(self) -> None:
        with self.lock:
            self.open += 1
        self.wake()

    def leave(self) -> None:
        with self.lock:
            self.open = max(0, self.open - 1)

    # What the sender asks

    def next(self, *, heartbeat: bool) -> Request | None:
        self.awake = False  # before looking: what is said from now on wakes again
        for source in tuple(self.sources):
            source.poll()
        self._refill()
        with self.lock:
            return self.outbox.next(heartbeat=heartbeat and self.open > 0)

    def _refill(self) -> None:
        if self.outbox.missing() is None:  # as nearly always: no need to wait for the disk's lock
            return
        with self.disk:
            first = self.outbox.missing()
            if first is None:
                return
            records = self.spool.read(first) if self.spool is not None else []
            with self.lock:
                self.outbox.refill(records)
        if not records:
            self._log([News("lost", f"The spool has lost reports of job {self.id!r}.")])

    def answered(self, answer: Answer) -> Verdict:
        with self.lock:
            created = self.outbox.creation is not None
            verdict = self.outbox.answered(answer)
            created = created and self.outbox.creation is None and verdict is Verdict.GO
            if 200 <= answer.status < 300:
                self._hear(answer.said)
            elif verdict is Verdict.OVER and "has cancelled" in answer.reason:
                self.cancelled = True
            news, self.outbox.news = self.outbox.news, []
        self._tidy(created)
        with self.lock:
            self.changed.notify_all()
        self._log(news)
        return verdict

    def _hear(self, said: Mapping[str, Any]) -> None:
        """What every answer carries, whatever it acknowledges."""
        if said.get("cancel_requested") or said.get("status") == "cancelled":
            self.cancelled = True
        view = said.get("view")
        if isinstance(view, dict):
            self.page = view.get("url")

    def _tidy(self, created: bool) -> None:
        """Remove from disk what is not needed there any more."""
        if self.spool is None:  # as nearly always: no need to wait for the disk's lock
            return
        with self.disk:
            with self.lock:
                idle, acked = not self.outbox.unanswered, self.outbox.acked
            with suppress(OSError):
                self._tidy_up(self.spool, idle, acked, created)

    def _tidy_up(self, spool: Spool | None, idle: bool, acked: int, created: bool) -> None:
        if spool is None:  # closed meanwhile
            return
        if idle:
            self.spool = None
            spool.remove()
            return
        spool.forget(acked)
        if created:
            spool.note_created()

    # What is kept on disk

    def spill(self, *, sync: bool = False) -> bool:
        """Write what is not on disk yet. Where memory is full, it goes on from there. False: the
        disk refuses, and log lines were dropped if memory was full."""
        with self.disk:
            with self.lock:
                records = self.outbox.unspooled()
                needed = bool(records) or self.outbox.unanswered
            try:
                if needed:
                    self._write(records, sync)
            except OSError as error:
                self._disk_refuses(error)
                return False
            with self.lock:
                if records:
                    self.outbox.spooled = records[-1].n
                if self.outbox.bytes > self.share:
                    self.outbox.shed()
        return True

    def _write(self, records: list[Any], sync: bool) -> None:
        if self.spool is None:
            self.spool = Spool.create(self.target, self._header())
            if self.outbox.creation is None:
                self.spool.note_created()
        if records:
            self.spool.append(records)
        if sync:
            self.spool.sync()

    def _header(self) -> dict[str, Any]:
        creation = self.outbox.creation
        return {
            "url": self.target.url,
            "job": self.id,
            "producer": self.outbox.producer,
            "creation": None if creation is None else dict(creation),
        }

    def _disk_refuses(self, error: OSError) -> None:
        with self.lock:
            if self.outbox.bytes > self.share:
                self.outbox.drop(self.share)
        self._log([News("disk", f"The spool cannot be written, so reports are only in memory and "
                        f"the oldest log lines may be dropped: {error}")])  # fmt: skip

    # Ending

    def finish(self, wait: float, *, patient: bool = False) -> None:
        """Return when all is acknowledged, or safe on disk. `wait`: seconds for the former.
        `patient`: even for a server that does not answer."""

        def may_leave() -> bool:
            return self.outbox.idle or (self.away and not patient)

        try:
            with self.changed:
                self.changed.wait_for(may_leave, wait)
        finally:  # also when the wait is interrupted
            self.keep()

    def keep(self) -> None:
        """What is not acknowledged is on disk afterwards, and survives a power cut."""
        for source in tuple(self.sources):
            source.poll()
        with self.lock:
            self.outbox.settle()
            needed = self.outbox.unanswered
        if needed:
            self.spill(sync=True)

    def close(self) -> None:
        """The process ends: leave what is on disk to the next one."""
        self.keep()
        with self.disk:
            if self.spool is not None:
                self.spool.close()
                self.spool = None

    def _log(self, news: list[News]) -> None:
        for key, text in news:
            if key not in self._told and len(self._told) < 100:
                self._told.add(key)
                logger.warning("Job %s: %s", self.id, text)


def new_producer() -> str:
    return os.urandom(8).hex()


Channels = weakref.WeakValueDictionary[tuple[Target, str], Channel]
