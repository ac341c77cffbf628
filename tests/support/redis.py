"""A real Redis, as a process on a free port. It keeps nothing on disk."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from typing import Self

from tests.support.needs import need
from tests.support.server import LONG_ENOUGH, hold_port


class Redis:
    """`url` is its database 0. Each call of `database` gives the URL of another, empty one."""

    def __init__(self) -> None:
        need(program := shutil.which("redis-server"), "redis-server is not installed")
        self._held = hold_port()
        self.port = self._held.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = tempfile.TemporaryDirectory()
        self._databases = 0
        options = {"bind": "127.0.0.1", "dir": self._folder.name, "save": "", "appendonly": "no"}
        options |= {"port": str(self.port), "databases": "100"}
        self.process = subprocess.Popen(
            [str(program), *(part for name in options for part in (f"--{name}", options[name]))],
            stdout=subprocess.DEVNULL,
        )
        self._wait_until_it_listens()

    def _wait_until_it_listens(self) -> None:
        end = time.monotonic() + LONG_ENOUGH
        while True:
            assert self.process.poll() is None, "redis-server ended at once"
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                assert time.monotonic() < end, "redis-server does not listen"
                time.sleep(0.02)  # leave the processor to the process that starts

    def database(self) -> str:
        self._databases += 1
        return f"redis://127.0.0.1:{self.port}/{self._databases}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()
        self._held.close()
        self._folder.cleanup()
