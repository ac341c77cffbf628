"""The PostgreSQL database: whether it is reachable, durable, direct and of a known version."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any, Final

from livejobs import clock
from livejobs.doctor.finding import Finding, apart, failure, ok, skew, warning
from livejobs.store.postgres.opening import (
    MIGRATIONS,
    DatabaseUnusable,
    address,
    check_server,
    connect,
    unusable,
)
from livejobs.store.postgres.store import READERS

CONNECTIONS: Final = READERS + 2  # of a node
SLOW: Final = 0.02  # seconds that a statement without work takes
SETTINGS: Final = ("fsync", "full_page_writes")


async def look(url: str) -> AsyncIterator[Finding]:
    try:
        with unusable(url):
            db = await connect(url)
    except DatabaseUnusable as error:
        yield failure("database", *apart(str(error)))
        return
    try:
        with unusable(url):
            await check_server(db)
            async for finding in _all(db, url):
                yield finding
    except DatabaseUnusable as error:
        yield failure("database", *apart(str(error)))
    finally:
        db.terminate()


async def _all(db: Any, url: str) -> AsyncIterator[Finding]:
    yield await _schema(db, url)
    yield await _durable(db)
    yield await _connections(db)
    yield await _near(db)
    yield await _clock(db)


async def _schema(db: Any, url: str) -> Finding:
    number = await db.fetchval("SHOW server_version")
    where = f"PostgreSQL {number.split()[0]} at {address(url)}"
    if not await db.fetchval("SELECT to_regclass('livejobs.meta')"):
        return ok("database", f"{where} has no jobs yet. The first start creates the tables.")
    version = await db.fetchval("SELECT version FROM livejobs.meta")
    newest = len(MIGRATIONS)
    if version > newest:
        return failure(
            "database",
            f"{where} has schema {version}, and this livejobs knows {newest}.",
            "Run the version of livejobs that wrote it, or a later one.",
        )
    later = "" if version == newest else f" The next start migrates it to {newest}."
    return ok("database", f"{where}, schema {version}.{later}")


async def _durable(db: Any) -> Finding:
    off = [name for name in SETTINGS if await db.fetchval(f"SHOW {name}") == "off"]
    if off:
        return failure(
            "durability",
            f"{' and '.join(off)} is off: a power cut can lose or damage acknowledged reports.",
            f"ALTER SYSTEM SET {off[0]} = on, then SELECT pg_reload_conf()",
        )
    if await db.fetchval("SHOW synchronous_commit") == "off":
        return ok("durability", "synchronous_commit is off; livejobs turns it on for its commits.")
    return ok("durability", "fsync, full_page_writes and synchronous_commit are on.")


async def _connections(db: Any) -> Finding:
    most = int(await db.fetchval("SHOW max_connections"))
    used = await db.fetchval("SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL")
    found = f"{used} of {most} connections are used. A node takes up to {CONNECTIONS}."
    if most - used < CONNECTIONS:
        return warning("database connections", found, "Raise max_connections of PostgreSQL.")
    return ok("database connections", found)


async def _near(db: Any) -> Finding:
    begin = time.perf_counter()  # a duration, which no test sets
    await db.fetchval("SELECT 1")
    seconds = time.perf_counter() - begin  # as above
    found = f"A statement takes {seconds * 1000:.1f} ms there and back."
    if seconds > SLOW:
        return warning("database latency", found, "Run livejobs near its database.")
    return ok("database latency", found)


async def _clock(db: Any) -> Finding:
    before = clock.now_ms()
    theirs = await db.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
    return skew("database clock", (before + clock.now_ms()) // 2 - theirs, "the database")
