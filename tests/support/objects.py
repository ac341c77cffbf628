"""A real S3 server (moto), as a process on a free port."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from typing import Self

import httpx2 as httpx
import obstore
from obstore.store import S3Store

from tests.support.server import hold_port


class ObjectStore:
    """An object store with one bucket. Its clients need `environment`."""

    def __init__(self) -> None:
        self._held = hold_port()
        self.port = self._held.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.files = "s3://bucket/some/files"
        self.environment = {
            "AWS_ENDPOINT": self.url,
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "something",
            "AWS_REGION": "us-east-1",
        }
        self.start()

    def start(self) -> None:
        """Start empty: moto keeps all objects in memory."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)  # leave the processor to the process that starts
        httpx.put(f"{self.url}/bucket").raise_for_status()

    def objects(self) -> list[str]:
        listed = httpx.get(f"{self.url}/bucket?list-type=2").raise_for_status().text
        return [it.partition("</Key>")[0] for it in listed.split("<Key>")[1:]]

    def remove(self, key: str) -> None:
        store = S3Store(
            "bucket",
            endpoint=self.url,
            region="us-east-1",
            access_key_id="someone",
            secret_access_key="something",
            client_options={"allow_http": True},
        )
        obstore.delete(store, key)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
        self._held.close()
