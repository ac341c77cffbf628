"""A terminal window: a pty that controls the session of the command that runs in it."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.support.server import LONG_ENOUGH


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Screen:
    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        columns: int = 80,
        lines: int = 24,
        stdout: int | None = None,
    ) -> None:
        """`stdout`: where output goes instead of the terminal."""
        self.seen = b""
        self._at = 0
        self._master, slave = os.openpty()
        self.resize(columns, lines)
        self.process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=slave,
            stdout=slave if stdout is None else stdout,
            stderr=slave,
            start_new_session=True,
            # No thread of a test holds a lock that this needs.
            preexec_fn=_take_terminal,  # noqa: PLW1509 - see above
        )
        self._slave = slave  # kept open, so that the last output can be read

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    @property
    def attributes(self) -> list[object]:
        return termios.tcgetattr(self._slave)

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def until(self, text: bytes) -> bytes:
        """What is shown up to this text, since the last call."""
        while text not in self.seen[self._at :]:
            self._read()
        end = self.seen.index(text, self._at) + len(text)
        shown, self._at = self.seen[self._at : end], end
        return shown

    def _read(self) -> None:
        ready, _, _ = select.select([self._master], [], [], LONG_ENOUGH)
        assert ready, self.seen
        self.seen += os.read(self._master, 65536)

    def end(self) -> int:
        """The exit code, when all output is read."""
        patience = time.monotonic() + LONG_ENOUGH
        while self.process.poll() is None:
            assert time.monotonic() < patience, self.seen
            if select.select([self._master], [], [], 0.05)[0]:
                self._read()
        while select.select([self._master], [], [], 0)[0]:
            self._read()
        return self.process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)
