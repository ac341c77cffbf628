"""Several workers: processes that serve one socket, and the supervisor that keeps them running.

The supervisor listens and forks, and all workers accept connections from one queue of the kernel.
With a socket for each worker (SO_REUSEPORT), the kernel would distribute connections by address
and not by load, and would reset those in the queue of a worker that dies.

A forked worker starts at once, and shares the memory of all that is imported. So the supervisor
has no thread and no event loop.

A link, which is a pair of sockets, joins each worker to the supervisor. The worker sends that it is
ready, the supervisor sends when to stop, and each notices at once when the other dies. Signals
would not do: a terminal and systemd send theirs to every process. One more from the supervisor
would be the second for the worker, and a second signal means to hurry.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from selectors import EVENT_READ, DefaultSelector
from types import FrameType
from typing import Final, NamedTuple

from livejobs import clock
from livejobs.stopping import SIGNALS

READY: Final = b"r"
STOP: Final = b"s"
HURRY: Final = b"h"

STOP_SECONDS: Final = 9.0  # then the workers that are left are killed
LONG_LIFE: Final = 10.0  # seconds; after a longer life, the next worker starts at once
FIRST_PAUSE: Final = 0.5  # seconds; every further pause is twice as long
LONGEST_PAUSE: Final = 30.0

logger = logging.getLogger("livejobs")


class Worker(NamedTuple):
    """What a worker gets from its supervisor."""

    number: int  # from 1
    sock: socket.socket  # it listens
    link: socket.socket

    def tell_ready(self) -> None:
        _send(self.link, READY)

    def hear(self) -> bytes:
        """STOP or HURRY, or both. Empty: the supervisor has died."""
        return _receive(self.link)


def supervise(count: int, sock: socket.socket, announce: Callable[[], None]) -> Worker:
    """Return in each worker. The supervisor calls `announce` once all workers are ready, and exits
    when all have ended."""
    supervisor = Supervisor(count, sock, announce)
    worker = supervisor.run()
    if worker is None:
        for number in SIGNALS:  # Python's end restores the default handlers
            signal.signal(number, signal.SIG_IGN)
        sys.exit(supervisor.code)
    return worker


@dataclass
class Post:
    """The place of one worker: the process that has it, or when the next one is due."""

    number: int
    pid: int = 0  # 0: no process
    link: socket.socket | None = None
    ready: bool = False
    began: float = 0.0
    pause: float = 0.0
    due: float = 0.0

    def begin(self, pid: int, link: socket.socket) -> None:
        self.pid, self.link, self.began = pid, link, clock.monotonic()

    def end(self) -> int:
        """Return the exit code of a process that has closed its link."""
        assert self.link is not None
        self.link.close()
        _, status = os.waitpid(self.pid, 0)
        self.pid, self.link = 0, None
        return os.waitstatus_to_exitcode(status)

    def rest(self) -> None:
        """After a short life, pause before the next: its cause may still be there."""
        now = clock.monotonic()
        longer = min(max(2 * self.pause, FIRST_PAUSE), LONGEST_PAUSE)
        self.pause = 0.0 if now - self.began > LONG_LIFE else longer
        self.due, self.ready = now + self.pause, False

    def tell(self, word: bytes) -> None:
        if self.link is not None:
            _send(self.link, word)


class Supervisor:
    def __init__(self, count: int, sock: socket.socket, announce: Callable[[], None]) -> None:
        self.sock, self.announce = sock, announce
        self.posts = [Post(number) for number in range(1, count + 1)]
        self.announced = False
        self.kill_at: float | None = None  # when all workers must have ended; None: not stopping
        self.code = 0
        self.selector = DefaultSelector()
        self.signals, self.woken = socket.socketpair()

    def run(self) -> Worker | None:
        """Return in each worker, and return None in the supervisor after all have ended."""
        self.notice_signals()
        gc.freeze()  # else a worker's collector would write to all objects, and so unshare them
        while self.kill_at is None or any(post.pid for post in self.posts):
            for post in self.due():
                worker = self.begin(post)
                if worker is not None:
                    return worker
            for key, _ in self.selector.select(self.patience()):
                self.notice(key.data)
            self.kill_late()
        return None

    def patience(self) -> float | None:
        """Seconds until something is to be done, whatever happens; None: nothing is."""
        now = clock.monotonic()
        times = [post.due for post in self.posts if not post.pid and post.due > now]
        if self.kill_at is not None:
            times = [self.kill_at]
        first = min(times, default=inf)
        return None if first == inf else max(first - now, 0)

    def notice(self, post: Post | None) -> None:
        if post is None:
            self.signals.recv(64)
            self.stop()
        elif post.link is not None and _receive(post.link):
            post.ready = True
            self.announce_once()
        else:
            self.ended(post)

    def announce_once(self) -> None:
        if not self.announced and all(post.ready for post in self.posts):
            self.announced = True
            self.announce()

    # Workers begin and end

    def due(self) -> Iterator[Post]:
        """At the start, one worker after the other. So what is wrong with the settings or the
        database is reported once, and the first worker creates what all share."""
        for post in self.posts if self.kill_at is None else ():
            if not post.pid and post.due <= clock.monotonic():
                yield post
            if not (post.ready or self.announced):
                return

    def begin(self, post: Post) -> Worker | None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            return self.fork(post)
        except OSError as error:
            logger.error("Worker %d can't be started: %s", post.number, error.strerror)
            if self.announced:
                post.rest()
            else:
                self.give_up(1)
            return None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def fork(self, post: Post) -> Worker | None:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            os.dup(theirs.fileno())  # never closed: the link lasts as long as the process
            self.leave()
            return Worker(post.number, self.sock, theirs)
        theirs.close()
        post.begin(pid, ours)
        self.selector.register(ours, EVENT_READ, post)
        return None

    def leave(self) -> None:
        """In a worker: close what is the supervisor's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # until the server handles it
        for post in self.posts:
            if post.link is not None:
                post.link.close()
        for each in (self.selector, self.signals, self.woken):
            each.close()

    def ended(self, post: Post) -> None:
        assert post.link is not None
        self.selector.unregister(post.link)
        pid, code = post.pid, post.end()
        if self.kill_at is not None:
            return
        if code > 0 and not (post.ready or self.announced):
            self.give_up(code)
        else:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            post.rest()
            logger.warning(
                "Worker %d (process %d) ended with %s. The next one starts in %.1f s.",
                *(post.number, pid, how, post.pause),
            )

    def give_up(self, code: int) -> None:
        """A worker could not start, and has reported why."""
        self.code = code
        self.stop()

    # Stopping

    def notice_signals(self) -> None:
        self.woken.setblocking(False)
        signal.set_wakeup_fd(self.woken.fileno())
        for number in SIGNALS:
            signal.signal(number, _nothing)
        self.selector.register(self.signals, EVENT_READ)

    def stop(self) -> None:
        """Tell the workers to stop, and at the second time to hurry."""
        word = STOP if self.kill_at is None else HURRY
        if self.kill_at is None:
            self.kill_at = clock.monotonic() + STOP_SECONDS
            self.sock.close()
        for post in self.posts:
            post.tell(word)

    def kill_late(self) -> None:
        if self.kill_at is not None and self.kill_at <= clock.monotonic():
            self.kill_at = inf
            for post in filter(lambda post: post.pid, self.posts):
                logger.warning("Worker %d did not stop in time, so it is killed.", post.number)
                os.kill(post.pid, signal.SIGKILL)


def _nothing(number: int, frame: FrameType | None) -> None:
    """The handler of a signal that is noticed by its byte in the socket of `set_wakeup_fd`."""


def _send(link: socket.socket, word: bytes) -> None:
    with suppress(OSError):  # the other side has died, which is noticed by `_receive`
        link.send(word)


def _receive(link: socket.socket) -> bytes:
    """Empty: the other side has died."""
    try:
        return link.recv(64)
    except ConnectionError:  # it died before it had read all
        return b""
