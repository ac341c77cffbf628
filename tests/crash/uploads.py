"""Drills of files: kill -9 during uploads, and a disk that fills up during one.

Every file has different bytes, so a digest identifies its upload.
"""

from __future__ import annotations

import hashlib
import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

import httpx2

from tests.crash.checker import Broken, integrity
from tests.crash.full_disk import Disk
from tests.support.desk import eventually
from tests.support.server import Server

WORKERS: Final = 6
NAMES: Final = ("a", "b", "c")
SIZES: Final = (0, 100, 70_000, 1_500_000, 4_000_000)
PIECE: Final = 200_000

Say = Callable[[str], None]


def kept(data: Path) -> Counter[str]:
    """Digests of the files on disk, and of the uploads in progress."""
    found = (path for path in (data / "files").rglob("*") if path.is_file())
    return Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in found)


def expect(held: object, what: str) -> None:
    if not held:
        raise Broken([what])


# kill -9


class Worker:
    """A worker that uploads files of a few names to one job at a time, repeatedly."""

    def __init__(self, port: int, name: str, chance: random.Random) -> None:
        self.port = port
        self.name = name
        self.chance = chance
        self.acknowledged = 0
        self.unanswered = 0
        self._jobs = 0
        self._begin()

    def _begin(self) -> None:
        self._jobs += 1
        self.job = f"/v1/jobs/{self.name}-{self._jobs}"
        self.files: dict[str, str] = {}  # digests of what was acknowledged
        self.trying: tuple[str, str] | None = None  # what was not, or not yet
        self.going = False  # asked to delete it

    def run(self) -> None:
        """Run until the server is gone."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            while True:
                self._step(connection)
        except (OSError, HTTPException):
            connection.close()

    def _step(self, connection: http.client.HTTPConnection) -> None:
        self._ask(connection, "PUT", self.job, b"{}")
        for _ in range(self.chance.randrange(8)):
            data = self.chance.randbytes(self.chance.choice(SIZES))
            name, digest = self.chance.choice(NAMES), hashlib.sha256(data).hexdigest()
            self.trying = name, digest
            self._ask(connection, "PUT", f"{self.job}/files/{name}", data)
            self.files[name], self.trying = digest, None
            self.acknowledged += 1
        if self.chance.random() < 0.3:
            self.going = True
            self._ask(connection, "POST", f"{self.job}/cancel", b"")
            self._ask(connection, "DELETE", self.job, b"")
            self._begin()

    def _ask(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes
    ) -> None:
        headers = {"content-length": str(len(body)), "content-type": "application/json"}
        connection.request(method, path, pieces(body), headers)
        answer = connection.getresponse()
        said = answer.read()
        expect(answer.status < 300, f"{method} {path}: {answer.status} {said.decode()}")

    def check(self, client: httpx2.Client) -> Counter[str]:
        """The job's digests. All but one at most are those that the server acknowledged."""
        answer = client.get(self.job)
        if answer.status_code == 404:
            expect(self.going or not self.files, f"{self.job} is gone with {self.files}")
            self._begin()
            return Counter()
        there: dict[str, str] = {it["name"]: it["sha256"] for it in answer.json()["files"]}
        told = dict(self.files)
        if self.trying is not None and there.get(self.trying[0]) == self.trying[1]:
            told[self.trying[0]] = self.trying[1]
        elif self.trying is not None:
            self.unanswered += 1
        expect(there == told, f"{self.job} has {there}, and was told {self.files} {self.trying}")
        for name, digest in there.items():
            got = client.get(f"{self.job}/files/{name}").content
            expect(hashlib.sha256(got).hexdigest() == digest, f"{self.job} {name}: other bytes")
        if self.going:
            client.post(f"{self.job}/cancel")
            client.delete(self.job).raise_for_status()
            self._begin()
            return Counter()
        self.files, self.trying = there, None
        return Counter(there.values())


def pieces(body: bytes) -> Iterator[bytes]:
    for at in range(0, len(body), PIECE):
        yield body[at : at + PIECE]


