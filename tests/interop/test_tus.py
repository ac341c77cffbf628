"""npm `tus-js-client` uploads a file, while the client and the server are killed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx2

from tests.support.server import LONG_ENOUGH, Server

HERE: Final = Path(__file__).parent


class Client:
    def __init__(self, *args: object) -> None:
        self.process = subprocess.Popen(
            ["node", "clients/tus.mjs", *map(str, args)],
            cwd=HERE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self) -> Iterator[dict[str, Any]]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield json.loads(line)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait(LONG_ENOUGH)
        assert self.process.stdout is not None
        self.process.stdout.close()


def test_an_upload_is_resumed_by_another_process_and_through_a_kill_of_the_server(
    server: Server, tmp_path: Path
) -> None:
    data, path = os.urandom(12_000_000), tmp_path / "film"
    path.write_bytes(data)
    job = server.url + "/v1/jobs/j"
    httpx2.put(job).raise_for_status()
    asked = (job + "/uploads", path, tmp_path / "memory")
    with Client(*asked, 2_000_000) as client:
        said = list(client.says())
    assert said[0] == {"resumed": None}
    assert said[-1]["taken"] >= 2_000_000
    assert httpx2.get(job).json()["files"] == []
    server.kill()
    server.restart()
    with Client(*asked) as client:
        says = client.says()
        assert next(says)["resumed"].startswith(job + "/uploads/")
        assert next(says)["taken"] > 2_000_000
        server.kill()
        server.restart()
        last = list(says)[-1]
        assert "over" in last, last
    [file] = httpx2.get(job).json()["files"]
    assert (file["name"], file["media_type"], file["size"]) == ("film.mp4", "video/mp4", len(data))
    assert file["sha256"] == hashlib.sha256(data).hexdigest()
    assert httpx2.get(server.url + file["url"]).content == data
