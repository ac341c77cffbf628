"""What only the PostgreSQL store promises: about its databases, its query plans and its faults."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from livejobs.core.errors import StorageUnavailable
from livejobs.core.history import RANGES
from livejobs.core.hooks import Call, Hook
from livejobs.core.model import KINDS
from livejobs.store.base import (
    Change,
    EntryQuery,
    Idempotency,
    Outpaced,
    Project,
    Query,
    StoreUnusable,
)
from livejobs.store.postgres import keeping, link, opening, reading
from livejobs.store.postgres.sql import writing as sql
from livejobs.store.postgres.store import PostgresStore
from livejobs.store.postgres.writing import Writer
from tests.store.contract import (
    FILTERS,
    add,
    create,
    cut,
    delete,
    entry,
    found,
    job,
    numbers,
    tidied,
)
from tests.store.test_postgres_contract import empty
from tests.support.postgres import Postgres
from tests.support.server import hold_port


@asynccontextmanager
async def opened(url: str, **how: Any) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(url, **how)
    await store.open()
    await store.project("default")
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresStore]:
    await empty(database)
    async with opened(database) as store:
        yield store


async def refusal(url: str, **how: Any) -> str:
    """Why the store can't be opened. It names the setting, and no password."""
    with pytest.raises(StoreUnusable) as caught:
        await PostgresStore(url, **how).open()
    sentence = str(caught.value)
    assert sentence.startswith("database (postgresql://127.0.0.1:")
    assert "hunter2" not in sentence
    assert "\n" not in sentence
    return sentence


def url_for(url: str, user: str) -> str:
    return url.replace("postgres@", f"{user}:hunter2@")


# Which databases


@pytest.fixture(scope="session")
def foreign(postgres: Postgres) -> str:
    """A database in which other users may create nothing."""
    postgres.database("foreign")
    for user in ("nobody", "guest", "reader"):
        postgres.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'hunter2'")
    postgres.execute("CREATE SCHEMA livejobs AUTHORIZATION guest", database="foreign")
    postgres.execute("ALTER ROLE reader SET default_transaction_read_only = on")
    return postgres.url_of("foreign")


async def test_what_was_committed_is_there_when_opened_again(database: str) -> None:
    await empty(database)
    async with opened(database, gone_kept=1) as store:
        project = await store.project("default")
        await create(store, job("a"), job("b"), job("c", status="failed"), job("d"))
        await add(store, job("a"), entry(1))
        await delete(store, job("b"), job("d"))
    async with opened(database, gone_kept=1) as again:
        assert await again.projects() == (Project("default", project.epoch, seq=7, floor=6),)
        assert await found(again, Query(None)) == ["c", "a"]
        assert numbers(await again.entries(EntryQuery("a", "logs"))) == [1]
        assert await add(again, job("a"), entry(2)) == 8
        assert await create(again, job("e")) == [9]
        assert await found(again, Query(None)) == ["e", "c", "a"]


async def test_a_database_that_can_not_be_reached_is_refused(postgres: Postgres) -> None:
    with hold_port() as nobody:
        port = nobody.getsockname()[1]
        url = f"postgresql://me:hunter2@127.0.0.1:{port}/jobs"
        assert "can't be reached" in await refusal(url)
    assert "no such database" in await refusal(postgres.url_of("nothing"))
    assert "Correct them" in await refusal(url_for(postgres.url, "stranger"))
    assert "can't be used" in await refusal(postgres.url + "?sslmode=sometimes")
    with pytest.raises(StoreUnusable) as caught:
        await PostgresStore("postgresql://me:hunter2/and@127.0.0.1/jobs").open()
    assert str(caught.value).startswith("database (postgresql://…): the address can't be read. E")


async def test_a_user_without_rights_is_refused_and_nothing_is_changed(
    foreign: str, postgres: Postgres
) -> None:
    before = postgres.execute("SELECT oid FROM pg_class ORDER BY 1", database="foreign")
    owned = url_for(foreign, "guest")
    assert "CREATE EXTENSION pg_trgm" in await refusal(owned)
    assert "is read-only" in await refusal(url_for(foreign, "reader"))
    postgres.execute("ALTER SCHEMA livejobs RENAME TO hidden", database="foreign")
    assert "GRANT CREATE ON DATABASE" in await refusal(url_for(foreign, "nobody"))
    postgres.execute("ALTER SCHEMA hidden RENAME TO livejobs", database="foreign")
    assert postgres.execute("SELECT oid FROM pg_class ORDER BY 1", database="foreign") == before
    postgres.execute("CREATE TABLE livejobs.other (n int)", database="foreign")
    assert "tables of another program" in await refusal(foreign)
    postgres.execute("DROP TABLE livejobs.other", database="foreign")


