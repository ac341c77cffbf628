"""One job's way to the server, for all threads of a process: what it says, and what it hears.

`guard` is held for moments, while the queue changes.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urljoin

from livejobs.client.plain import encode
from livejobs.client.sending.disk import Disk
from livejobs.client.sending.exchange import Answer, Request, Verdict
from livejobs.client.sending.guard import Guard
from livejobs.client.sending.outbox import News, Outbox
from livejobs.client.sending.pace import ASKING, SILENCE
from livejobs.client.sending.question import Question, Questions
from livejobs.client.sending.spool import Spool
from livejobs.client.sending.trace import traceparent
from livejobs.client.settings import Target

logger: Final = logging.getLogger("livejobs.client")

LARGEST: Final = 8 * 1024 * 1024  # bytes of one report
MEMORY: Final = 8 * 1024 * 1024  # bytes of one job's queue
IN_ALL: Final = 32 * 1024 * 1024  # bytes of all queues of a server, shared alike


_LOSS: Final = "reports are only in memory, and the oldest log lines are dropped when it is full"


class Source(Protocol):
    """Something that counts by itself, such as a loop: it is asked when there is time to send."""

    def poll(self) -> None:
        """Say what has changed since the last call."""


class Sender(Protocol):
    @property
    def share(self) -> int:
        """Bytes of memory for each queue."""

    def ring(self, channel: Channel) -> None:
        """The channel has something to send."""

    def kept(self, channel: Channel) -> None:
        """Nothing is added to the channel any more, and all of it is on disk."""


class Channel:
    def __init__(
        self, target: Target, id: str, creation: Mapping[str, Any] | None, sender: Sender
    ) -> None:
        """Without a creation, the job is somebody else's."""
        self.target = target
        self.id = id
        self.creation = creation
        self._sender = sender
        attached = creation is None
        self._begin(Outbox(new_producer(), creation, attached=attached))

    def _begin(self, outbox: Outbox, spool: Spool | None = None) -> None:
        self.outbox = outbox
        self.guard = Guard()
        self.disk = Disk(self.target, self.id, outbox, self.guard, spool)
        self.trace = traceparent()  # of the code that opened the job, or has reported last
        self.changed = threading.Condition()
        self.sources: list[Source] = []
        self.questions = Questions()
        self.open = 0  # blocks: while there is one, silence is filled with heartbeats
        self.awake = False  # the sender knows that there is something to send
        self.cancelled = False
        self.heard: Mapping[str, Any] = {}  # the newest answer; `changed` tells when there is one
        self.page: str | None = None  # with a token, where the server gave one
        self.parent: str | None = None  # of the job, once the server has answered its creation
        self.away = False  # the server does not answer: waiting for it is no use
        self.heir = spool is not None  # it sends what a process that has gone has left
        self._beat = False
        self._told: set[str] = set()

    @classmethod
    def inherited(cls, target: Target, spool: Spool, sender: Sender) -> Channel:
        """What a process that has gone left in its folder."""
        header = spool.header
        creation = None if spool.created else header.get("creation")
        channel = cls(target, str(header["job"]), None, sender)
        channel._begin(Outbox.inherited(str(header["producer"]), creation, *spool.span), spool)
        return channel

    def after_fork(self, sender: Sender) -> None:
        """In the child: its queue is empty, its producer is another one, no lock is held."""
        self._sender = sender
        self._begin(Outbox(new_producer(), self.creation, attached=True))

    @property
    def share(self) -> int:
        """Bytes of memory for the queue."""
        return self._sender.share

    @property
    def released(self) -> bool:
        """Whether another channel or process sends what is left."""
        return self.disk.released

    # What the job says

    def say(self, kind: str, report: Mapping[str, Any]) -> bool:
        """Queue an entry. True: memory is full, so call `spill` where the disk may be awaited."""
        body = encode(report)
        if len(body) > LARGEST:
            size = f"it takes {len(body)} bytes; {LARGEST} are allowed"
            self._log([News(f"large:{kind}", f"A report of type {kind!r} is dropped: {size}.")])
            return False
        self.trace = traceparent() or self.trace
        self.guard.run(self.outbox.put, kind, body)
        if not self.awake:
            self.wake()
        return self.outbox.waiting.bytes > self.share

    def ask(self, report: Mapping[str, Any], told: Callable[[], None]) -> Question:
        """Queue a question. `told`: see Question."""
        question = Question(told)
        self.guard.run(self._ask, question, encode(report))
        self.wake()
        return question

    def _ask(self, question: Question, body: bytes) -> None:
        if self.outbox.ended or self.outbox.over:
            question.settle()
            return
        self.outbox.put("ask", body)
        self.questions.add(question, self.outbox.last)

    def give_up(self, question: Question) -> None:
        """Nobody waits for the answer any more, so nobody should be asked for it."""
        if n := self.questions.give_up(question):
            self._confirm(n)

    def _confirm(self, n: int) -> None:
        self.say("heartbeat", {"type": "heartbeat", "answered": n})

    def step(self, name: str, said: Mapping[str, Any]) -> bool:
        """A step's progress is joined; all else about it is an entry."""
        only_progress = said.keys() <= {"current", "total"} and not self.outbox.joined.full
        change = self.outbox.joined.step if only_progress else self.outbox.put_step
        self.guard.run(change, name, said)
        if not self.awake:
            self.wake()
        return self.outbox.waiting.bytes > self.share

    def current(self, value: Any, total: Any = None) -> None:
        """Progress of just an amount, as in a hot loop: no lock. A total needs the lock when it is
        new, because the next amount without a total must not take its place."""
        joined = self.outbox.joined
        if total is None:
            joined.latest = (value,)
        elif total.__class__ is joined.total.__class__ and total == joined.total:
            joined.latest = (value, total)
        else:
            self.progress({"current": value, "total": total})
        if not self.awake:
            self.wake()

    def progress(self, said: Mapping[str, Any]) -> None:
        self.guard.run(self.outbox.joined.say, said)
        if not self.awake:
            self.wake()

    def advance(self, by: Any) -> None:
        try:
            self.guard.run(self.outbox.joined.advance, by)
        except TypeError as error:
            self._log([News("advance", f"Progress is dropped: {error}")])
        if not self.awake:
            self.wake()

    def count(self, counters: Mapping[str, Any]) -> None:
        if self.outbox.joined.full:
            self.say("count", {"type": "count", "counters": counters})
            return
        try:
            self.guard.run(self.outbox.joined.count, counters)
        except TypeError as error:
            self._log([News("count", f"A count is dropped: {error}")])
        if not self.awake:
            self.wake()

    def wake(self) -> None:
        self.awake = True
        self._sender.ring(self)

    def beat(self) -> None:
        """Send a heartbeat, if there is nothing else to send."""
        self._beat = True
        self.wake()

    def add(self, source: Source) -> None:
        self.sources.append(source)
        self.wake()

    def remove(self, source: Source) -> bool:
        """Asked one last time first. False: it is the parent's, and this is a child."""
        try:
            self.sources.remove(source)
        except ValueError:
            return False
        source.poll()
        return True

    def enter(self) -> None:
        self.open += 1
        self.wake()

    def leave(self) -> None:
        self.open = max(0, self.open - 1)

    # What the sender asks

    @property
    def silence(self) -> float:
        """Seconds after which a heartbeat is due. Its answer brings that of a person."""
        return ASKING if self.questions.open else SILENCE

    def next(self, *, heartbeat: bool) -> Request | None:
        self.awake = False  # before looking: what is said from now on wakes again
        self._poll()
        if not self.disk.refill():
            self._log([News("lost", "The spool has lost reports.")])
        asked, self._beat = self._beat, False
        return self.guard.run(self.outbox.next, heartbeat=asked or (heartbeat and self.open > 0))

    def _poll(self) -> None:
        for source in tuple(self.sources):
            source.poll()

    def answered(self, answer: Answer) -> Verdict:
        creating = self.outbox.creation is not None
        verdict = self.guard.run(self.outbox.answered, answer) or Verdict.GO
        if 200 <= answer.status < 300:
            self._hear(answer.said)
        elif verdict is Verdict.OVER and "has cancelled" in answer.reason:
            self.cancelled = True
        if self.outbox.over:
            self.questions.end()
        self.disk.tidy(created=creating and self.outbox.creation is None and not self.outbox.over)
        news, self.outbox.news = self.outbox.news, []
        self._log(news)
        self.tell()
        return verdict

    def tell(self) -> None:
        """Those who wait look again."""
        with self.changed:
            self.changed.notify_all()

    def _hear(self, said: Mapping[str, Any]) -> None:
        """What every answer carries, whatever it acknowledges."""
        self.heard = said
        self.parent = said.get("parent", self.parent)
        if said.get("cancel_requested") or said.get("status") == "cancelled":
            self.cancelled = True
        if "accepted" in said:  # a receipt, and not the job that was created
            through = self.outbox.through
            for n in self.questions.hear(said, through, cancelled=self.cancelled):
                self._confirm(n)
        view = said.get("view")
        if isinstance(view, dict) and isinstance(view.get("url"), str):
            self.page = urljoin(self.target.url, view["url"])

    # What is kept on disk

    def spill(self, *, sync: bool = False) -> None:
        """Write what is not on disk yet, and make room where memory is full."""
        refused = self.disk.spill(self.share, sync=sync)
        # Not with the disk's lock: a log handler that waits for it may hold its own.
        if refused is not None:
            self._log([News("disk", f"The spool cannot be written, so {_LOSS}: {refused}")])

    # Ending

    def finish(self, wait: float, *, patient: bool = False) -> None:
        """Return when all is acknowledged, or safe on disk. `wait`: seconds for the former."""
        try:
            self.wait(wait, patient=patient)
        finally:  # also when the wait is interrupted
            self.keep(sync=True)

    def wait(self, seconds: float, *, patient: bool) -> None:
        """Until all is acknowledged. `patient`: even by a server that does not answer."""

        def may_leave() -> bool:
            return self.outbox.idle or self.released or (self.away and not patient)

        with self.changed:
            self.changed.wait_for(may_leave, seconds)

    def keep(self, *, sync: bool) -> None:
        """What is not acknowledged is on disk afterwards. `sync`: it survives a power cut."""
        self._poll()
        self.guard.run(self.outbox.settle)
        if self.outbox.unanswered:
            self.spill(sync=sync)
            if self.outbox.ended and self.disk.spool is not None:
                self._sender.kept(self)

    def close(self) -> Path | None:
        """The process ends: leave what is on disk to the next one. Returns the folder, if it is not
        synced."""
        self.keep(sync=False)
        return self.disk.release()

    def release(self) -> None:
        """Leave what is on disk to an heir of the same process."""
        self.disk.release()
        self.tell()

    def _log(self, news: list[News]) -> None:
        for key, text in news:
            if key not in self._told and len(self._told) < 100:
                self._told.add(key)
                logger.warning("Job %s: %s", self.id, text)


def new_producer() -> str:
    return os.urandom(8).hex()


Channels = weakref.WeakValueDictionary[tuple[Target, str], Channel]
