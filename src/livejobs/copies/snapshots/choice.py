"""Which snapshot the settings ask for."""

from __future__ import annotations

from pathlib import Path

from livejobs.config import SettingError
from livejobs.copies.snapshots.readable import Snapshot
from livejobs.copies.snapshots.sqlite import SqliteSnapshot


def snapshot_of(data: Path, database: str | None) -> Snapshot:
    """A snapshot of the PostgreSQL database at this URL; without one, of that in the data folder.
    To enter it raises NoDatabase if there is none."""
    if database is None:
        return SqliteSnapshot(data / "livejobs.db")
    try:
        from livejobs.copies.snapshots.postgres import PostgresSnapshot  # noqa: PLC0415 - an extra
    except ImportError as error:
        wrong = 'needs the package asyncpg. Install it with: pip install "livejobs[postgres]"'
        raise SettingError("database", "database", wrong) from error
    return PostgresSnapshot(database)