async def test_an_extension_in_any_schema_is_enough(foreign: str, postgres: Postgres) -> None:
    setup = "CREATE SCHEMA extensions; CREATE EXTENSION pg_trgm SCHEMA extensions"
    postgres.execute(f"{setup}; GRANT USAGE ON SCHEMA extensions TO guest", database="foreign")
    async with opened(url_for(foreign, "guest")) as store:
        await create(store, job("a", title="a long title"))
        assert await found(store, Query(None, q="long")) == ["a"]


async def test_a_database_with_another_encoding_is_refused(postgres: Postgres) -> None:
    postgres.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'")
    assert "UTF8" in await refusal(postgres.url_of("latin"))


async def test_an_old_postgresql_is_refused(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "OLDEST", 990_000)
    assert "Use PostgreSQL 15 or later" in await refusal(database)


class Relay:
    """Stands between a store and PostgreSQL."""

    def __init__(self, url: str, port: int) -> None:
        self._url, self._port = url, port
        self.pid: bytes | None = None  # shown in place of the session's own
        self.swallow = False  # cut the connection in place of the next answer
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return self._url.replace(str(self._port), str(port))

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        await asyncio.gather(*self._running)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.append(task)
        answers, back = await asyncio.open_connection("127.0.0.1", self._port)
        asking = asyncio.create_task(self._ask(reader, back))
        with suppress(OSError):
            while data := await answers.read(65536):
                if self.swallow:
                    self.swallow = False
                    break
                at = data.find(b"K\0\0\0\x0c") + 5
                lie = self.pid is not None and at >= 5
                writer.write(data[:at] + self.pid + data[at + 4 :] if lie and self.pid else data)
        for end in (writer, back):
            end.close()
            with suppress(OSError):
                await end.wait_closed()
        await asking

    async def _ask(self, reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                back.write(data)
        back.close()


async def test_a_pooler_is_refused(database: str, postgres: Postgres) -> None:
    """A pooler answers with a process number of its own."""
    relay = Relay(database, postgres.port)
    relay.pid = b"\0\0\0\1"
    async with relay as url:
        assert "pooler" in await refusal(url)


async def test_one_of_several_servers_leads_and_the_next_takes_over(database: str) -> None:
    async with opened(database) as first, opened(database) as second:
        assert [(await store.pulse([])).leads for store in (first, second)] == [True, False]
        assert [await store.others() for store in (first, second)] == [1, 1]
        await first.close()
        await until_true(lambda: leads(second))
        assert await second.others() == 0


async def test_a_node_that_hangs_loses_the_lead(database: str, postgres: Postgres) -> None:
    async with opened(database) as first, opened(database) as second:
        assert [await leads(store) for store in (first, second)] == [True, False]
        last = f"UPDATE livejobs.nodes SET seen = now() - interval '6 s' WHERE id = '{first._node}'"
        postgres.execute(last, database="contract")
        assert [await leads(store) for store in (second, first)] == [True, False]


async def leads(store: PostgresStore) -> bool:
    return (await store.pulse([])).leads


async def until_true(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await true():  # noqa: ASYNC110  another server tells us nothing
            await asyncio.sleep(0.05)


# Migrations


@pytest.fixture
def later(tmp_path: Path) -> tuple[Path, ...]:
    path = tmp_path / "later.sql"
    path.write_text("CREATE TABLE livejobs.later (n int)")
    return (*opening.MIGRATIONS, path)


async def test_an_older_schema_is_migrated_once_and_then_newer(
    postgres: Postgres, later: tuple[Path, ...]
) -> None:
    url = postgres.database("migrated")
    async with opened(url) as store:
        await create(store, job("a"))
    (later[-1].parent / "wrong.sql").write_text("CREATE TABLE livejobs.wrong (n int); SELECT 1/0")
    broken = (*later, later[-1].parent / "wrong.sql")
    assert "division by zero" in await refusal(url, migrations=broken)
    for _ in range(2):
        async with opened(url, migrations=later) as store:
            assert await found(store, Query(None)) == ["a"]
    newest = len(opening.MIGRATIONS)
    wrong = f"newer livejobs (schema {newest + 1}, this one knows {newest})"
    assert wrong in await refusal(url)
    tables = "SELECT to_regclass('livejobs.later'), to_regclass('livejobs.wrong')"
    assert postgres.execute(tables, database="migrated") == "livejobs.later|"


async def test_a_database_of_version_1_gets_webhooks(postgres: Postgres) -> None:
    url = postgres.database("version_1")
    async with opened(url, migrations=opening.MIGRATIONS[:1]) as store:
        before = await store.project("films")
    async with opened(url) as store:
        assert await store.project("films") == before
        hook = Hook("h", "films", "https://a.example/", ("created",), "standard", 1, "me")
        await store.save_hook(hook)
        calls = (Call("h", "created", "https://a.example:443"),)
        await store.commit([Change(None, job("a", "films"), calls=calls)])
        assert [it.event for it in await store.waiting({}, limit=9)] == ["created"]


# Commits


async def test_every_commit_is_synced_whatever_is_set(postgres: Postgres, database: str) -> None:
    postgres.execute("ALTER DATABASE contract SET synchronous_commit = off")
    async with opened(database) as store, store._link.use() as db:
        assert await db.fetchval("SHOW synchronous_commit") == "on"
    postgres.execute("ALTER DATABASE contract RESET synchronous_commit")


async def test_a_commit_is_one_statement(store: PostgresStore) -> None:
    texts: list[str] = []
    async with store._link.use() as db:
        db.add_query_logger(lambda record: texts.append(record.query))
    made = Idempotency("a", "b", b"", "a", 5)
    await store.commit([Change(None, job(), (entry(1),), made)])
    await add(store, job(), entry(2))
    async with store._link.use() as db:
        await db.execute("SELECT")  # a statement is logged after its answer
    ours = [text for text in texts if "livejobs." in text]  # asyncpg also asks for types
    assert ours == [sql.NEW_PKS, sql.COMMIT, sql.TOLD]  # new jobs also need their keys


async def test_a_commit_of_an_older_state_is_refused(
    store: PostgresStore, postgres: Postgres
) -> None:
    await create(store, job("a"))
    postgres.execute("UPDATE livejobs.projects SET seq = seq + 1", database="contract")
    with pytest.raises(Outpaced):
        await add(store, job("a"), entry(1))
    assert await store.entries(EntryQuery("a", "logs")) == []


async def test_an_idempotency_key_is_used_once_by_all_servers(
    store: PostgresStore, database: str
) -> None:
    """Also if the second server has learned of the first one's commit since it looked for it."""
    used = Idempotency("me", "key", b"", "a", 5)
    async with opened(database) as other:
        await other.commit([Change(None, job("a"), (), used)], {"default": 0})
        again = Change(None, job("b"), (), Idempotency("me", "key", b"", "b", 5))
        with pytest.raises(Outpaced):
            await store.commit([again], {"default": 1})
        await other.commit([Change(job("a"), None)], {"default": 1})
        assert await store.commit([again], {"default": 2}) == [3]


async def test_a_commit_whose_answer_is_lost_is_kept_once(
    database: str, postgres: Postgres
) -> None:
    await empty(database)
    relay = Relay(database, postgres.port)
    async with relay as url, opened(url) as store:
        await create(store, job("a"))
        for n in (1, 3, 5):
            relay.swallow = n > 1  # the first time also cuts what prepares the statement
            assert await add(store, job("a"), entry(n)) == n + 1
            relay.swallow = True
            assert await add(store, job("a"), entry(n + 1)) == n + 2
        assert numbers(await store.entries(EntryQuery("a", "logs"))) == [1, 2, 3, 4, 5, 6]


async def test_a_database_that_stops_to_answer_holds_up_no_commit_for_ever(
    store: PostgresStore, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(store, job("a"))
    monkeypatch.setattr(link, "ANSWER", 0.3)

    async def commit_alone() -> None:
        async with store.alone(["default"]):
            postgres.signal(signal.SIGSTOP)
            await store.commit([Change(job("a"), job("a"), (entry(1),))], {"default": 1})

    try:
        async with asyncio.timeout(60):
            with pytest.raises(StorageUnavailable):
                await commit_alone()
    finally:
        postgres.signal(signal.SIGCONT)


async def test_a_host_that_does_not_answer_is_passed_over(
    database: str, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "CONNECT_TIMEOUT", 0.5)
    good = f"127.0.0.1:{postgres.port}"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        both = f"127.0.0.1:{silent.getsockname()[1]},{good}"
        async with opened(database.replace(good, both)) as store:
            assert await found(store, Query(None, ids=("none",))) == []


async def test_reads_go_on_after_their_connections_are_cut(
    store: PostgresStore, postgres: Postgres
) -> None:
    await create(store, job("a"))
    for _ in range(3):
        await asyncio.gather(*(store.job("a") for _ in range(9)))
        postgres.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'livejobs'"
        )
        assert await found(store, Query(None)) == ["a"]


async def test_a_node_listens_again_after_its_connections_were_cut(
    store: PostgresStore, postgres: Postgres, database: str
) -> None:
    await create(store, job("a"))
    heard: list[tuple[str, int]] = []
    store.listen(lambda *said: heard.append(said))
    postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'livejobs'"
    )
    async with opened(database) as other:
        numbers = iter(range(1, 1000))
        await until_true(lambda: told(other, heard, next(numbers)))
    assert heard[0][0] == "default"


async def told(other: PostgresStore, heard: list[tuple[str, int]], n: int) -> bool:
    await other.pulse([])  # it notifies only while it knows of another node
    await add(other, job("a"), entry(n))
    return bool(heard)


async def test_what_a_killed_node_left_is_tidied_by_another(
    store: PostgresStore, database: str, postgres: Postgres
) -> None:
    await create(store, job("a"), job("b"))
    await add(store, job("a"), *map(entry, range(1, 6)))
    await store.commit([Change(job("b"), cut(job("b"), 3, 2), tuple(map(entry, (1, 2, 3))))])
    await delete(store, job("a"))
    assert (await store.tidy(rows=3, bytes=999)).more
    async with opened(database) as other:
        await tidied(other, rows=2)
        assert numbers(await other.entries(EntryQuery("b", "logs"))) == [3]
    for table, left in (("ended", "0"), ("trims", "0"), ("entries", "1")):
        counted = postgres.execute(f"SELECT count(*) FROM livejobs.{table}", database="contract")
        assert counted == left


async def test_texts_that_postgresql_can_not_keep_are_kept(store: PostgresStore) -> None:
    odd = ("\0", "\\0", "\\", "ü" * 200, "x" * 5000, "\0" * 200)
    heads = [job(f"j{n}", type=it, owner=it, tags=(it,), title=it) for n, it in enumerate(odd)]
    await create(store, *heads)
    for head in heads:
        query = Query(None, type=head.type, owner=head.owner, tag=head.tags[0])
        assert await found(store, query) == [head.id]
        stored = await store.job(head.id)
        assert stored is not None
        assert stored.head == head
    assert await store.job("j0\0") is None
    assert await store.entries(EntryQuery("\0", "logs")) == []
    assert await found(store, Query(None, q="\x1f\x1f\x1f")) == []
    assert await found(store, Query(None, q="j1\x1f\\")) == []


# Plans


class Explaining:
    """A connection that explains each statement before it runs it, and never reads a table whole
    where an index serves."""

    def __init__(self, db: Any) -> None:
        self._db = db
        self.plans: list[str] = []

    async def fetch(self, text: str, *args: Any) -> Any:
        rows = await self._db.fetch(f"EXPLAIN {text}", *args)
        self.plans.append("\n".join(row[0] for row in rows))
        return await self._db.fetch(text, *args)

    async def fetchrow(self, text: str, *args: Any) -> Any:
        return next(iter(await self.fetch(text, *args)), None)

    fetchval = fetchrow


@pytest.fixture
async def explaining(store: PostgresStore, database: str) -> AsyncIterator[Explaining]:
    db = await opening.connect(database, opening.READER)
    await db.execute("SET enable_seqscan = off")
    yield (explaining := Explaining(db))
    assert explaining.plans
    for plan in explaining.plans:
        assert "Seq Scan" not in plan, plan
    await db.close()


async def test_a_list_and_its_counts_are_served_by_indexes(explaining: Explaining) -> None:
    pks = {"default": 1, "other": 2}
    for query in FILTERS:
        await reading.page(explaining, query, pks, 3, None, 0, None)
        await reading.page(explaining, query, pks, 3, 5, 2, 9)
        await reading.counts(explaining, query, pks)


async def test_every_other_read_is_served_by_an_index(explaining: Explaining) -> None:
    await reading.job(explaining, "a")
    await reading.unfinished(explaining)
    await reading.expired(explaining, 5, 3)
    await reading.entries(explaining, EntryQuery("a", "logs", after_seq=3, level=2))
    await reading.entries(explaining, EntryQuery("a", "logs", tail=True))
    await reading.changes(explaining, 1, 3, 3, None)
    await reading.feed_entries(explaining, 1, 0, 9, 3, KINDS, None)
    await reading.repeated(explaining, "a", "b", 3)
    await reading.history(explaining, None, {"default": 1}, RANGES["hour"], 0)
    await keeping.read_audit(explaining, 3, None, "a")
    await keeping.known_files(explaining, ["a"])


async def test_every_write_is_served_by_an_index(
    explaining: Explaining, store: PostgresStore
) -> None:
    done = job("a", status="failed", tags=("x",))
    await create(store, done)
    writer = Writer(1)
    async with store._link.use() as db:
        await writer.load(db)
        commit = await writer.commit(db, [Change(done, None), Change(None, job("b"))], None)
    async with store._link.use() as db:
        await db.execute("SET enable_seqscan = off")
        rows = await db.fetch(f"EXPLAIN {commit.text}", *commit.sign("n", 1, heard=True))
    explaining.plans.append("\n".join(row[0] for row in rows))
