"""A network namespace for one node: one cable goes to its clients, and one to PostgreSQL."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final, Self

from tests.support.server import BIN, Running

NETWORK: Final = "10.213.{}.{}"


class Namespace:
    def __init__(self) -> None:
        self._name = f"livejobs-{os.getpid()}"
        self.ours = NETWORK.format(77, 2)  # the node's address for clients
        self.database = NETWORK.format(78, 1)  # PostgreSQL's address for the node
        self.network = NETWORK.format(78, 0) + "/30"

    @staticmethod
    def possible() -> bool:
        """Whether this process may create namespaces and cables, as root."""
        with_ip = subprocess.run(["ip", "netns", "list"], capture_output=True, check=False)
        return os.geteuid() == 0 and with_ip.returncode == 0

    def __enter__(self) -> Self:
        _ip("netns", "add", self._name)
        _ip("-n", self._name, "link", "set", "lo", "up")
        for cable in (77, 78):
            here, there = f"lj{cable}h", f"lj{cable}n"
            _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", self._name)
            _ip("addr", "add", NETWORK.format(cable, 1) + "/30", "dev", here)
            _ip("link", "set", here, "up")
            inside = ("-n", self._name)
            _ip(*inside, "addr", "add", NETWORK.format(cable, 2) + "/30", "dev", there)
            _ip(*inside, "link", "set", there, "up")
        return self

    def __exit__(self, *exc: object) -> None:
        for cable in (77, 78):
            _ip("link", "del", f"lj{cable}h")
        _ip("netns", "del", self._name)

    def plug(self, state: str) -> None:
        """Pull the cable to PostgreSQL (`down`), or plug it in (`up`)."""
        _ip("link", "set", "lj78h", state)

    def serve(self, url: str, folder: Path) -> Running:
        how = ("serve", "--data", str(folder), "--database", url, "--host", self.ours, "--open")
        return Running("ip", "netns", "exec", self._name, str(BIN / "livejobs"), *how)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
