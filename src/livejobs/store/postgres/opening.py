"""Open a database: connect, check that it can be trusted with jobs, lock it, migrate it."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
from asyncpg import exceptions as pg

from livejobs.core.errors import StorageUnavailable
from livejobs.store.base import StoreUnusable

# The first n files make version n of the schema. Add to this list; never change or remove a file.
_VERSIONS: Final = ("schema", "retention", "webhooks")
MIGRATIONS: Final = tuple(Path(__file__).with_name(f"{name}.sql") for name in _VERSIONS)
CONNECT_TIMEOUT: Final = 3.0  # seconds
LOCK: Final = 0x4C4A4F42  # "LJOB"; advisory locks belong to one database
OLDEST: Final = 150_000

# A node that is cut off keeps its locks until PostgreSQL notices, after about 15 s.
SESSION: Final = {
    "application_name": "livejobs",
    "jit": "off",  # to compile a statement takes longer than any of ours
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15000",
    "idle_in_transaction_session_timeout": "5000",  # a node that was stopped holds up no others
}
# A plan made for these values is better than one for any values, by far.
READER: Final = {**SESSION, "plan_cache_mode": "force_custom_plan"}

# The connection was cut, perhaps while nobody used it.
CUT: Final = (
    pg.InterfaceError,
    pg.PostgresConnectionError,
    pg.OperatorInterventionError,
    pg.InternalClientError,
)
# Whether a statement was done is not known.
LOST: Final = (OSError, TimeoutError, *CUT)
# The server has refused a statement, and nothing of it was kept.
REFUSED: Final = (
    pg.InsufficientResourcesError,
    pg.PostgresSystemError,
    pg.ReadOnlySQLTransactionError,
    pg.InsufficientPrivilegeError,
    pg.LockNotAvailableError,
    pg.DeadlockDetectedError,
    pg.SerializationError,
    pg.InternalServerError,
)
POOLER: Final = (
    "there is a connection pooler in front of it, such as pgbouncer, which would lose what other "
    "nodes say. Give the address of PostgreSQL itself"
)
AWAY: Final = "The database can't be reached, and nothing was acknowledged. Try again."


class DatabaseUnusable(StoreUnusable):
    """The setting `database` names a database that can't be used. The start exits with 2."""


@contextmanager
def refused() -> Iterator[None]:
    """Raise what the server refuses as StorageUnavailable."""
    try:
        yield
    except pg.DiskFullError as error:
        raise StorageUnavailable(
            "The database's disk is full, and nothing was kept. Free some space and try again."
        ) from error
    except REFUSED as error:
        raise StorageUnavailable(
            "The database refused this, and nothing was kept. See PostgreSQL's log."
        ) from error


@contextmanager
def refusals() -> Iterator[None]:
    """Raise every error of the medium as StorageUnavailable. Others are our mistakes."""
    try:
        with refused():
            yield
    except LOST as error:
        raise StorageUnavailable(AWAY) from error


def address(url: str) -> str:
    """The URL without its user, password and options."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    if not re.fullmatch(r"[^:]*(:\d+)?|\[.*\](:\d+)?", place) and "," not in place:
        return f"{parts.scheme}://…"  # after a sign that should be encoded, it is the password
    return f"{parts.scheme}://{place}{parts.path}"


async def connect(url: str, settings: dict[str, str] = SESSION) -> Any:
    return await connect_to(url, server_settings=settings)


async def connect_to(url: str, **how: Any) -> Any:
    """Try the hosts in turn, each with its own timeout. asyncpg has one for all of them, so it
    would wait for a primary that was cut off and never ask the replica that took its place."""
    *first, last = one_by_one(url)
    for own in first:
        with suppress(*LOST):
            return await asyncpg.connect(own, timeout=CONNECT_TIMEOUT, **how)
    return await asyncpg.connect(last, timeout=CONNECT_TIMEOUT, **how)


def one_by_one(url: str) -> list[str]:
    """The URL with each of its hosts alone. Hosts in its options stay together."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    if "," not in hosts:
        return [url]
    return [parts._replace(netloc=f"{user}{at}{host}").geturl() for host in hosts.split(",")]


async def first_connection(url: str, migrations: Sequence[Path]) -> Any:
    """A connection to a database that has our tables. Raise DatabaseUnusable, and change nothing,
    if it can't be trusted."""
    connection = await connect(url)
    try:
        await check_server(connection)
        await _migrate(connection, migrations)
        await to_write(connection)
    except BaseException:  # also when cancelled: nobody else would close it
        connection.terminate()
        raise
    return connection


async def to_write(connection: Any) -> None:
    """Make commits durable, whatever is set for the user or the database. Stronger settings and
    those for replicas stay."""
    if await connection.fetchval("SHOW synchronous_commit") == "off":
        await connection.execute("SET synchronous_commit = on")


async def until(true: Callable[[], Awaitable[bool]], pause: float) -> None:
    """Ask again and again: nobody tells us."""
    while True:
        if await true():
            return
        await asyncio.sleep(pause)


