"""A database of every earlier schema is migrated, and then serves the same jobs."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from io import BytesIO
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from livejobs.store.audit import AuditRecord
from livejobs.store.base import Change, EntryQuery, Query, Store
from livejobs.store.keys import Key
from livejobs.store.postgres import opening
from livejobs.store.postgres.opening import first_connection
from livejobs.store.postgres.store import PostgresStore
from livejobs.store.sqlite import sql as sqlite_sql
from livejobs.store.sqlite.opening import migrate
from livejobs.store.sqlite.store import SqliteStore
from tests.copies.places import T0, done, everything, file, job, logs
from tests.support.postgres import Postgres
from tests.support.server import DidNotStart, Server

SQLITE = range(1, len(sqlite_sql.MIGRATIONS) + 1)
POSTGRES = range(1, len(opening.MIGRATIONS) + 1)
LATER = ("keys", "audit", "downloads", "history")  # what the first schema did not have


async def fill(store: Store) -> None:
    """Jobs of all states. None is stalled: sqlite/test_migrations.py has a test of that."""
    await store.project("default")
    finished = done("a", type="render", tags=("x",), files=(file(1, b"film"),), logs_total=3)
    queued = done("a", status="queued", started_at=None, completed_at=None, type="render")
    await store.commit([Change(None, queued), Change(queued, finished, tuple(logs(3)))])
    await store.commit([Change(None, job("b", title="Teaser", parent="a", producers={"p": 7}))])
    running = job("c", status="running", started_at=T0, meta={"n": 1})
    await store.commit([Change(None, running), Change(None, job("d")), Change(job("d"), None)])
    act = AuditRecord(T0, "operator", "key.create", job="a")
    await store.save_key(Key("k", "ci", b"\0" * 32, ("view",), None, T0), act)


async def shown(store: Store) -> dict[str, Any]:
    """What clients can see, also by the tables that lists and searches use."""
    queries = [
        Query(None, type="render"),
        Query(None, tag="x"),
        Query(None, parent="a"),
        Query(None, q="tease"),
        Query(None, statuses=("running",)),
    ]
    pages = [await store.list(query, limit=9) for query in queries]
    return {
        **await everything(store),
        "lists": [[stored.head.id for stored in page.jobs] for page in pages],
        "counts": dict(await store.counts(Query(None))),
        "epochs": [(project.epoch, project.seq) for project in await store.projects()],
        "changes": await store.changes("default", 0, limit=99),
    }


def without(state: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name not in names}


async def works(store: Store) -> None:
    """The next commit, which writes every kind of row."""
    before = await store.job("c")
    assert before is not None
    after = done("c", started_at=T0, meta={"n": 1}, files=(file(2, b"x"),), logs_total=3)
    await store.commit([Change(before.head, after, tuple(logs(3)))])
    assert len(await store.entries(EntryQuery("c", "logs"))) == 3
    assert (await store.counts(Query(None)))["succeeded"] == 2
    assert await store.known_files([file(2, b"x").key]) == {file(2, b"x").key}


# SQLite


def columns(db: sqlite3.Connection, schema: str) -> dict[str, list[str]]:
    """The columns of each table that rows can be copied to and from."""
    tables = db.execute(
        f"SELECT name FROM {schema}.sqlite_schema WHERE type = 'table'"
        " AND name NOT LIKE 'search%' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    return {
        name: [row[1] for row in db.execute(f"PRAGMA {schema}.table_info({name})")]
        for (name,) in tables
    }


def older(path: Path, newest: Path, version: int) -> None:
    """A database of this version with the rows of the newest one."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, sqlite_sql.MIGRATIONS[:version])
        db.execute("ATTACH ? AS new", (str(newest),))
        here, there = columns(db, "main"), columns(db, "new")
        for table in here.keys() & there.keys():
            names = ", ".join(name for name in here[table] if name in there[table])
            db.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM new.{table}")
        db.execute(
            "INSERT INTO search (rowid, id, title) SELECT pk, lower(id),"
            " coalesce(lower(json_extract(CAST(head AS TEXT), '$.title')), '') FROM jobs"
        )


@asynccontextmanager
async def opened(store: Store) -> AsyncIterator[Store]:
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.mark.parametrize("version", SQLITE)
async def test_every_sqlite_schema_is_migrated_and_serves_the_same_jobs(
    version: int, tmp_path: Path
) -> None:
    async with opened(SqliteStore(tmp_path / "newest.db")) as store:
        await fill(store)
        was = await shown(store)
    old = tmp_path / "livejobs.db"
    await asyncio.to_thread(older, old, tmp_path / "newest.db", version)
    async with opened(SqliteStore(old)) as store:
        missing = LATER if version < len(SQLITE) else ()
        assert without(await shown(store), missing) == without(was, missing)
        await works(store)


