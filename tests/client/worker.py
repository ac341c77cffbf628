"""A worker: a script in a process of its own, with the SDK."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.support.api import Api
from tests.support.server import LONG_ENOUGH, clean_environment

ROOT = Path(__file__).parents[2]


class Worker:
    def __init__(self, spool: Path) -> None:
        self.spool = spool
        self.script = spool.parent / "worker.py"  # a file: spawned children load it again

    def start(self, url: str, script: str, **environment: str) -> subprocess.Popen[str]:
        self.script.write_text(textwrap.dedent(script))
        return subprocess.Popen(
            [sys.executable, str(self.script)],
            env=clean_environment()
            | {"PYTHONFAULTHANDLER": "1"}
            | {"LIVEJOBS_URL": url, "LIVEJOBS_SPOOL": str(self.spool)}
            | environment,
            start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, url: str, script: str, code: int = 0, **environment: str) -> tuple[str, str]:
        """Its output and its errors, once it has ended with this exit code."""
        process = self.start(url, script, **environment)
        try:
            out, errors = process.communicate(timeout=LONG_ENOUGH)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGABRT)  # with its children, and where each of them is
            raise AssertionError(process.communicate()) from None
        assert process.returncode == code, errors
        return out, errors

    @property
    def folders(self) -> list[Path]:
        """What is left in the spool."""
        return [path for path in self.spool.glob("*/*") if path.is_dir()]


def all_logs(api: Api, id: str) -> list[str]:
    lines: list[str] = []
    after: int | None = 0
    while after is not None:
        page = api.get(f"/v1/jobs/{id}/logs", params={"after": after, "limit": 1000}).json()
        lines += [entry["message"] for entry in page["logs"]]
        after = page["next"]
    return lines


def all_results(api: Api, id: str) -> list[object]:
    values: list[object] = []
    after: int | None = 0
    while after is not None:
        page = api.get(f"/v1/jobs/{id}/results", params={"after": after, "limit": 1000}).json()
        values += [entry["value"] for entry in page["results"]]
        after = page["next"]
    return values
