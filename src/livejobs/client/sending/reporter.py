"""The thread that sends: one for each server, over one connection, for all jobs of the process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any, Final

from livejobs.client.sending.channel import IN_ALL, MEMORY, Channel
from livejobs.client.sending.exchange import Answer, Verdict
from livejobs.client.sending.pace import INTERVAL, jittered
from livejobs.client.sending.spool import left_behind, sync_left
from livejobs.client.sending.transport import Transport
from livejobs.client.settings import Target

logger: Final = logging.getLogger("livejobs.client")

RESCAN: Final = 60.0  # seconds between looks for folders of processes that have gone
HEIRS: Final = 16  # folders that are sent at the same time
HELD: Final = 32  # folders of jobs that have ended
AT_EXIT: Final = 5.0  # seconds that the interpreter's exit waits at most
# All jobs are written to disk before the first of them is synced: what is written survives the end
# of the process, and to sync many may take long.
DISK: Final = 0.01  # seconds to sync a job
MOST_DISK: Final = 1.0  # seconds that are left for it while the server is waited for
NEVER: Final = float("inf")
BRIEF: Final = 2.0  # seconds until the next try; after a longer wait the SDK logs a warning


def within(end: float, acts: Iterable[Callable[[], object]]) -> None:
    """Do the first, and as many as there is time for."""
    for act in acts:
        act()
        if time.monotonic() >= end:
            return


class Seat:
    """When a channel was served, and when it may be again."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.last = time.monotonic() - INTERVAL  # of the last reports or heartbeat
        self.looked = self.last  # when it was last asked for something to send
        self.backoff = jittered()


