"""`livejobs watch` in a terminal: draws what is known, reads keys, and does what they ask."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live

from livejobs.cli.reach import Server, sentence
from livejobs.cli.watch.board import Follower
from livejobs.cli.watch.controls import Act, Back, Cancel, Controls, Open, Quit, pressed
from livejobs.cli.watch.keyboard import Keyboard
from livejobs.cli.watch.portrait import final
from livejobs.cli.watch.screen import Size, draw, shown_jobs
from livejobs.client.reader.client import Client

FRAME: Final = 0.1  # seconds between two drawings
TICK: Final = 1.0  # seconds after which times on the screen are out of date
THREADS: Final = 30  # each holds a connection
TAIL: Final = 500  # lines of the log to begin with


class Session:
    def __init__(
        self, server: Server, client: Client, out: Console, job: str | None, **feed: Any
    ) -> None:
        self._server = server
        self._client = client
        self._out = out
        self._feed = feed
        self._keyboard = Keyboard()
        self._notices: deque[str] = deque(maxlen=1)
        self._suspended = self._quit = False
        self._controls = Controls(alone=job, only=job is not None)
        self._follower = self._follow(job)
        self._list: Follower | None = None  # below a job that is shown alone

    def run(self) -> None:
        try:
            with self._signals():
                while not self._over:
                    self._screen()
                    if self._suspended:
                        self._suspended = False
                        os.kill(os.getpid(), signal.SIGSTOP)  # until the shell's `fg`
        finally:
            self._leave()
        with self._follower.lock:
            error = self._follower.board.error
        if error is not None and not self._quit:
            raise error

    def _screen(self) -> None:
        """Own the terminal until the end, or until Ctrl-Z."""
        with (
            self._keyboard,
            Live(
                console=self._out, screen=True, auto_refresh=False,
                redirect_stdout=False, redirect_stderr=False,
            ) as live,
        ):  # fmt: skip
            while not (self._over or self._suspended):
                self._draw(live)
                self._turn()

    def _turn(self) -> None:
        """Wait for a key or a change. Keys act at once; changes are drawn ten times a second."""
        end = time.monotonic() + FRAME
        keys = self._keyboard.wait(TICK)
        while not keys and (left := end - time.monotonic()) > 0:
            keys = self._keyboard.wait(left, wakeful=False)
        for key in keys:
            self._press(key)

    @property
    def _over(self) -> bool:
        if self._quit:
            return True
        with self._follower.lock:
            over = self._follower.board.over
        return over and (self._controls.only or self._controls.alone is None)

    # The screen

    @property
    def _size(self) -> Size:
        return Size(*self._out.size, unicode=self._out.encoding.startswith("utf"))

    def _draw(self, live: Live) -> None:
        if self._notices:
            self._controls = replace(self._controls, notice=self._notices.popleft())
        with self._follower.lock:
            lines = draw(self._follower.board, self._controls, self._server.url, self._size)
        live.update(Group(*lines), refresh=True)

    def _leave(self) -> None:
        """The newest state of the job stays on the screen."""
        if not self._controls.only:
            return
        with self._follower.lock:
            board = self._follower.board
            job = board.jobs.get(self._controls.alone or "")
            entries = list(board.lines)
        if job is not None:
            print_final(self._out, job, entries)

    # Keys

    def _press(self, key: str) -> None:
        with self._follower.lock:
            jobs = shown_jobs(self._follower.board, self._controls)
        self._controls, act = pressed(self._controls, key, jobs)
        if act is not None:
            self._do(act)

    def _do(self, act: Act) -> None:
        if isinstance(act, Quit):
            self._quit = True
        elif isinstance(act, Cancel):
            threading.Thread(target=self._cancel, args=(act.job,), daemon=True).start()
        elif isinstance(act, Open):
            self._open(act.job)
        elif isinstance(act, Back) and self._list is not None:
            self._follower.stop()
            self._follower, self._list = self._list, None

    def _open(self, job: str) -> None:
        if threading.active_count() > THREADS:  # streams that were left end with their next ping
            self._controls = replace(
                self._controls, alone=None, notice="Too many jobs were opened. Wait a moment."
            )
            return
        self._list, self._follower = self._follower, self._follow(job)

    def _cancel(self, job: str) -> None:
        """In a thread of its own: the screen stays alive while the server takes its time."""
        try:
            answer = self._client.cancel(job)
            asked = answer["status"] != "cancelled"
            notice = "The worker is asked to stop." if asked else "The job is cancelled."
        except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
            notice = sentence(error, self._server.url)
        self._notices.append(notice)
        self._keyboard.wake()

    def _follow(self, job: str | None) -> Follower:
        query = self._feed if job is None else {"logs": 1, "tail": TAIL}
        return Follower(self._client, job, self._keyboard.wake, **query)

    # Signals

    @contextmanager
    def _signals(self) -> Iterator[None]:
        handlers = {
            signal.SIGTERM: self._end, signal.SIGHUP: self._end,
            signal.SIGTSTP: self._suspend, signal.SIGWINCH: self._resized,
        }  # fmt: skip
        before = {number: signal.signal(number, does) for number, does in handlers.items()}
        try:
            yield
        finally:
            for number, does in before.items():
                signal.signal(number, does)

    def _end(self, number: int, frame: FrameType | None) -> None:
        """As an exception, so that the terminal is put in order on the way out."""
        sys.exit(128 + number)

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        self._suspended = True
        self._keyboard.wake()

    def _resized(self, number: int, frame: FrameType | None) -> None:
        self._keyboard.wake()


def print_final(out: Console, job: Mapping[str, Any], entries: list[Mapping[str, Any]]) -> None:
    lines = final(job, entries, out.width, unicode=out.encoding.startswith("utf"))
    for line in lines:
        out.print(line, soft_wrap=True)
