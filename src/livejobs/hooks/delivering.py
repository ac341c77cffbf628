"""Deliver what the store has queued. One node does so at a time: the one that leads.

A delivery is sent, its outcome is written, and only then the next one of its lane is sent. So a
crash between the two sends one again, and loses none.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from msgspec.structs import replace

from livejobs import clock
from livejobs.core import wire
from livejobs.core.cursor import Cursor
from livejobs.core.errors import StorageUnavailable
from livejobs.core.model import decode_head
from livejobs.core.times import rfc3339
from livejobs.hooks.formats import FORMATS, Answer, CannotSend, Note, Request, Verdict
from livejobs.hooks.queue import Queue
from livejobs.hooks.schedule import pause
from livejobs.jobs.commit.committer import Committer
from livejobs.jobs.commit.publishing import Committed
from livejobs.store.audit import AuditRecord
from livejobs.store.base import Store
from livejobs.store.hooks import Outcome, Payload, State, Waiting

EVERY: Final = 1.0  # seconds; then the store is asked, whatever was heard
PAGE: Final = 1_000
GRACE: Final = 3.0  # seconds for requests that are under way when the server stops
AGAIN: Final = 1_000  # ms after which the store is tried again
SWEEP: Final = 10.0  # seconds
RECORDS_LAST: Final = 7 * 24 * 3600 * 1000  # ms
OVERFLOW: Final = "Too many deliveries wait for this receiver."

log = logging.getLogger("livejobs.webhooks")


class Sender(Protocol):
    """What sends requests (see sending.py)."""

    async def send(self, request: Request) -> Answer:
        """Return the answer. Raises CannotSend."""

    async def close(self) -> None:
        """Close all connections."""


class Site(NamedTuple):
    """Where people and programs reach the server."""

    url: str  # scheme and host; empty: not known
    base: str  # the path where the app is mounted


class Attempt(NamedTuple):
    """An attempt that is over, and what the queue does next."""

    it: Waiting
    outcome: Outcome
    pace: int = 0


class Deliverer:
    def __init__(
        self,
        store: Store,
        committer: Committer,
        open_sender: Callable[[], Sender],
        site: Site,
        leads: Callable[[], bool],
    ) -> None:
        self._store = store
        self._committer = committer
        self._open_sender = open_sender
        self._sender: Sender | None = None
        self._site = site
        self._leads = leads
        self.outcomes: Counter[str] = Counter()
        committer.listeners.append(self._heard)
        self._begin()

    def _begin(self) -> None:
        self._queue = Queue()
        self._read: dict[str, int] = {}  # up to which n the queue has a project's deliveries
        self._over: list[Attempt] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()  # each belongs to one event loop
        self._ended = asyncio.Event()
        self._opening = asyncio.Lock()
        self._swept = 0.0
        self._led = False

    def statistics(self) -> dict[str, int]:
        oldest = self._queue.oldest()
        waits = 0 if oldest is None else max(0, clock.now_ms() - oldest) // 1000
        return {
            "webhooks_waiting": len(self._queue),
            "webhooks_sending": self._queue.busy,
            "webhooks_oldest_seconds": waits,
            **{f"webhooks_{it}": self.outcomes[it] for it in ("delivered", "retried", "failed")},
        }

    def wake(self) -> None:
        """There may be something to send."""
        self._news.set()

    def _heard(self, committed: Sequence[Committed]) -> None:
        book = self._committer.book
        if any(it.after is not None and book.hears(it.after) for it in committed):
            self.wake()

    async def run(self) -> None:
        self._begin()
        settler = asyncio.create_task(self._settle_all(), name="webhook outcomes")
        try:
            while True:
                await self._round()
                await self._until_next()
        finally:
            await self._finish(settler)

    async def _round(self) -> None:
        self._news.clear()
        try:
            if not self._leads():
                self._forget()
                return
            self._led = True
            await self._load()
            await self._sweep()
        except StorageUnavailable as error:
            log.debug("%s", error)
        except Exception:  # a bug; the next round tries again
            log.exception("webhooks could not be read")
        self._start()

    def _forget(self) -> None:
        """Another node delivers now. What is under way ends, and is written."""
        if self._led and not self._queue.busy:
            self._led = False
            self._queue, self._read = Queue(), {}

    async def _load(self) -> None:
        while True:
            page = await self._store.waiting(self._read, limit=PAGE)
            for it in page:
                self._read[it.project] = it.n
                if not self._queue.add(it):
                    self._over.append(_overflow(it))
                    self._ended.set()
            if len(page) < PAGE:
                return

    async def _sweep(self) -> None:
        if clock.monotonic() - self._swept >= SWEEP:
            self._swept = clock.monotonic()
            await self._store.sweep_hooks(clock.now_ms() - RECORDS_LAST)

    def _start(self) -> None:
        if not self._leads():
            return
        for it in self._queue.start(clock.now_ms()):
            task = asyncio.create_task(self._deliver(it), name="webhook")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _until_next(self) -> None:
        """The clock may jump, so this never waits for long."""
        at = self._queue.next_at()
        seconds = EVERY if at is None else min(EVERY, max(0.0, (at - clock.now_ms()) / 1000))
        try:
            async with asyncio.timeout(seconds + 0.001):
                await self._news.wait()
        except TimeoutError:
            pass

    async def _finish(self, settler: asyncio.Task[None]) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE)
        for task in (*self._tasks, settler):
            task.cancel()
        await asyncio.gather(*self._tasks, settler, return_exceptions=True)
        try:
            await self._settle()
        except StorageUnavailable:  # what was sent is sent again
            log.warning("The outcomes of some webhooks could not be written.")
        sender, self._sender = self._sender, None
        if sender is not None:
            await sender.close()

    # One delivery

    async def _deliver(self, it: Waiting) -> None:
        try:
            attempt = await self._attempt(it)
        except StorageUnavailable:
            self._release(it, clock.now_ms() + AGAIN)
            return
        except Exception:  # a bug, perhaps with this job only: later ones must go on
            log.exception("webhook %s failed", it.hook)
            verdict = Verdict("The server could not make this message. Its log has the reason.")
            attempt = self._judge(it, 0, verdict, None, 0)
        if attempt is None:
            self._release(it, None)
            return
        self._over.append(attempt)
        self._ended.set()

    def _release(self, it: Waiting, again_at: int | None) -> None:
        """Nothing was sent, and there is nothing to write."""
        self._queue.done(it, again_at=again_at, failing=False, attempts=it.attempts)
        self.wake()

    async def _attempt(self, it: Waiting) -> Attempt | None:
        """None: there is nothing to send any more."""
        payload = await self._store.payload(it.n)
        if payload is None:
            return None
        seq = payload.delivery.seq
        if payload.hook.ended is not None:
            return _ending(it, seq, payload.hook.ended)
        began = time.perf_counter()  # a duration, for the log of deliveries
        verdict, answer = await self.send(self.note(payload))
        ms = round((time.perf_counter() - began) * 1000)  # as above
        if verdict.ended:
            attempt = _ending(it, seq, verdict.error or "", answer, ms)
            await self._end(payload, attempt)
            return attempt
        attempt = self._judge(it, seq, verdict, answer, ms)
        if it.event == "progress" and verdict.error is None:
            every = FORMATS[payload.hook.format].every
            return attempt._replace(pace=clock.now_ms() + every)
        return attempt

    def note(self, payload: Payload, *, event: str | None = None) -> Note:
        it, head = payload.delivery, decode_head(payload.head)
        cursor = Cursor(self._committer.epochs.get(it.project, "0"), it.seq)
        job = wire.fields(head, cursor, base=self._site.base)
        links, url = job["links"], self._site.url
        return Note(
            id=f"msg_{it.hook.removeprefix('wh_')}_{cursor}_{event or it.event}",
            event=event or it.event,
            at=rfc3339(it.at),
            job=job,
            hook=payload.hook,
            link=f"{url}{links['page']}" if url else None,
            source=f"{url}{links['self']}",
            ref=payload.ref,
            head=head,
        )

    async def send(self, note: Note) -> tuple[Verdict, Answer | None]:
        """Send a note. If the message that it edits is gone, send a new one."""
        verdict, answer = await self._send(note)
        if verdict.lost:
            verdict, answer = await self._send(replace(note, ref=None))
        return verdict, answer

    async def _send(self, note: Note) -> tuple[Verdict, Answer | None]:
        shape = FORMATS[note.hook.format]
        request = shape.request(note, clock.now_ms())
        try:
            answer = await (await self._opened()).send(request)
        except CannotSend as error:
            return Verdict(str(error)), None
        return shape.verdict(request, answer), answer

    async def _opened(self) -> Sender:
        async with self._opening:
            if self._sender is None:
                self._sender = await asyncio.to_thread(self._open_sender)
        return self._sender

    def _judge(
        self, it: Waiting, seq: int, verdict: Verdict, answer: Answer | None, ms: int
    ) -> Attempt:
        now, attempts = clock.now_ms(), it.attempts + 1
        state: State = "delivered"
        next_at = None
        if verdict.error is not None:
            wait = pause(attempts, random.random(), _asked(answer))  # noqa: S311 - no secret
            state = "failed" if wait is None else "waiting"
            next_at = None if wait is None else now + wait
        code = None if answer is None else answer.status
        return Attempt(it, Outcome(
            it.n, seq, state, now, attempts, next_at, code, ms, verdict.error, verdict.ref,
        ))  # fmt: skip

    async def _end(self, payload: Payload, attempt: Attempt) -> None:
        """The receiver wants nothing more, so nothing is queued for it either. This delivery first,
        so that its record has the answer."""
        await self._store.settle([attempt.outcome])
        # As it is now: while the receiver took its time, it may have been removed, or rotated.
        hook = await self._store.hook(payload.hook.id)
        if hook is None:
            return
        now, why = clock.now_ms(), attempt.outcome.error
        detail = {"webhook": hook.id, "why": why}
        record = AuditRecord(now, "livejobs", "webhook.end", hook.project, hook.job, detail)
        log.warning("Webhook %s has ended: its receiver answered 410.", hook.id)
        await self._store.save_hook(replace(hook, ended_at=now, ended=why), record)
        self._committer.book.take(await self._store.hooks())

    # Outcomes

    async def _settle_all(self) -> None:
        while True:
            await self._ended.wait()
            self._ended.clear()
            try:
                await self._settle()
            except StorageUnavailable:
                self._ended.set()
                await asyncio.sleep(AGAIN / 1000)
            except Exception:  # a bug; the next round tries again
                log.exception("outcomes of webhooks could not be written")
                self._ended.set()
                await asyncio.sleep(AGAIN / 1000)

    async def _settle(self) -> None:
        """One transaction for all that are over. Those that come meanwhile are the next ones."""
        over, self._over = self._over, []
        if not over:
            return
        try:
            waiting = await self._store.settle([it.outcome for it in over])
        except BaseException:  # also when cancelled
            self._over = over + self._over
            raise
        for it in over:
            self._close(it, waits=it.outcome.n in waiting)
        self.wake()

    def _close(self, attempt: Attempt, *, waits: bool) -> None:
        it, outcome = attempt.it, attempt.outcome
        tried = outcome.state == "waiting"
        self.outcomes["retried" if tried else outcome.state] += 1
        if attempt.outcome.error == OVERFLOW:  # it never was in the queue
            return
        again_at = (outcome.next_at if tried else outcome.at) if waits else None
        self._queue.done(
            it,
            again_at=again_at,
            failing=outcome.error is not None,
            pace=attempt.pace,
            attempts=outcome.attempts if tried else 0,
        )


def _ending(
    it: Waiting, seq: int, why: str, answer: Answer | None = None, ms: int | None = None
) -> Attempt:
    now, code = clock.now_ms(), None if answer is None else answer.status
    attempts = it.attempts + (answer is not None)
    return Attempt(it, Outcome(it.n, seq, "failed", now, attempts, None, code, ms, why))


def _overflow(it: Waiting) -> Attempt:
    return Attempt(it, Outcome(it.n, 0, "failed", clock.now_ms(), 0, None, None, None, OVERFLOW))


def _asked(answer: Answer | None) -> float | None:
    """The seconds of Retry-After. A date is not read: the clocks may differ."""
    text = "" if answer is None else answer.headers.get("retry-after", "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