class Reporter:
    def __init__(self, target: Target, started: Callable[[], None] = lambda: None) -> None:
        """`started` is called when the thread starts."""
        self._target = target
        self._started = started
        self._seats: dict[Channel, Seat] = {}
        self._kept: dict[Channel, None] = {}  # those of the seats that have ended, oldest first
        self._released = 0  # folders, in all
        self._retaken = 0  # of them: so many have surely been taken over again
        self._lock = threading.RLock()
        self._bell = threading.Event()
        self._thread: threading.Thread | None = None
        self._transport: Transport | None = None
        self._backoff = jittered()  # of the server
        self._scanned = -NEVER
        self._more = False  # folders to take over, beside those that were taken
        self._away: str | None = None
        self._warned = False  # that the server is away
        self._totals = {"sent": 0, "refused": 0, "dropped": 0, "requests": 0, "failures": 0}

    def ring(self, channel: Channel) -> None:
        """The channel has something to send."""
        if channel not in self._seats and not channel.released:
            self._take(channel)
        if not self._bell.is_set():
            self._bell.set()

    def _take(self, channel: Channel) -> None:
        with self._lock:
            self._seats.setdefault(channel, Seat(channel))
            channel.away = self._away is not None
            if self._thread is None:
                self._start()

    @property
    def share(self) -> int:
        return min(MEMORY, IN_ALL // max(1, len(self._seats)))

    def kept(self, channel: Channel) -> None:
        """Each folder takes descriptors, which the job may need. So only so many are held, and the
        thread takes the others over again when it can send them."""
        with self._lock:
            if channel not in self._seats:
                return
            self._kept[channel] = None
            if len(self._kept) <= HELD:
                return
            oldest = next(iter(self._kept))
            self._forget(oldest)
        oldest.release()
        self._released += 1  # now that it can be found
        self._more = True
        self._bell.set()

    def _forget(self, channel: Channel) -> None:
        self._seats.pop(channel, None)
        self._kept.pop(channel, None)
        box = channel.outbox
        self._totals["sent"] += box.sent
        self._totals["refused"] += box.refused
        self._totals["dropped"] += box.lost
        box.sent = box.refused = box.lost = 0

    def _channels(self) -> tuple[Channel, ...]:
        with self._lock:
            return tuple(self._seats)

    def _start(self) -> None:
        self._started()
        self._transport = self._transport or Transport(self._target)
        self._thread = threading.Thread(target=self._run, name="livejobs", daemon=True)
        # No thread can be started while the interpreter ends: the spool takes what is left.
        with suppress(RuntimeError):
            self._thread.start()

    # The thread

    def _run(self) -> None:
        while True:
            try:
                self._inherit()
                due = self._turn()
            except Exception:  # the job must not lose its reporter, whatever is wrong with it
                logger.exception("The reporter failed; it goes on.")
                due = time.monotonic() + 1.0
            wait = due - time.monotonic()
            if wait > 0:
                self._bell.wait(min(wait, RESCAN))

    def _turn(self) -> float:
        """Serve every channel whose time has come. When the next one comes."""
        self._bell.clear()  # before looking, so that no ring is missed
        due = NEVER
        with self._lock:
            seats = tuple(self._seats.values())
        for seat in seats:
            at = self._due(seat)
            if at <= time.monotonic():
                self._serve(seat)
                at = self._due(seat)
            due = min(due, at)
        return due

    def _due(self, seat: Seat) -> float:
        channel = seat.channel
        box = channel.outbox
        over = box.ended or box.over  # whatever is said after that, and by whom
        if box.idle and (over or not (channel.awake or channel.sources)):
            if channel.open and not over:
                return max(seat.last + channel.silence, self._backoff.until, seat.backoff.until)
            self._leave(seat, over)
            return NEVER
        # A pause would join nothing where a whole batch waits, or nothing follows.
        pause = 0.0 if box.backlog or box.ended or box.creation is not None else INTERVAL
        last = max(seat.last, seat.looked)
        return max(last + pause, self._backoff.until, seat.backoff.until)

    def _leave(self, seat: Seat, over: bool) -> None:
        channel = seat.channel
        with self._lock:
            self._forget(channel)
            if channel.awake and not over:
                # It had something to send before it could see that it is gone.
                self._seats[channel] = seat
            elif channel.heir and self._more:
                self._bell.set()  # take the next ones over

    def _serve(self, seat: Seat) -> None:
        channel = seat.channel
        now = seat.looked = time.monotonic()
        request = channel.next(heartbeat=now - seat.last >= channel.silence)
        if request is None:
            return
        assert self._transport is not None
        answer = self._transport.send(channel.id, request, channel.trace)
        self._totals["requests"] += 1
        if request.kind != "create":
            seat.last = now
        self._judge(seat, answer, channel.answered(answer))

    def _judge(self, seat: Seat, answer: Answer, verdict: Verdict) -> None:
        now = time.monotonic()
        if verdict in (Verdict.GO, Verdict.OVER):
            self._backoff.worked()
            seat.backoff.worked()
            self._back()
            return
        self._totals["failures"] += 1
        if verdict is Verdict.AGAIN:
            seat.backoff.failed(now)
        else:
            slowly = verdict is Verdict.SLOWLY
            self._backoff.failed(now, least=answer.retry_after, slowly=slowly)
            lasts = self._backoff.failures > 1 or self._backoff.until - now > BRIEF
            self._gone(answer, lasts=lasts)
        seat.channel.spill()  # a worker that is killed while the server is away loses nothing

    def _gone(self, answer: Answer, *, lasts: bool) -> None:
        """A single failure is not logged: the restart of one of several servers looks like that."""
        self._away = answer.reason
        self._mark(away=True)
        if lasts:
            self._warn()

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(
                "%s does not take reports now. They are kept and sent later: %s",
                self._target.url, self._away,
            )  # fmt: skip

    def _back(self) -> None:
        if self._away is not None:
            self._away = None
            self._mark(away=False)
        if self._warned:
            self._warned = False
            logger.info("%s takes reports again.", self._target.url)

    def _mark(self, *, away: bool) -> None:
        for channel in self._channels():
            channel.away = away
            channel.tell()

    def _inherit(self) -> None:
        """Take over what processes that have gone left behind, from time to time, a few at once."""
        rested = time.monotonic() - self._scanned >= RESCAN
        if not (rested or self._more) or any(one.heir for one in self._channels()):
            return
        self._scanned = time.monotonic()
        released, self._more = self._released, False  # before looking, so that none is missed
        left = list(islice(left_behind(self._target), HEIRS))
        for spool in left:
            channel = Channel.inherited(self._target, spool, self)
            channel.disk.tidy()  # it may hold nothing
            with self._lock:
                self._seats[channel] = Seat(channel)
        if len(left) == HEIRS:
            self._more = True
        else:
            self._retaken = released

    # What others may ask

    @property
    def idle(self) -> bool:
        waiting = self._released > self._retaken
        return not waiting and all(channel.outbox.idle for channel in self._channels())

    def flush(self, timeout: float) -> bool:
        """Wait until all is acknowledged. False: it is not, and was kept on disk."""
        end = time.monotonic() + timeout
        channels = self._channels()
        try:
            self._wait(channels, end, patient=True)
        finally:
            for channel in channels:
                channel.keep(sync=False)
            within(end, (partial(channel.keep, sync=True) for channel in channels))
        return self.idle

    def _wait(self, channels: Sequence[Channel], end: float, *, patient: bool) -> None:
        """Until all is acknowledged, or so late that there is just time for the disk."""
        end -= min(DISK * sum(channel.outbox.unanswered for channel in channels), MOST_DISK)
        for channel in channels:
            channel.wake()
        for channel in channels:
            channel.wait(max(0.0, end - time.monotonic()), patient=patient)

    def close(self, timeout: float = AT_EXIT) -> None:
        """The process ends."""
        end = time.monotonic() + timeout
        self._backoff.until = 0.0  # one more try, at once
        for channel in self._channels():
            channel.away = False
        self._bell.set()
        try:
            self._wait(self._channels(), end, patient=False)
        finally:
            left = [folder for it in self._channels() if (folder := it.close()) is not None]
            if left and self._away is not None:
                self._warn()
            within(end, (partial(sync_left, folder) for folder in left))

    def after_fork(self) -> None:
        """In the child: let go of what is the parent's."""
        for channel in self._seats:
            channel.disk.abandon()
        if self._transport is not None:
            self._transport.abandon()

    def statistics(self) -> dict[str, Any]:
        boxes = [channel.outbox for channel in self._channels()]
        return {
            "url": self._target.url,
            "jobs": len(boxes),
            "away": self._away,
            "bytes": sum(box.bytes for box in boxes),
            "unacknowledged": sum(box.last - box.acked for box in boxes),
            "sent": self._totals["sent"] + sum(box.sent for box in boxes),
            "refused": self._totals["refused"] + sum(box.refused for box in boxes),
            "dropped": self._totals["dropped"] + sum(box.lost for box in boxes),
            "requests": self._totals["requests"],
            "failures": self._totals["failures"],
        }