def drill(rounds: int, data: Path, seed: int, say: Say) -> None:
    chance = random.Random(seed)
    with Server(data) as server:
        workers = [
            Worker(server.port, f"w{n}", random.Random(chance.random())) for n in range(WORKERS)
        ]
        for at in range(1, rounds + 1):
            left = _run_and_kill(server, workers, chance)
            integrity(data)
            server.restart()
            said = _check(server, workers)
            say(f"round {at}/{rounds}: {left} on disk when it was killed; {said}")
    say(
        f"{rounds} rounds: {sum(it.acknowledged for it in workers)} files acknowledged, each there "
        f"as it was sent until it was replaced or deleted; {sum(it.unanswered for it in workers)} "
        "cut off, nothing of them kept"
    )


def _run_and_kill(server: Server, workers: list[Worker], chance: random.Random) -> int:
    broken: list[Broken] = []

    def run(worker: Worker) -> None:
        try:
            worker.run()
        except Broken as error:
            broken.append(error)

    threads = [threading.Thread(target=run, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    time.sleep(chance.uniform(0.1, 0.8))
    server.kill()
    for thread in threads:
        thread.join()
    if broken:
        raise broken[0]
    return kept(server.data).total()


def _check(server: Server, workers: list[Worker]) -> str:
    expect(not [*(server.data / "files" / "incoming").glob("*")], "something is still coming")
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        owned = sum((worker.check(client) for worker in workers), Counter[str]())
    try:
        eventually(lambda: kept(server.data) == owned)
    except AssertionError:
        there = kept(server.data)
        raise Broken([f"no job has {there - owned}", f"missing: {owned - there}"]) from None
    return f"{owned.total()} files of jobs, and no other"


# A full disk


def full(cycles: int, folder: Path, seed: int, say: Say) -> None:
    chance = random.Random(seed)
    with Disk(folder, 40 << 20) as disk, Server(folder / "data") as server:
        with httpx2.Client(base_url=server.url, timeout=30) as client:
            client.put("/v1/jobs/j").raise_for_status()
            for at in range(1, cycles + 1):
                said = _fill(disk, server, client, chance)
                say(f"cycle {at}/{cycles}: {said}")
        expect("Traceback" not in server.stderr, server.stderr)


def _fill(disk: Disk, server: Server, client: httpx2.Client, chance: random.Random) -> str:
    good = chance.randbytes(500_000)
    digest = _put(client, "good", good).raise_for_status().json()["sha256"]
    eventually(lambda: kept(server.data) == Counter([digest]))
    ballast = disk.fill("ballast", disk.free - (6 << 20))
    large = [chance.randbytes(5_000_000) for _ in range(4)]
    answers = _at_once([partial(_put, client, "good", it) for it in large])
    codes = [_code(answer) for answer in answers]
    expect(set(codes) <= {"ok", "storage_unavailable"}, str(codes))
    expect("storage_unavailable" in codes, f"20 MB fitted in 6: {codes}")
    [file] = client.get("/v1/jobs/j").json()["files"]
    expect(file["sha256"] in {digest, *(hashlib.sha256(it).hexdigest() for it in large)}, str(file))
    eventually(lambda: kept(server.data) == Counter([file["sha256"]]))
    filling = disk.fill("filling")
    answer = _put(client, "more", b"x" * 100_000)
    expect(_code(answer) == "storage_unavailable", answer.text)
    expect(answer.status_code == 503, str(answer.status_code))
    got = client.get("/v1/jobs/j/files/good").content
    expect(hashlib.sha256(got).hexdigest() == file["sha256"], "reads fail on a full disk")
    eventually(lambda: kept(server.data) == Counter([file["sha256"]]))
    for path in (ballast, filling):
        path.unlink()
    _put(client, "good", good).raise_for_status()
    return f"{codes.count('storage_unavailable')} of 4 refused, nothing of them left; then room"


def _put(client: httpx2.Client, name: str, data: bytes) -> httpx2.Response:
    return client.put(f"/v1/jobs/j/files/{name}", content=pieces(data))


def _code(answer: httpx2.Response) -> str:
    said: dict[str, Any] = answer.json()
    return "ok" if answer.is_success else str(said["code"])


def _at_once(asks: list[Callable[[], httpx2.Response]]) -> list[httpx2.Response]:
    answers: list[httpx2.Response] = []
    threads = [threading.Thread(target=lambda it=it: answers.append(it())) for it in asks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(len(answers) == len(asks), "somebody was not answered")
    return answers
