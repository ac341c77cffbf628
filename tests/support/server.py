"""Real servers for tests: processes on free ports, with a clean environment."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tests.support.forked import Fork, Template

BIN = Path(sys.executable).parent
READY = "livejobs ready on "
LONG_ENOUGH = 60.0  # seconds; reached only when something is broken


def hold_port(port: int = 0) -> socket.socket:
    """Reserve a port. The socket is bound but does not listen, so until it is closed no other
    process gets the port by chance, and a process that is given its number can listen there."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", port))
    return held


class DidNotStart(Exception):
    """The process ended, or timed out, before its ready line."""


class Running:
    """A process that prints the ready line. Its command gets `--port PORT`."""

    def __init__(self, *command: str, env: Mapping[str, str] | None = None) -> None:
        self.command = command
        self.env = clean_environment() | dict(env or {})
        self.url = ""
        self.port = 0
        self._held: socket.socket | None = None
        self.start()

    def start(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - _close closes it
        self.process = self._launch([*self.command, "--port", str(self.port)])
        line = self._first_line()
        if not line.startswith(READY):
            self.kill()
            errors = self.stderr
            self._close()
            raise DidNotStart(f"{line!r}\n{errors}")
        self.url = line.removeprefix(READY)
        self.port = urlsplit(self.url).port or 0

    def _launch(self, command: list[str]) -> subprocess.Popen[bytes] | Fork:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._errors, env=self.env)

    def _first_line(self) -> str:
        assert self.process.stdout is not None
        timeout = threading.Timer(LONG_ENOUGH, self.process.kill)
        timeout.start()
        try:
            return self.process.stdout.readline().decode().rstrip("\n")
        finally:
            timeout.cancel()

    @property
    def stderr(self) -> str:
        return os.pread(self._errors.fileno(), 1 << 20, 0).decode()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for the end of the process and return its exit code."""
        code = self.process.wait(LONG_ENOUGH)
        self._keep_port()
        return code

    def rest_of_stdout(self) -> str:
        """Everything after the ready line, until the process ends."""
        assert self.process.stdout is not None
        return self.process.stdout.read().decode()

    def stop(self) -> int:
        self.process.terminate()
        return self.wait()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._keep_port()

    def _keep_port(self) -> None:
        """Reserve the port for a restart: the server of another test might get it."""
        if self.port and self._held is None:
            with suppress(OSError):  # the server listened at another address
                self._held = hold_port(self.port)

    def restart(self) -> None:
        """Stop the process if it runs, and start it again on the same port."""
        if self.process.poll() is None:
            self.stop()
        self._close()
        self.start()

    def _close(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
        self._close()
        if self._held is not None:
            self._held.close()
            self._held = None


class Server(Running):
    """`livejobs serve` with a data folder, which a restart keeps. It is a fork of the template,
    if there is one. `fresh`: start a new Python, for tests of the start itself."""

    template: Template | None = None  # conftest sets it; drills and benches start new Pythons

    def __init__(
        self, data: Path, *args: str, env: Mapping[str, str] | None = None, fresh: bool = False
    ) -> None:
        self.data, self.fresh = data, fresh
        super().__init__(str(BIN / "livejobs"), "serve", "--data", str(data), *args, env=env)

    def _launch(self, command: list[str]) -> subprocess.Popen[bytes] | Fork:
        if self.fresh or self.template is None or not self.template.fits(self.env):
            return super()._launch(command)
        return self.template.fork(command, self.env, stderr=self._errors)


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("LIVEJOBS_")}
