"""Run a command of livejobs to its end, as a fork of the servers' template if there is one: a new
Python costs half a second of processor time."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Sequence
from typing import BinaryIO

from tests.support.forked import Fork
from tests.support.server import BIN, LONG_ENOUGH, Server, clean_environment


def livejobs(
    *args: str, before: Sequence[str] = (), **env: str
) -> subprocess.CompletedProcess[str]:
    """`before`: a command that starts it."""
    command = [*before, str(BIN / "livejobs"), *args]
    with tempfile.TemporaryFile() as errors:
        process = _start(command, clean_environment() | env, errors, forked=not before)
        timeout = threading.Timer(LONG_ENOUGH, process.kill)
        timeout.start()
        assert process.stdout is not None
        with process.stdout:
            out = process.stdout.read().decode()
        code = process.wait()
        timeout.cancel()
        errors.seek(0)
        return subprocess.CompletedProcess(command, code, out, errors.read().decode())


def _start(
    command: Sequence[str], env: dict[str, str], errors: BinaryIO, *, forked: bool
) -> subprocess.Popen[bytes] | Fork:
    template = Server.template
    if forked and template is not None and template.fits(env):
        return template.fork(command, env, stderr=errors)
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=errors)
