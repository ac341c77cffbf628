"""Start `livejobs` by forks of a process that has imported it (tests/support/template.py).

The start of a server costs half a second of processor time, nearly all for Python and its imports,
and the tests start hundreds of servers and commands. A fork is the same program: it runs the same
`main()` with its own arguments, environment, folder and standard streams.
tests/support/test_forked.py compares the two.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Final

ROOT: Final = Path(__file__).parents[2]
PROGRAM: Final = "from tests.support.template import main; main()"
# Variables that nothing reads while it is imported. With another change, a program needs a new
# Python, since the template was imported with its own environment.
READ_LATE: Final = (
    "LIVEJOBS_", "_LIVEJOBS_", "AWS_", "PYTEST_",
    "TZ", "TERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR",
)  # fmt: skip


class Template:
    """Starts its process with the first fork. `modules`: what it imports for its forks."""

    def __init__(self, *modules: str) -> None:
        self._modules = modules
        self._environment = dict(os.environ)
        self._lock = threading.Lock()

    def fits(self, environment: Mapping[str, str]) -> bool:
        changes = environment.items() ^ self._environment.items()
        return all(name.startswith(READ_LATE) for name, _ in changes)

    def fork(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        stderr: BinaryIO,
        stdin: int = 0,
        folder: Path | None = None,
    ) -> Fork:
        """Its stdout is a pipe. The default for `stdin` and `folder` is what this process has."""
        order = {
            "arguments": arguments,
            "environment": dict(environment),
            "folder": str(folder or Path.cwd()),
            "umask": umask(),
        }
        reading, writing = os.pipe()
        pid = self._order(order, stdin, writing, stderr.fileno())
        os.close(writing)
        return Fork(self, pid, os.fdopen(reading, "rb"))

    def exit_code(self, pid: int) -> int:
        """Of a fork that has ended. Its id is free afterwards."""
        return self._order({"ended": pid})

    def _order(self, order: Mapping[str, object], *descriptors: int) -> int:
        with self._lock:
            socket.send_fds(self._control, [json.dumps(order).encode()], descriptors)
            reply = self._control.recv(32)
        assert reply, "The template has ended. Its error is on stderr."
        return int(reply)

    @cached_property
    def _control(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(theirs.fileno()), *self._modules],
                # Python asks once whether its streams can seek, and those of most forks are pipes.
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                pass_fds=[theirs.fileno()], env=self._environment, cwd=ROOT,
            )  # fmt: skip
        return ours

    def stop(self) -> None:
        """End all forks, and the process of the template."""
        control = vars(self).pop("_control", None)
        if control is not None:
            control.shutdown(socket.SHUT_RDWR)
            self._process.communicate()  # to its end
            control.close()


def umask() -> int:
    """Of this process. It can be read only by setting another one."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


class Fork:
    """The part of `subprocess.Popen` that tests use, for a process with another parent."""

    def __init__(self, template: Template, pid: int, stdout: BinaryIO) -> None:
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None
        self._template = template
        self._handle = os.pidfd_open(pid)
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        with self._lock:
            if self.returncode is None and self._ended_within(0):
                self.returncode = self._template.exit_code(self.pid)
                os.close(self._handle)
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None and not self._ended_within(timeout):
            assert timeout is not None
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        code = self.poll()
        assert code is not None
        return code

    def _ended_within(self, seconds: float | None) -> bool:
        waiting = select.poll()
        waiting.register(self._handle, select.POLLIN)
        return bool(waiting.poll(None if seconds is None else 1000 * seconds))

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
