"""Two servers on one PostgreSQL, with one folder for their files."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from tests.support.api import Api
from tests.support.postgres import Postgres
from tests.support.server import LONG_ENOUGH, Server

ADMIN: Final = "the-first-admin-key"
LOST_AFTER: Final = 30  # seconds; longer than any other test needs


class Node(Server):
    """A server, and a client of it with all rights."""

    def start(self) -> None:
        super().start()
        self.api = Api(self.url)
        self.api.headers["authorization"] = f"Bearer {ADMIN}"

    def client(self, key: str) -> Api:
        api = Api(self.url)
        api.headers["authorization"] = f"Bearer {key}"
        return api

    def _close(self) -> None:
        self.api.close()
        super()._close()


class Cluster:
    """`first` leads, until it is killed."""

    def __init__(self, folder: Path) -> None:
        self.postgres = Postgres()
        url = self.postgres.database("nodes")
        self._how = ("--database", url, "--lost-after", str(LOST_AFTER))
        self._folder = folder
        self.first, self.second = self._node(), self._node()

    def _node(self) -> Node:
        env = {
            "LIVEJOBS_ADMIN_KEY": ADMIN,
            "LIVEJOBS_FACES": "streams,a2a",
            "LIVEJOBS_WEBHOOK_ALLOW_PRIVATE": "127.0.0.1",
        }
        return Node(self._folder / "data", *self._how, env=env)

    @property
    def urls(self) -> list[str]:
        return [self.first.url, self.second.url]

    def kill_first(self) -> None:
        """Kill the node that leads. The other becomes the first."""
        self.first.kill()
        self.first, self.second = self.second, self.first

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for node in (self.first, self.second):
            assert "Traceback" not in node.stderr, node.stderr
            node.__exit__(*exc)
        self.postgres.__exit__(*exc)


def until(reads: Callable[[], Any], good: Callable[[Any], object]) -> Any:
    """Read again and again, until the value is good. Return it."""
    deadline = time.monotonic() + LONG_ENOUGH
    while not good(value := reads()):
        assert time.monotonic() < deadline, f"the last value was {value}"
        time.sleep(0.05)  # leave the processor to the servers
    return value
