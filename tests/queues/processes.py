"""The sender and the worker of a queue, each in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.support.server import LONG_ENOUGH, clean_environment

ROOT = Path(__file__).parents[2]

SENDER = """
import importlib, json, sys
names = vars(importlib.import_module({module!r}))
for line in sys.stdin:
    print(json.dumps(eval(line, names)), flush=True)
"""


def environment(url: str, spool: Path, **more: str) -> dict[str, str]:
    where = {"LIVEJOBS_URL": url, "LIVEJOBS_SPOOL": str(spool), "PYTHONPATH": str(ROOT)}
    # blockbuster, in some of the apps, patches buffered streams. Python can then crash at its end.
    where["PYTHONUNBUFFERED"] = "1"
    return clean_environment() | where | more


class Sender:
    """Evaluates expressions in a module's names, one after another."""

    def __init__(self, module: str, env: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SENDER.format(module=module)],
            env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __call__(self, expression: str) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        timeout = threading.Timer(LONG_ENOUGH, self.process.kill)
        timeout.start()
        try:
            self.process.stdin.write(expression.replace("\n", " ") + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())
        finally:
            timeout.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.communicate(timeout=LONG_ENOUGH)
        assert self.process.returncode == 0


class Process:
    """A worker with all of its children. What it prints is shown when a test fails."""

    def __init__(self, *command: str, env: Mapping[str, str]) -> None:
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 - __exit__ closes it
        self.process = subprocess.Popen(
            [sys.executable, *command], env=env, cwd=ROOT, start_new_session=True,
            stdout=self.output, stderr=self.output,
        )  # fmt: skip

    def wait(self) -> None:
        assert self.process.wait(LONG_ENOUGH) == 0

    def kill(self) -> None:
        """The worker and its children at once, as when the machine loses power."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.kill()
        print(os.pread(self.output.fileno(), 1 << 20, 0).decode())
        self.output.close()
