"""`livejobs run` as a user starts it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.server import BIN, LONG_ENOUGH, clean_environment

ELSEWHERE = "127.1"  # the server's own address, which looks like one that a phone can open


class Finished(NamedTuple):
    out: bytes
    errors: str
    code: int

    @property
    def job(self) -> str:
        """The id in the link."""
        return job_in(self.errors)


def job_in(text: str) -> str:
    found = re.search(r"livejobs: http\S+/jobs/([\w-]+)", text)
    assert found, text
    return found[1]


class Runner:
    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder

    def command(self, *arguments: str) -> list[str]:
        return [str(BIN / "livejobs"), "run", *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        places = {"LIVEJOBS_URL": self.url, "LIVEJOBS_SPOOL": str(self.folder / "spool")}
        return clean_environment() | places | more

    def start(self, *arguments: str, **more: Any) -> subprocess.Popen[bytes]:
        """In a session without a terminal, whatever this process has."""
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment(**more),
            cwd=self.folder,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip

    def run(self, *arguments: str, code: int = 0, input: bytes = b"", **more: str) -> Finished:
        return finish(self.start(*arguments, **more), code, input)

    def delivered(self, done: Finished) -> str:
        """The job, once all of it is on the server. On a busy machine the exit leaves something for
        the next process that uses the spool."""
        while any(path.is_dir() for path in (self.folder / "spool").glob("*/*")):
            finish(self.start("--", "true"), 0)
        return done.job

    def script(self, text: str) -> tuple[str, ...]:
        """A Python program, as a command."""
        return "--", sys.executable, "-c", text


def finish(process: subprocess.Popen[bytes], code: int, input: bytes = b"") -> Finished:
    try:
        out, errors = process.communicate(input, timeout=LONG_ENOUGH)
    finally:
        process.kill()
    assert process.returncode == code, (process.returncode, out[-2000:], errors[-2000:])
    return Finished(out, errors.decode(), process.returncode)
