"""Pass signals on to the command, and stop and continue with it."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Final

from livejobs.cli.run.child import Child
from livejobs.cli.run.terminal import Terminal

FORWARDED: Final = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip
WAITS_FOR_TERMINAL: Final = (signal.SIGTTIN, signal.SIGTTOU)


def _leave_to_loop(number: int, frame: FrameType | None) -> None:
    pass


class Signals:
    """Handlers run in the middle of anything, also while output waits for its reader. So they pass
    the signal on themselves, and only what takes longer is left to the loop that reads `wake`."""

    def __init__(self, terminal: Terminal | None) -> None:
        """`terminal`: that of this process, whether or not the command has a pty."""
        self._terminal = terminal
        self._child: Child | None = None
        self._early: list[int] = []  # came before there was a command
        self._lent = False  # a command with pipes has the terminal
        self.wake, self._woken = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(self._woken, False)

    def install(self) -> None:
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        for number in FORWARDED:
            # What was ignored stays ignored, as by nohup.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._forward)
        signal.signal(signal.SIGWINCH, self._resize)
        signal.signal(signal.SIGTSTP, self._stop)
        signal.signal(signal.SIGCONT, self._continue)
        signal.signal(signal.SIGCHLD, _leave_to_loop)

    def attach(self, child: Child) -> None:
        self._child = child
        for number in self._early:
            child.signal(number)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        if self._child is None:
            self._early.append(number)
        else:
            self._child.signal(number)

    def _resize(self, number: int, frame: FrameType | None) -> None:
        if self._child is None:
            return
        if self._child.pty is None or self._terminal is None:
            self._child.signal(number)
        else:
            self._terminal.copy_size(self._child.pty)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._child is not None:
            self._child.signal(signal.SIGTSTP)
        self._rest()

    def _continue(self, number: int, frame: FrameType | None) -> None:
        if self._child is not None:
            self._child.signal(signal.SIGCONT)

    def stopped(self, number: int) -> None:
        """The command was stopped."""
        child = self._child
        if child is None:
            return
        if number in WAITS_FOR_TERMINAL and child.pty is None:
            self._lend(child)
        elif child.pty is not None or self._lent:
            # As Ctrl-Z would: with all others of the same job of the shell.
            signal.signal(signal.SIGTSTP, signal.SIG_IGN)
            os.killpg(os.getpgrp(), signal.SIGTSTP)
            self._rest()

    def _lend(self, child: Child) -> None:
        """A command with pipes asks the terminal for something, as for a password."""
        if self._terminal is not None and self._terminal.foreground:
            self._lent = True
            self._terminal.give_to(child.group)
            child.signal(signal.SIGCONT)

    def _rest(self) -> None:
        """Stop until the shell continues us. Where there is no shell, the kernel does not stop us,
        and the command goes on at once."""
        self.give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._stop)
        self._resume()

    def give_back(self) -> None:
        """Restore the terminal, and take it back from the command."""
        if self._terminal is not None:
            self._terminal.leave()
            if self._lent:
                self._lent = False
                self._terminal.take_back()

    def _resume(self) -> None:
        child = self._child
        if child is None:
            return
        if child.pty is not None and self._terminal is not None:
            self._terminal.enter()
            self._terminal.copy_size(child.pty)
        child.signal(signal.SIGCONT)
