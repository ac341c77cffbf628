"""The command's processes: started with pipes or a pty, in a group of their own.

With a group of its own, the command gets each signal once, and a cancel reaches all of its
processes. On a pty the command has a session too, led by a small process that waits for it:

    livejobs run ── leader (session, waits) ── command (group, in the foreground of the pty)

Without the leader, the command's group would be orphaned in its session, and the kernel would
never stop it for Ctrl-Z. The leader stops and ends as the command does.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import subprocess
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from livejobs.cli.run.terminal import Terminal

PIPE: Final = 1024 * 1024  # bytes in a pipe: large reads, few changes between processes
OUT: Final = 1
ERR: Final = 2


@dataclass
class Child:
    process: subprocess.Popen[bytes]
    group: int
    outputs: Mapping[int, int]  # what to read, and where it goes: 1 or 2
    pty: int | None = None
    status: int | None = field(default=None, init=False)  # as waitpid gives it

    def signal(self, number: int) -> None:
        """To all processes of the command."""
        if self.status is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.group, number)
            if number == signal.SIGCONT and self.group != self.process.pid:
                with suppress(ProcessLookupError):
                    os.kill(self.process.pid, number)

    def reap(self) -> int | None:
        """The signal that has stopped the command. None: it was not stopped."""
        if self.status is not None:
            return None
        pid, status = os.waitpid(self.process.pid, os.WNOHANG | os.WUNTRACED)
        if pid == 0:
            return None
        if os.WIFSTOPPED(status):
            return os.WSTOPSIG(status)
        self.status = status
        self.process.returncode = os.waitstatus_to_exitcode(status)  # Popen would wait again
        return None


def start(
    command: Sequence[str], environment: Mapping[str, str], terminal: Terminal | None
) -> Child:
    """Raises OSError if the command cannot be executed."""
    if terminal is None:
        return _piped(command, environment)
    return _in_pty(command, environment, terminal)


def _piped(command: Sequence[str], environment: Mapping[str, str]) -> Child:
    (out, out_end), (err, err_end) = _pipe(), _pipe()
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own command
            command, env=environment, stdout=out_end, stderr=err_end, process_group=0
        )
    finally:
        os.close(out_end)
        os.close(err_end)
    return Child(process, process.pid, {out: OUT, err: ERR})


def _pipe() -> tuple[int, int]:
    ours, theirs = os.pipe()
    with suppress(OSError, AttributeError):  # Linux; the kernel may allow less
        fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, PIPE)
    return ours, theirs


def _in_pty(command: Sequence[str], environment: Mapping[str, str], terminal: Terminal) -> Child:
    """Each stream that is a terminal here is one there too; others become pipes."""
    master, slave = os.openpty()
    with suppress(termios.error):
        termios.tcsetattr(slave, termios.TCSANOW, terminal.attributes)
    terminal.copy_size(master)
    told, tell = os.pipe()
    outputs, ends, opened = {master: OUT if os.isatty(OUT) else ERR}, {}, [slave, tell]
    for stream in (OUT, ERR):
        if os.isatty(stream):
            ends[stream] = slave
        else:
            ours, ends[stream] = _pipe()
            outputs[ours] = stream
            opened.append(ends[stream])
    try:
        process = subprocess.Popen(  # noqa: S603 - the user's own command
            command,
            env=environment,
            stdin=slave if os.isatty(0) else None,
            stdout=ends[OUT],
            stderr=ends[ERR],
            # No thread runs yet: the reporter starts its own later.
            preexec_fn=partial(_lead, slave, tell),  # noqa: PLW1509 - see above
        )
    finally:
        for file in opened:
            os.close(file)
    group = int(os.read(told, 20) or process.pid)
    os.close(told)
    os.set_blocking(master, False)
    return Child(process, group, outputs, master)


def _lead(slave: int, tell: int) -> None:
    """Between fork and exec: this process becomes the leader. A child of it returns from here, and
    becomes the command."""
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        # A process that is not in the foreground yet is stopped when it asks for it.
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        os.tcsetpgrp(slave, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        return
    try:
        _wait_for(pid, slave, tell)
    finally:
        os._exit(1)


def _wait_for(pid: int, slave: int, tell: int) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in (
        signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE,
        signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT,
    ):  # fmt: skip
        signal.signal(number, signal.SIG_IGN)
    os.write(tell, str(pid).encode())
    # A pipe ends when the command has closed it. The pty stays: the command may open it again.
    os.closerange(0, slave)
    os.closerange(slave + 1, os.sysconf("SC_OPEN_MAX"))
    while True:
        _, status = os.waitpid(pid, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            _end_as(status)


def _end_as(status: int) -> None:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the command has left one, if it may
        with suppress(OSError):  # SIGKILL cannot be set
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))
