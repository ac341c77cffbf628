"""Keys, files and the audit trail. Each function is one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from livejobs.store.audit import AuditEntry, AuditRecord
from livejobs.store.files import Tally
from livejobs.store.keys import Key
from livejobs.store.postgres.connected import Connected
from livejobs.store.postgres.reading import END
from livejobs.store.postgres.sql import keeping as sql
from livejobs.store.postgres.sql.parts import Part, statement
from livejobs.store.postgres.text import kept
from livejobs.store.postgres.writing import audited, columns

_encode = msgspec.json.Encoder().encode
_key: Final = msgspec.json.Decoder(Key).decode
_record: Final = msgspec.json.Decoder(AuditRecord).decode

_AUDITED: Final = (sql.AUDIT_NEW, sql.AUDIT_TRIM)
_MORE: Final = {
    sql.KEY_NEW.name: (sql.KEYS_MOVED, *_AUDITED),
    sql.KEY_GONE.name: (sql.KEYS_MOVED, *_AUDITED),
    sql.DOWNLOADED.name: _AUDITED,
}
_STATEMENTS: Final = {
    part.name: statement((part, *_MORE[part.name]), "SELECT 1")
    for part in (sql.KEY_NEW, sql.KEY_GONE, sql.DOWNLOADED)
}


async def keys(db: Any) -> list[Key]:
    return [_key(row[0]) for row in await db.fetch(sql.KEYS)]


async def save_key(db: Any, key: Key, record: AuditRecord | None) -> None:
    await _write(db, sql.KEY_NEW, [(key.id, _encode(key))], [record] if record else [])


async def drop_key(db: Any, id: str, record: AuditRecord | None) -> None:
    await _write(db, sql.KEY_GONE, [(kept(id),)], [record] if record else [])


async def note_use(db: Any, key: Key) -> None:
    await db.execute(sql.KEY_USED, key.id, _encode(key))


async def downloaded(db: Any, tallies: Mapping[str, Tally], records: Sequence[AuditRecord]) -> None:
    rows = [(kept(key), tally.count, tally.last_at) for key, tally in tallies.items()]
    await _write(db, sql.DOWNLOADED, rows, records)


async def add_audit(db: Any, records: Sequence[AuditRecord]) -> None:
    await _write(db, sql.DOWNLOADED, [], records)


async def _write(
    db: Any, part: Part, rows: Sequence[tuple[Any, ...]], records: Sequence[AuditRecord]
) -> None:
    """Write the rows of one part, and audit records with them."""
    found = {part.name: rows, **audited(records)}
    await db.fetchval(_STATEMENTS[part.name], *columns((part, *_MORE[part.name]), found))


async def read_audit(db: Any, limit: int, before: int | None, job: str | None) -> list[AuditEntry]:
    page = (END if before is None else before, limit)
    rows = (
        await db.fetch(sql.AUDIT, *page)
        if job is None
        else await db.fetch(sql.AUDIT_OF_JOB, *page, kept(job))
    )
    return [AuditEntry(n, _record(record)) for n, record in rows]


async def file_bytes(db: Any) -> dict[str, int]:
    return dict(await db.fetch(sql.FILE_BYTES))


async def ended_files(db: Any, limit: int) -> list[str]:
    return [key for (key,) in await db.fetch(sql.FILES_ENDED, limit)]


async def forget_files(db: Any, keys: Sequence[str]) -> None:
    await db.execute(sql.FILES_GONE, [kept(key) for key in keys])


async def known_files(db: Any, keys: Sequence[str]) -> set[str]:
    return {key for (key,) in await db.fetch(sql.FILES_KNOWN, [kept(key) for key in keys])}


async def downloads(db: Any, keys: Sequence[str]) -> dict[str, Tally]:
    rows = await db.fetch(sql.DOWNLOADS, [kept(key) for key in keys])
    return {key: Tally(count, last_at) for key, count, last_at in rows}


class PostgresKeeping:
    """The keys, files and audit trail of the store."""

    async def keys(self: Connected) -> Sequence[Key]:
        return await self._read(keys)

    async def save_key(self: Connected, key: Key, record: AuditRecord | None = None) -> None:
        await self._write(save_key, key, record)

    async def drop_key(self: Connected, id: str, record: AuditRecord | None = None) -> None:
        await self._write(drop_key, id, record)

    async def note_use(self: Connected, key: Key) -> None:
        await self._write(note_use, key)

    async def file_bytes(self: Connected) -> Mapping[str, int]:
        return await self._read(file_bytes)

    async def ended_files(self: Connected, *, limit: int) -> Sequence[str]:
        return await self._read(ended_files, limit)

    async def forget_files(self: Connected, keys: Sequence[str]) -> None:
        await self._write(forget_files, keys)

    async def known_files(self: Connected, keys: Sequence[str]) -> set[str]:
        return await self._read(known_files, keys)

    async def downloaded(
        self: Connected, tallies: Mapping[str, Tally], records: Sequence[AuditRecord]
    ) -> None:
        await self._write(downloaded, tallies, records)

    async def downloads(self: Connected, keys: Sequence[str]) -> Mapping[str, Tally]:
        return await self._read(downloads, keys)

    async def audit(
        self: Connected, *, limit: int, before: int | None = None, job: str | None = None
    ) -> Sequence[AuditEntry]:
        return await self._read(read_audit, limit, before, job)

    async def add_audit(self: Connected, records: Sequence[AuditRecord]) -> None:
        await self._write(add_audit, records)
