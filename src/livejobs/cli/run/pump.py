"""Pass bytes between the command and the outside, unchanged, until the command has ended.

One thread. Output is written out first and looked at afterwards, in large pieces.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from livejobs.cli.run.child import Child
from livejobs.cli.run.terminal import Terminal

PIECE: Final = 1024 * 1024
KEYS: Final = 4096
LINGER: Final = 2.0  # seconds for output of processes that the command has left behind
READABLE: Final = select.POLLIN | select.POLLHUP | select.POLLERR

Seen = Callable[[int, bytes], None]
Stopped = Callable[[int], None]


class Pump:
    def __init__(
        self, child: Child, terminal: Terminal | None, wake: int, seen: Seen, stopped: Stopped
    ) -> None:
        """`wake` is readable when a signal has come. `seen` gets each output with its source.
        `stopped`: what to do when the command was stopped by a signal."""
        self._child = child
        self._terminal = terminal
        self._wake = wake
        self._seen = seen
        self._stopped = stopped
        self._open = dict(child.outputs)
        self._keys = b""  # typed, and not taken by the command yet

    def run(self) -> int:
        """The command's status, as waitpid gives it."""
        deadline = None
        while self._open or self._child.status is None:
            self._step(None if deadline is None else deadline - time.monotonic())
            if self._child.status is not None:
                deadline = deadline or time.monotonic() + LINGER
                if time.monotonic() >= deadline:
                    break
        for file in self._child.outputs:
            if file in self._open:
                os.close(file)
        assert self._child.status is not None
        return self._child.status

    def _step(self, timeout: float | None) -> None:
        for file, event in self._ready(timeout):
            if file == self._wake:
                self._look_at_child()
            elif self._terminal is not None and file == self._terminal.file:
                self._type(event)
            elif event & select.POLLOUT:
                self._send_keys()
            if file in self._open and event & READABLE:
                self._pass_on(file)

    def _ready(self, timeout: float | None) -> list[tuple[int, int]]:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        for file in self._open:
            keys = self._keys and file == self._child.pty
            poll.register(file, select.POLLIN | select.POLLOUT if keys else select.POLLIN)
        # Keys are read as fast as the command takes them.
        if self._terminal is not None and self._terminal.raw and not self._keys:
            poll.register(self._terminal.file, select.POLLIN)
        return poll.poll(None if timeout is None else max(0.0, timeout) * 1000)

    def _look_at_child(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake, KEYS)
        if (number := self._child.reap()) is not None:
            self._stopped(number)
        if self._terminal is not None and self._child.status is None:
            self._terminal.enter()  # we may have come to the foreground

    def _type(self, event: int) -> None:
        assert self._terminal is not None
        try:
            self._keys = os.read(self._terminal.file, KEYS)
        except OSError:
            self._keys = b""
        if self._keys:
            self._send_keys()
        else:  # the terminal has gone
            self._terminal.raw = False

    def _send_keys(self) -> None:
        if self._child.pty is None or self._child.pty not in self._open:
            self._keys = b""
            return
        try:
            self._keys = self._keys[os.write(self._child.pty, self._keys) :]
        except BlockingIOError:
            pass
        except OSError:
            self._keys = b""

    def _pass_on(self, file: int) -> None:
        try:
            data = os.read(file, PIECE)
        except BlockingIOError:
            return
        except OSError:  # a pty whose other end is closed
            data = b""
        if not data or not write_all(self._open[file], data):
            # A command that writes on gets SIGPIPE, as it would without us.
            del self._open[file]
            os.close(file)
        if data:
            self._seen(file, data)


def write_all(file: int, data: bytes) -> bool:
    """False: nobody reads it any more."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(file, view) :]
        except BlockingIOError:  # another program has made the terminal non-blocking
            select.select([], [file], [])
        except OSError:
            return False
    return True
