"""Start servers by forks of a process that has imported livejobs (tests/support/template.py).

A start costs half a second of processor time, nearly all for Python and its imports, and the tests
start hundreds of servers. A fork is the same server: it runs the same `main()` with its own
arguments, environment, folder, stdout and stderr. tests/support/test_forked.py compares the two.
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
from typing import BinaryIO, Final

PROGRAM: Final = "from tests.support.template import main; main()"
# Variables that nothing reads while it is imported. A server with another change gets a process
# of its own, since the template has been imported with its own environment.
READ_LATE: Final = ("LIVEJOBS_", "AWS_", "PYTEST_")


class Template:
    """Starts its process with the first fork."""

    def __init__(self) -> None:
        self._environment = dict(os.environ)
        self._lock = threading.Lock()

    def fits(self, environment: Mapping[str, str]) -> bool:
        changes = environment.items() ^ self._environment.items()
        return all(name.startswith(READ_LATE) for name, _ in changes)

    def fork(
        self, arguments: Sequence[str], environment: Mapping[str, str], stderr: BinaryIO
    ) -> Fork:
        order = {
            "arguments": arguments,
            "environment": dict(environment),
            "folder": os.getcwd(),  # noqa: PTH109 - a Path would be made a string again
        }
        reading, writing = os.pipe()
        pid = self._order(order, writing, stderr.fileno())
        os.close(writing)
        return Fork(self, pid, os.fdopen(reading, "rb"))

    def exit_code(self, pid: int) -> int:
        """Of a fork that has ended. Its id is free afterwards."""
        return self._order({"ended": pid})

    def _order(self, order: Mapping[str, object], *descriptors: int) -> int:
        with self._lock:
            socket.send_fds(self._control, [json.dumps(order).encode()], descriptors)
            return int(self._control.recv(32))

    @cached_property
    def _control(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdout=subprocess.DEVNULL,
                env=self._environment,
            )  # fmt: skip
        return ours

    def stop(self) -> None:
        """End all forks, and the template."""
        if "_control" in vars(self):
            self._control.shutdown(socket.SHUT_RDWR)
            self._process.wait()
            self._control.close()


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
