"""Peers that vanish: the link goes down, and no packet reports it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.abuse.crowd import LIMITS
from tests.support.server import LONG_ENOUGH, Running

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run(["unshare", "--net", "true"], check=False).returncode != 0,
    reason="a network namespace of its own needs root",
)

IN_A_NAMESPACE = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")


class Alone(Running):
    """A server in a network namespace of its own."""

    def __init__(self, data: Path, *args: str) -> None:
        module = (sys.executable, "-m", "tests.abuse.target", "--limits", json.dumps(LIMITS))
        super().__init__(*IN_A_NAMESPACE, *module, "--data", str(data), *args)

    def inside(self, *command: str) -> list[str]:
        return ["nsenter", "--net", "--target", str(self.process.pid), *command]

    def link(self, state: str) -> None:
        subprocess.run(self.inside("ip", "link", "set", "lo", state), check=True)

    def post(self, path: str, body: str) -> None:
        json_ = ("-H", "content-type: application/json", "-d", body)
        command = self.inside("curl", "-sf", "-o", "/dev/null", *json_, self.url + path)
        subprocess.run(command, check=True)

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def until_at_most(self, descriptors: int) -> float:
        began = time.monotonic()
        while self.descriptors() > descriptors:
            assert time.monotonic() - began < LONG_ENOUGH, self.descriptors()
            time.sleep(0.1)
        return time.monotonic() - began


@contextmanager
def waiting(server: Alone, streams: int, websockets: int) -> Iterator[None]:
    counts = ("j", str(streams), str(websockets))
    command = server.inside(sys.executable, "-m", "tests.abuse.idle", str(server.port), *counts)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield
        process.kill()


def test_connections_of_vanished_peers_are_freed(tmp_path: Path) -> None:
    # While the link is down nothing can be reported. The job stalls, so there is a state to send.
    with Alone(tmp_path / "data", "--heartbeat-timeout", "3") as server:
        server.post("/v1/jobs", '{"id": "j"}')
        server.post("/v1/jobs/j/reports", '{"type": "start"}')
        before = server.descriptors() + 4  # readers of the database
        with waiting(server, 200, 50):
            assert server.descriptors() >= before + 240
            server.link("down")
            print(f"freed after {server.until_at_most(before):.1f} s")
        server.link("up")
        server.post("/v1/jobs/j/reports", '{"type": "heartbeat"}')
        assert server.stop() == 0
