"""A server with files, a client, and helpers for its files."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2 as httpx

from tests.support.server import LONG_ENOUGH, Server


class Desk:
    def __init__(self, tmp: Path, *args: str, env: Mapping[str, str] | None = None) -> None:
        self.root = tmp / "root"
        self.root.mkdir()
        self.data = tmp / "data"
        self.args = ("--files-roots", str(self.root), *args)
        self.server = Server(self.data, *self.args, env=env)
        self.http = httpx.Client(base_url=self.server.url)
        self._jobs = 0

    def job(self) -> str:
        self._jobs += 1
        assert self.http.put(f"/v1/jobs/j{self._jobs}").status_code == 201
        return f"/v1/jobs/j{self._jobs}"

    def put(self, job: str, name: str, data: bytes, **headers: str) -> httpx.Response:
        return self.http.put(f"{job}/files/{name}", content=data, headers=headers)

    def attach(self, job: str, **fields: Any) -> httpx.Response:
        return self.http.post(f"{job}/files", json=fields)

    def files(self, job: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.http.get(job).json()["files"]
        return found

    def kept(self) -> list[Path]:
        """The files on disk."""
        return [path for path in (self.data / "files").rglob("*") if path.is_file()]

    def close(self) -> None:
        self.http.close()
        self.server.__exit__(None, None, None)


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    body: dict[str, Any] = answer.json()
    return body


def digest(data: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


def eventually(condition: Callable[[], object]) -> None:
    """Wait for an action of the server's sweeper, which runs now and then."""
    deadline = time.monotonic() + LONG_ENOUGH
    while not condition():
        assert time.monotonic() < deadline, "the condition was never met"
        time.sleep(0.1)
