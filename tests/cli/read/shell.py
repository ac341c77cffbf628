"""The installed command in a process of its own, through pipes or in a terminal."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import tempfile
import termios
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.forked import Template
from tests.support.server import BIN, LONG_ENOUGH, clean_environment

LIVEJOBS = str(BIN / "livejobs")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
HOME = "\x1b[H"  # every drawing begins with it
MAIN_SCREEN = "\x1b[?1049l"  # what ends the alternate screen


class Shell:
    """`run` and `out` fork the template, if there is one; `start` and `terminal` never do."""

    template: Template | None = None  # conftest sets it

    def __init__(self, url: str, **environment: str) -> None:
        self.url = url
        self.environment = {
            **clean_environment(), "LIVEJOBS_URL": url, "TZ": "UTC", "TERM": "xterm-256color",
            **environment,
        }  # fmt: skip
        for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
            self.environment.pop(name, None)

    def run(
        self, *words: str, input: str | bytes = b"", cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        data = input.encode() if isinstance(input, str) else input
        if self.template is not None and self.template.fits(self.environment):
            return self._fork(self.template, words, data, cwd)
        done = subprocess.run(
            [LIVEJOBS, *words], env=self.environment, input=data, cwd=cwd,
            capture_output=True, timeout=LONG_ENOUGH, check=False,
        )  # fmt: skip
        return subprocess.CompletedProcess(
            words, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    def _fork(
        self, template: Template, words: Sequence[str], data: bytes, folder: Path | None
    ) -> subprocess.CompletedProcess[str]:
        reading, writing = os.pipe()
        with tempfile.TemporaryFile() as errors:
            process = template.fork(
                [LIVEJOBS, *words], self.environment, stdin=reading, stderr=errors, folder=folder
            )
            os.close(reading)
            threading.Thread(target=feed, args=(writing, data)).start()
            with process.stdout:
                out = process.stdout.read().decode()
            code = process.wait(LONG_ENOUGH)
            errors.seek(0)
            return subprocess.CompletedProcess(words, code, out, errors.read().decode())

    def out(self, *words: str, input: str | bytes = b"") -> str:
        """What it prints; it must succeed and say nothing else."""
        done = self.run(*words, input=input)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [LIVEJOBS, *words], env=self.environment, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def terminal(self, *words: str, width: int = 80, height: int = 24) -> Terminal:
        return Terminal([LIVEJOBS, *words], self.environment, width, height)


def feed(pipe: int, data: bytes) -> None:
    """Write all, unless the reader ends."""
    with suppress(BrokenPipeError), os.fdopen(pipe, "wb") as file:
        file.write(data)


class Terminal:
    """A command on a pty of its own, which is its controlling terminal."""

    def __init__(
        self, command: list[str], environment: dict[str, str], width: int, height: int
    ) -> None:
        self._master, slave = pty.openpty()
        self.resize(width, height)
        self.before = termios.tcgetattr(slave)
        self._slave = slave
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command],  # it executes the command in its own place
            env=environment, stdin=slave, stdout=slave, stderr=slave,
        )  # fmt: skip
        self._text = ""
        self._seen = 0  # drawings
        self._found = ""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def resize(self, width: int, height: int) -> None:
        size = struct.pack("HHHH", height, width, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # closed
                return
            with self._changed:
                self._text += decoder.decode(data)
                self._changed.notify_all()

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def until(self, *texts: str) -> str:
        """Wait until one drawing has all of these texts, after the one that was waited for before.
        Returns it, without escape sequences. The screen is drawn once a second at least."""

        def found() -> bool:
            drawings = self._text.split(HOME)
            for at in range(self._seen, len(drawings)):
                plain = ESCAPES.sub("", drawings[at])
                if all(text in plain for text in texts):
                    self._seen, self._found = at + 1, plain
                    return True
            return False

        with self._changed:
            assert self._changed.wait_for(found, LONG_ENOUGH), self._text[-4000:]
            return self._found

    def ended(self) -> tuple[int, str]:
        """The exit code, and what stays on the main screen."""
        code = self.process.wait(LONG_ENOUGH)
        os.write(self._slave, b"\0")  # all that was printed comes before this
        with self._changed:
            assert self._changed.wait_for(lambda: self._text.endswith("\0"), LONG_ENOUGH)
        left = self._text.rpartition(MAIN_SCREEN)[2].rstrip("\0")
        return code, ESCAPES.sub("", left).replace("\r\n", "\n")

    @property
    def raw(self) -> str:
        return self._text

    @property
    def restored(self) -> bool:
        """Whether the terminal works as it did before the command."""
        return termios.tcgetattr(self._slave) == self.before

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self._slave)
        self._reader.join(LONG_ENOUGH)  # it ends when nobody has the other side open
        os.close(self._master)
