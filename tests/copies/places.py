"""Servers' places (a data folder, perhaps with a database), what they hold, and the commands."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from msgspec import Raw

from livejobs.cli.main import main
from livejobs.config import Settings
from livejobs.copies.counts import Counts
from livejobs.copies.incoming.batches import born
from livejobs.core.history import RANGES
from livejobs.core.hooks import Hook
from livejobs.core.model import KINDS, Entry, EntryKind, File, Head
from livejobs.files.areas.local import LocalArea
from livejobs.files.threads import Threads
from livejobs.store.base import Change, EntryQuery, Query, Store
from livejobs.store.choice import store_of
from tests.support.command import livejobs
from tests.support.server import BIN, clean_environment

T0 = 1_767_323_045_678
MOST = 10**6


class Unwatched:
    """Nobody watches; a warning is an error."""

    def begin(self, counts: Counts) -> None:
        """Nothing to show."""

    def jobs(self, n: int = 1) -> None:
        """Nothing to show."""

    def bytes(self, n: int) -> None:
        """Nothing to show."""

    def warn(self, text: str) -> None:
        raise AssertionError(text)


class Place:
    def __init__(self, data: Path, database: str | None = None) -> None:
        self.data = data
        self.database = database
        self.env = {"LIVEJOBS_DATA": str(data)}
        if database is not None:
            self.env["LIVEJOBS_DATABASE"] = database

    def run(self, *args: str) -> Result:
        """Run a command in this process, which costs no start."""
        env = dict.fromkeys(set(os.environ) - set(clean_environment()))
        return CliRunner().invoke(main, args, env=env | self.env)

    def process(self, *args: str, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        return livejobs(*args, before=prefix, **self.env)

    def start(self, *args: str) -> subprocess.Popen[str]:
        env = clean_environment() | self.env
        return subprocess.Popen([str(BIN / "livejobs"), *args], env=env, text=True)

    @property
    def settings(self) -> Settings:
        return Settings(data=self.data, database=self.database)

    def fill(self, heads: Sequence[tuple[Head, Sequence[Entry]]]) -> None:
        async def filled(store: Store) -> None:
            for head, entries in heads:
                await store.project(head.project)
                changes = born(head)
                await store.commit([*changes, Change(changes[-1].after, head, tuple(entries))])

        self.use(filled)

    def use(self, fn: Any) -> Any:
        async def used() -> Any:
            store = store_of(self.data, self.database)
            await store.open()
            try:
                return await fn(store)
            finally:
                await store.close()

        self.data.mkdir(exist_ok=True)
        return asyncio.run(used())

    def keep(self, key: str, data: bytes) -> None:
        """Put the bytes of a file into the file area."""
        place = LocalArea(self.data / "files", Threads(1, "none")).place(key)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def files(self) -> dict[str, bytes]:
        found = (self.data / "files").glob("??/*")
        return {path.name: path.read_bytes() for path in found}

    def jobs(self) -> dict[str, Any]:
        return dict(self.use(everything)["jobs"])

    def everything(self) -> dict[str, Any]:
        return {**self.use(everything), "files": self.files()}


async def everything(store: Store) -> dict[str, Any]:
    """All that a copy must bring, in order."""
    page = await store.list(Query(None), limit=MOST)
    heads = [stored.head for stored in page.jobs]
    range = RANGES["week"]
    history = await store.history(None, range, range.since(T0))
    keys = [file.key for head in heads for file in head.files]
    return {
        "projects": [project.name for project in await store.projects()],
        "jobs": [(head.id, (head, await entries(store, head.id))) for head in heads],
        "history": {at: dict(step) for at, step in history.steps.items()},
        "downloads": dict(await store.downloads(keys)),
        "keys": list(await store.keys()),
        "hooks": list(await store.hooks()),
        "audit": [entry.record for entry in await store.audit(limit=MOST)],
    }


async def entries(store: Store, id: str) -> list[tuple[EntryKind, int, int, bytes]]:
    found: list[tuple[EntryKind, int, int, bytes]] = []
    for kind in KINDS:
        records = await store.entries(EntryQuery(id, kind, limit=MOST, most_bytes=None))
        found += [(kind, it.entry.n, it.entry.level, bytes(it.entry.value)) for it in records]
    return found


def job(id: str, **fields: Any) -> Head:
    facts: dict[str, Any] = dict.fromkeys(("created_at", "updated_at", "queued_at"), T0)
    return Head(**{"id": id, "owner": "key:ci", "project": "default", **facts, **fields})


def done(id: str, **fields: Any) -> Head:
    """A job that ran for four seconds."""
    times = {"started_at": T0 + 1000, "completed_at": T0 + 5000, "updated_at": T0 + 5000}
    return job(id, **{"status": "succeeded", **times, **fields})


def logs(count: int, size: int = 20) -> list[Entry]:
    text = b"x" * size
    return [Entry("logs", n, 1, Raw(b'{"n":%d,"m":"%s"}' % (n, text))) for n in range(1, count + 1)]


def hook(n: int, **fields: Any) -> Hook:
    """A webhook of a project."""
    url, by = f"https://hooks.example/{n}", "key:ci"
    facts = {"secret": f"whsec_{n}", **fields}
    return Hook(f"wh_{n:024x}", "default", url, ("created", "failed"), "standard", T0, by, **facts)


def file(n: int, data: bytes, name: str = "out.mp4") -> File:
    digest = hashlib.sha256(data).hexdigest()
    return File(name, len(data), "video/mp4", digest, T0, key=f"{n:032x}")
