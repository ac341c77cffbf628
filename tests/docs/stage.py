"""Where the shell commands of the docs run: a folder, and the programs that they name.

Lines that are only commands of ours run in forks of the template, which cost no start. bash runs
the rest.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from tests.support.forked import Fork
from tests.support.server import BIN, LONG_ENOUGH, Server, clean_environment

LIVEJOBS: Final = str(BIN / "livejobs")
FOR_BASH: Final = frozenset("|&;<>$*~`")  # a word with one of them
# Nothing is installed: tests/release installs the package.
PIP: Final = '#!/bin/sh\n[ "$1" = install ] && [ "$2" = livejobs ]\n'
WORKER: Final = """#!/bin/sh
echo '{"type": "log", "message": "from a worker"}'
"""


class Stage:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**clean_environment(), "LIVEJOBS_SPOOL": str(folder / "spool")}
        self._programs = folder / "bin"
        self._programs.mkdir()
        for name, text in (("pip", PIP), ("worker", WORKER)):
            (self._programs / name).write_text(text)
            (self._programs / name).chmod(0o755)

    def run(self, text: str, changes: Mapping[str, str] = {}) -> str:
        """Run a block, with what its reader would write in place of examples, which must be there.
        Every command must succeed. Returns all that they print."""
        for old, new in changes.items():
            assert old in text, (old, text)
            text = text.replace(old, new)
        return "".join(map(self._line, text.splitlines()))

    def _line(self, line: str) -> str:
        words = shlex.split(line, comments=True)
        ours = words[:1] == ["livejobs"] and not FOR_BASH & set("".join(words))
        match words:
            case ["export", word]:
                name, _, value = word.partition("=")
                self.environment[name] = value
                return ""
            case ["livejobs", "serve", *_] if ours:
                return self._begin([*words, "--port", "0"])
            case ["livejobs", "watch"]:
                return self._begin(words)
            case _:
                return self._ours(words) if ours else self._bash(line)

    def _begin(self, words: Sequence[str]) -> str:
        """What never ends by itself: until its first line."""
        with self._forked(words) as (process, errors):
            line = process.stdout.readline().decode()
            process.kill()
            process.wait(LONG_ENOUGH)
            assert line, _read(errors)
            return line

    def _ours(self, words: Sequence[str]) -> str:
        with self._forked(words) as (process, errors):
            said = process.stdout.read().decode()
            code = process.wait(LONG_ENOUGH)
            said += _read(errors)
            assert code == 0, (words, said)
            return said

    @contextmanager
    def _forked(self, words: Sequence[str]) -> Iterator[tuple[Fork, BinaryIO]]:
        template, command = Server.template, [LIVEJOBS, *words[1:]]
        assert template is not None
        assert template.fits(self.environment)
        with tempfile.TemporaryFile() as errors, Path(os.devnull).open() as nothing:
            process = template.fork(
                command, self.environment,
                stdin=nothing.fileno(), stderr=errors, folder=self.folder,
            )  # fmt: skip
            with process.stdout:
                yield process, errors

    def _bash(self, line: str) -> str:
        path = f"{self._programs}:{BIN}:{os.environ['PATH']}"
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=self.folder, env={**self.environment, "PATH": path}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            timeout=LONG_ENOUGH,
        )  # fmt: skip
        assert ran.returncode == 0, (line, ran.stdout)
        return ran.stdout


def _read(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode()