async def check_server(connection: Any) -> None:
    version = await connection.fetchval("SELECT current_setting('server_version_num')::int")
    if version < OLDEST:
        number = await connection.fetchval("SHOW server_version")
        raise DatabaseUnusable(f"it is PostgreSQL {number}. Use PostgreSQL 15 or later")
    if await connection.fetchval("SELECT pg_backend_pid()") != connection.get_server_pid():
        raise DatabaseUnusable(POOLER)
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise DatabaseUnusable(f"its encoding is {encoding}. Create a database with UTF8")
    if await connection.fetchval(
        "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool"
    ):
        raise DatabaseUnusable("it is read-only, like a replica. Give the address of the primary")


async def _migrate(connection: Any, migrations: Sequence[Path]) -> None:
    """Migrate to the newest version: all steps, or none. Other nodes that start wait for it."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        version = await _version(connection)
        if version > len(migrations):
            raise DatabaseUnusable(
                f"it was written by a newer livejobs (schema {version}, this one knows "
                f"{len(migrations)}). Run that version or a later one"
            )
        if version == len(migrations):
            return
        await _find_trigrams(connection)
        for migration in migrations[version:]:
            await connection.execute(await asyncio.to_thread(migration.read_text))
        await connection.execute("DELETE FROM livejobs.meta")
        await connection.execute("INSERT INTO livejobs.meta VALUES ($1)", len(migrations))


async def _version(connection: Any) -> int:
    """The version of our tables; 0: there are none, but now a schema for them."""
    if await connection.fetchval("SELECT to_regclass('livejobs.meta')"):
        try:
            return int(await connection.fetchval("SELECT version FROM livejobs.meta"))
        except (pg.UndefinedColumnError, TypeError, ValueError):
            raise _foreign() from None
    if not await connection.fetchval("SELECT to_regnamespace('livejobs')"):
        await connection.execute("CREATE SCHEMA livejobs")
    elif await connection.fetchval(
        "SELECT 1 FROM pg_class WHERE relnamespace = to_regnamespace('livejobs') LIMIT 1"
    ):
        raise _foreign()
    return 0


def _foreign() -> DatabaseUnusable:
    return DatabaseUnusable(
        "its schema 'livejobs' has tables of another program. Use another database"
    )


async def _find_trigrams(connection: Any) -> None:
    """The search needs the extension pg_trgm, which may be in any schema."""
    find = (
        "SELECT nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace"
        " WHERE extname = 'pg_trgm'"
    )
    schema = await connection.fetchval(find)
    if schema is None:
        try:
            async with connection.transaction():
                await connection.execute("CREATE EXTENSION pg_trgm SCHEMA livejobs")
        except (pg.InsufficientPrivilegeError, pg.FeatureNotSupportedError, pg.UndefinedFileError):
            raise DatabaseUnusable(
                "it lacks the extension pg_trgm. Install PostgreSQL's contrib package, and run "
                "CREATE EXTENSION pg_trgm there"
            ) from None
        schema = "livejobs"
    await connection.execute("SELECT set_config('search_path', quote_ident($1), true)", schema)


@contextmanager
def unusable(url: str) -> Iterator[None]:
    """While opening, name the setting and the database in each error."""
    try:
        yield
    except DatabaseUnusable as error:
        raise DatabaseUnusable(f"database ({address(url)}): {error}") from None
    except (*LOST, pg.PostgresError, ssl.SSLError, ValueError, StorageUnavailable) as error:
        raise DatabaseUnusable(f"database ({address(url)}): {_why(error)}") from error


def _why(error: Exception) -> str:
    """What is wrong, and the remedy."""
    text = " ".join(str(error).split())
    if isinstance(error, pg.ProtocolViolationError):  # pgbouncer does not know our parameters
        return POOLER
    if isinstance(error, pg.InvalidCatalogNameError):
        return "there is no such database. Create it"
    if isinstance(error, pg.InvalidAuthorizationSpecificationError):
        return f"it refused the user or the password: {text}. Correct them"
    if isinstance(error, pg.InsufficientPrivilegeError):
        return f"the user lacks a right: {text}. GRANT CREATE ON DATABASE … TO that user"
    if isinstance(error, pg.CannotConnectNowError | pg.TooManyConnectionsError):
        return f"it takes no connection now: {text}. Try again"
    if isinstance(error, pg.InterfaceError):
        return f"the address can't be used: {text}. Correct it"
    if isinstance(error, ValueError):  # its text may be a part of the password
        return "the address can't be read. Encode special signs in it, like %2F for a slash"
    if isinstance(error, TimeoutError):
        return "it does not answer. Start PostgreSQL, or correct the address"
    if isinstance(error, OSError):
        return f"it can't be reached: {text}. Start PostgreSQL, or correct the address"
    return f"it can't be used: {text}. See PostgreSQL's log"