def test_a_server_on_the_first_schema_serves_its_jobs(tmp_path: Path) -> None:
    async def made() -> None:
        async with opened(SqliteStore(tmp_path / "newest.db")) as store:
            await fill(store)

    asyncio.run(made())
    data = tmp_path / "data"
    data.mkdir()
    older(data / "livejobs.db", tmp_path / "newest.db", 1)
    with Server(data) as server, httpx2.Client(base_url=server.url) as client:
        jobs = client.get("/v1/jobs").json()["jobs"]
        assert [(it["id"], it["status"]) for it in jobs] == [
            ("c", "running"),
            ("b", "queued"),
            ("a", "succeeded"),
        ]
        assert len(client.get("/v1/jobs/a/logs").json()["logs"]) == 3
        client.post("/v1/jobs/c/reports", json={"type": "succeed"}).raise_for_status()
        server.restart()
        assert client.get("/v1/jobs/c").json()["status"] == "succeeded"


# PostgreSQL

COLUMNS = (
    "SELECT table_name, column_name FROM information_schema.columns"
    " WHERE table_schema = 'livejobs' AND table_name NOT IN ('meta', 'nodes', 'facts')"
)


async def columns_of(db: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for table, name in await db.fetch(COLUMNS):
        found.setdefault(table, []).append(name)
    return found


async def older_database(url: str, newest: str, version: int) -> None:
    """As `older`."""
    db = await first_connection(url, opening.MIGRATIONS[:version])
    source = await asyncpg.connect(newest)
    here, there = await columns_of(db), await columns_of(source)
    for table in here.keys() & there.keys():
        names = [name for name in here[table] if name in there[table]]
        rows = BytesIO()
        await source.copy_from_table(table, schema_name="livejobs", columns=names, output=rows)
        rows.seek(0)
        await db.copy_to_table(table, schema_name="livejobs", columns=names, source=rows)
    await db.execute("SELECT setval('livejobs.pks', 1000)")
    await db.execute("ALTER TABLE livejobs.acts ALTER COLUMN n RESTART WITH 1000")
    await db.close()
    await source.close()


@pytest.mark.parametrize("version", POSTGRES)
async def test_every_postgresql_schema_is_migrated_and_serves_the_same_jobs(
    version: int, postgres: Postgres
) -> None:
    newest = postgres.database(f"newest{version}")
    async with opened(PostgresStore(newest)) as store:
        await fill(store)
        was = await shown(store)
    old = postgres.database(f"older{version}")
    await older_database(old, newest, version)
    async with opened(PostgresStore(old)) as store:
        assert await shown(store) == was
        await works(store)


# Nodes of two versions


def test_a_node_goes_on_when_a_newer_node_migrates_its_database(
    postgres: Postgres, tmp_path: Path
) -> None:
    """As in a rolling upgrade: the new node comes first, the old ones end later."""
    url = postgres.database("rolling")
    more = tmp_path / "more.sql"
    tables = ("projects", "jobs", "heads", "entries", "labels", "files")
    wider = "".join(f"ALTER TABLE livejobs.{name} ADD COLUMN later int;" for name in tables)
    more.write_text(f"{wider} CREATE TABLE livejobs.later (n int)")
    env = {"LIVEJOBS_DATABASE": url}
    with (
        Server(tmp_path / "data", env=env) as server,
        httpx2.Client(base_url=server.url) as client,
    ):
        client.put("/v1/jobs/old").raise_for_status()
        log = {"type": "log", "message": "x"}
        client.post("/v1/jobs/old/reports", json=log).raise_for_status()

        async def newer() -> None:
            async with opened(PostgresStore(url, migrations=(*opening.MIGRATIONS, more))) as it:
                await it.commit([Change(None, job("new"))])
                answers = await asyncio.to_thread(reports)
                assert answers == [200] * 5

        def reports() -> list[int]:
            sent = [client.post("/v1/jobs/old/reports", json=log).status_code for _ in range(3)]
            listed = client.get("/v1/jobs?q=old").status_code
            return [*sent, listed, client.get("/v1/jobs/new").status_code]

        asyncio.run(newer())
        assert client.get("/v1/jobs/old").json()["logs_total"] == 4
        with pytest.raises(DidNotStart) as refused:
            server.restart()
        assert "was written by a newer livejobs (schema" in str(refused.value)
        server.process.wait()
