"""Drill: backups under full load. Each is restored, and a server on it is compared with the ledger.

What was acknowledged before a backup began must be there exactly once. What was acknowledged while
it ran may be there: a backup is one state between the two.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Final

import httpx2

from livejobs.backups import backing
from livejobs.config import Settings
from livejobs.copies.counts import Counts
from tests.crash.checker import Broken
from tests.crash.kill import check
from tests.crash.ledger import Book, Ledger, differences
from tests.crash.load import Load
from tests.support import command
from tests.support.postgres import Postgres
from tests.support.server import Server

SHORTEST: Final = 0.3  # seconds of load before a backup
LONGEST: Final = 2.0
LARGEST: Final = 300_000  # bytes of a file


class Unwatched:
    """Nobody watches. Jobs are deleted meanwhile, so files may be left out."""

    def begin(self, counts: Counts) -> None:
        """Nothing to show."""

    def jobs(self, n: int = 1) -> None:
        """Nothing to show."""

    def bytes(self, n: int) -> None:
        """Nothing to show."""

    def warn(self, text: str) -> None:
        """The check of files decides."""


class Uploads:
    """A worker that uploads files, and deletes some of its jobs."""

    def __init__(self, server: Server, seed: int) -> None:
        self.kept: dict[str, str] = {}  # digests of acknowledged files, by job
        self.deleted: set[str] = set()  # also those whose deletion was not answered yet
        self._url = server.url
        self._chance = random.Random(f"{seed} files")
        self._number = 0

    async def run(self, enough: asyncio.Event) -> None:
        async with httpx2.AsyncClient(base_url=self._url, timeout=60) as client:
            while not enough.is_set():
                await self._upload(client)
                if len(self.kept) > 5 and self._chance.random() < 0.3:
                    await self._delete(client, self._chance.choice(sorted(self.kept)))

    async def _upload(self, client: httpx2.AsyncClient) -> None:
        id = f"file-{self._number}"
        self._number += 1
        data = self._chance.randbytes(self._chance.randrange(LARGEST))
        digest = hashlib.sha256(data).hexdigest()
        made = await client.put(f"/v1/jobs/{id}", json={"project": "files"})
        sent = await client.put(f"/v1/jobs/{id}/files/out.bin", content=data)
        ended = await client.post(f"/v1/jobs/{id}/reports", json={"type": "succeed"})
        assert (made.status_code, sent.status_code, ended.status_code) == (201, 201, 200)
        assert sent.json()["sha256"] == digest
        self.kept[id] = digest

    async def _delete(self, client: httpx2.AsyncClient, id: str) -> None:
        self.deleted.add(id)
        del self.kept[id]
        answer = await client.delete(f"/v1/jobs/{id}")
        assert answer.status_code == 204, answer.text


async def drill(
    rounds: int,
    folder: Path,
    seed: int,
    say: Callable[[str], None],
    *,
    longest: float = LONGEST,
    postgres: Postgres | None = None,
    database: str | None = None,
) -> None:
    """With `postgres`, each backup also goes there, and comes back from there. `database`: that of
    the server under load, if not SQLite."""
    ledger, chance = Ledger(), random.Random(seed)
    with Server(folder / "data", env=environment(database)) as server:
        load, uploads = Load(ledger, server.port, seed), Uploads(server, seed)
        for at in range(1, rounds + 1):
            vault = folder / "vault"
            owed, files, told = await _under_load(
                load, uploads, Settings(data=server.data, database=database), vault, chance, longest
            )
            way = await _restored(folder / f"round{at}", vault, owed, files, postgres, f"round{at}")
            say(f"round {at}/{rounds}: {told}; {way}")
    say(f"{rounds} backups under load: each was restored, and kept what it owed")


async def _under_load(
    load: Load,
    uploads: Uploads,
    settings: Settings,
    vault: Path,
    chance: random.Random,
    longest: float,
) -> tuple[Ledger, Mapping[str, str], str]:
    running = asyncio.create_task(load.run())
    uploading = asyncio.create_task(uploads.run(load.enough))
    both = [running, uploading]
    while not _is_busy(load, uploads) and not any(task.done() for task in both):
        await asyncio.wait(both, timeout=0.02)  # how long a start takes depends on the machine
    await asyncio.wait(both, timeout=chance.uniform(SHORTEST, longest))
    before, files, gone = deepcopy(load.ledger), dict(uploads.kept), set(uploads.deleted)
    # In this process: the start of another one would give the server seconds to write its log back.
    await asyncio.to_thread(backing.backup, settings, str(vault), Unwatched(), keep=2)
    after, deleted = deepcopy(load.ledger), uploads.deleted - gone
    load.enough.set()
    await asyncio.gather(*both)
    told = (
        f"{before.acknowledged} reports acknowledged before the backup, "
        f"{after.acknowledged - before.acknowledged} while it ran"
    )
    files = {id: digest for id, digest in files.items() if id not in deleted}
    return owed_by(before, after), files, told


def _is_busy(load: Load, uploads: Uploads) -> bool:
    return load.ledger.acknowledged > 500 and len(uploads.kept) > 2


def owed_by(before: Ledger, after: Ledger) -> Ledger:
    """The ledger of a server that has a state between the two: what was acknowledged before, and
    perhaps some of the rest. Cursors begin anew."""
    ledger = deepcopy(after)
    ledger.feeds = {}
    for title, book in ledger.books.items():
        _reopen(book, before.books.get(title))
    return ledger


def _reopen(book: Book, was: Book | None) -> None:
    there = was is not None and (was.born or was.found)
    book.born, book.found = there, False
    if book.gone and (was is None or not was.gone):
        book.gone, book.deleting = False, True
    book.seq, book.seen, book.final, book.last = 0, {}, None, None
    for name, voice in book.voices.items():
        earlier = was.voices.get(name) if was is not None else None
        voice.acked = earlier.acked if earlier else 0
        voice.kept = max(voice.acked, earlier.kept) if earlier else 0
        voice.whole, voice.cursor = False, 0
    if was is not None and was.final is not None:
        book.promised = was.final.facts


async def _restored(
    folder: Path,
    vault: Path,
    owed: Ledger,
    files: Mapping[str, str],
    postgres: Postgres | None,
    name: str,
) -> str:
    """Restore the newest backup and check it. Return how."""
    ways = [await _checked(folder / "sqlite", vault, deepcopy(owed), files, None)]
    if postgres is not None:
        url, again = postgres.database(name), folder / "vault"
        ways.append(await _checked(folder / "pg", vault, deepcopy(owed), files, url))
        await livejobs("backup", str(again), data=folder / "pg", database=url)
        ways.append(await _checked(folder / "back", again, deepcopy(owed), files, None))
    return ", ".join(ways)


async def _checked(
    data: Path, vault: Path, owed: Ledger, files: Mapping[str, str], database: str | None
) -> str:
    await livejobs("restore", str(vault), data=data, database=database)
    with Server(data, env=environment(database)) as server:
        jobs, seconds = await check(owed, server, everything=True)
        _check_finished(owed)
        await _check_files(server, files)
        server.stop()
    kind = "SQLite" if database is None else "PostgreSQL"
    return f"{kind}: {jobs} jobs and {len(files)} files checked in {seconds:.1f} s"


def _check_finished(owed: Ledger) -> None:
    """A job that was finished before the backup is as it was, except for its cursor."""
    for book in owed.books.values():
        if book.promised is not None and book.last is not None:
            last = {name: book.last.get(name) for name in book.promised}
            wrong = differences(book.promised, last)
            wrong.pop("cursor", None)
            if wrong:
                raise Broken([f"{book.title}: restored with {wrong}"])


async def _check_files(server: Server, files: Mapping[str, str]) -> None:
    """Acknowledged files are there, and all files that jobs name have their digests."""
    async with httpx2.AsyncClient(base_url=server.url, timeout=60) as client:
        page = (await client.get("/v1/jobs?project=files&limit=1000")).json()
        named = {job["id"]: job["files"][0]["sha256"] for job in page["jobs"] if job["files"]}
        if not files.items() <= named.items():
            raise Broken([f"missing files: {sorted(files.keys() - named.keys())}"])
        for id, digest in named.items():
            answer = await client.get(f"/v1/jobs/{id}/files/out.bin")
            if hashlib.sha256(answer.content).hexdigest() != digest:
                raise Broken([f"the file of {id}: {answer.status_code}, and other bytes"])


def environment(database: str | None) -> dict[str, str]:
    return {} if database is None else {"LIVEJOBS_DATABASE": database}


async def livejobs(*args: str, data: Path, database: str | None = None) -> None:
    env = {"LIVEJOBS_DATA": str(data)} | environment(database)
    done = await asyncio.to_thread(partial(command.livejobs, *args, **env))
    if done.returncode:
        said = done.stdout + done.stderr
        raise Broken([f"livejobs {args[0]} ended with {done.returncode}: {said}"])
