"""Which store the settings ask for."""

from __future__ import annotations

from pathlib import Path

from livejobs.config import SettingError
from livejobs.store.base import Store
from livejobs.store.sqlite.store import SqliteStore


def store_of(data: Path, database: str | None) -> Store:
    """The store in the PostgreSQL database at this URL; without one, in the data folder."""
    if database is None:
        return SqliteStore(data / "livejobs.db")
    try:
        from livejobs.store.postgres.store import PostgresStore  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingError(
            "database",
            "database",
            'needs the package asyncpg. Install it with: pip install "livejobs[postgres]"',
        ) from error
    return PostgresStore(database)
