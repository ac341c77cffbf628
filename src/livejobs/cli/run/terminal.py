"""The user's terminal, while a command runs in a pty of its own."""

from __future__ import annotations

import fcntl
import os
import signal
import termios
import tty
from contextlib import suppress
from typing import Any, Final, Self

_SIZE: Final = b"\0" * 8


class Terminal:
    """In raw mode while this process is in the foreground, so that all keys reach the command. In
    the background the terminal belongs to another program, and is neither read nor changed."""

    def __init__(self, file: int) -> None:
        self.file = file
        self.raw = False
        self._before: list[Any] | None = None

    @classmethod
    def open(cls) -> Self | None:
        """None: this process has no terminal."""
        try:
            return cls(os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC))
        except OSError:
            return None

    @property
    def foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self.file) == os.getpgrp()
        except OSError:
            return False

    @property
    def attributes(self) -> list[Any]:
        return termios.tcgetattr(self.file)

    def enter(self) -> None:
        """Read keys from now on, if this process is in the foreground."""
        if not self.raw and self.foreground:
            with suppress(termios.error):  # the terminal has gone
                self._before = termios.tcgetattr(self.file)
                tty.setraw(self.file, termios.TCSADRAIN)
                self.raw = True

    def leave(self) -> None:
        """Restore the terminal."""
        if self.raw and self._before is not None:
            self.raw = False
            with suppress(termios.error):
                termios.tcsetattr(self.file, termios.TCSADRAIN, self._before)

    def copy_size(self, pty: int) -> None:
        """The kernel sends SIGWINCH to the command."""
        with suppress(OSError):
            fcntl.ioctl(pty, termios.TIOCSWINSZ, fcntl.ioctl(self.file, termios.TIOCGWINSZ, _SIZE))

    def give_to(self, group: int) -> None:
        """Put another group of processes into the foreground, if we are there."""
        if self.foreground:
            self._put(group)

    def take_back(self) -> None:
        self._put(os.getpgrp())

    def _put(self, group: int) -> None:
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # it would stop us
        with suppress(OSError):
            os.tcsetpgrp(self.file, group)
        signal.signal(signal.SIGTTOU, before)
