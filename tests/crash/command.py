"""Run a command of livejobs to its end, by a fork of the servers' template if there is one."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.support.forked import Fork
from tests.support.server import BIN, LONG_ENOUGH, Server, clean_environment


class Done(NamedTuple):
    code: int
    stdout: str
    stderr: str


def livejobs(*args: str, env: Mapping[str, str] | None = None, before: Sequence[str] = ()) -> Done:
    """`before`: a command that starts it."""
    command = [*before, str(BIN / "livejobs"), *args]
    environment = clean_environment() | dict(env or {})
    template = Server.template
    process: subprocess.Popen[bytes] | Fork
    with tempfile.TemporaryFile() as errors:
        if template is not None and not before and template.fits(environment):
            process = template.fork(command, environment, stderr=errors)
        else:
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=errors
            )
        assert process.stdout is not None
        with process.stdout:
            try:
                code = process.wait(LONG_ENOUGH)
            finally:
                process.kill()
            errors.seek(0)
            return Done(code, process.stdout.read().decode(), errors.read().decode())
