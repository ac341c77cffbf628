"""Webhooks and their deliveries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from livejobs.core.hooks import Hook
from livejobs.store.audit import AuditRecord
from livejobs.store.hooks import (
    RECORDS_KEPT,
    RECORDS_OF_HOOK,
    STATES,
    SWEPT,
    Delivery,
    Outcome,
    Payload,
    Waiting,
)
from livejobs.store.postgres.connected import Connected
from livejobs.store.postgres.reading import END
from livejobs.store.postgres.sql import hooking as sql
from livejobs.store.postgres.sql.keeping import AUDIT_NEW, AUDIT_TRIM, KEYS_MOVED
from livejobs.store.postgres.sql.parts import statement
from livejobs.store.postgres.writing import Found, audited, columns

_encode = msgspec.json.Encoder().encode
_hook: Final = msgspec.json.Decoder(Hook).decode

_AUDITED: Final = (AUDIT_NEW, AUDIT_TRIM)
_SAVE: Final = (sql.HOOK_SAVED, sql.CALLS_ENDED, KEYS_MOVED, *_AUDITED)
_DROP: Final = (sql.HOOK_GONE, sql.CALLS_GONE, KEYS_MOVED, *_AUDITED)
_REPLAY: Final = (sql.REPLAY_LOCK, sql.REPLAY)
_SAVE_TEXT: Final = statement(_SAVE, "SELECT 1")
_DROP_TEXT: Final = statement(_DROP, "SELECT 1")
_REPLAY_TEXT: Final = statement(_REPLAY, "SELECT count(*) FROM replayed")


async def hooks(db: Any, job: str | None) -> list[Hook]:
    rows = await db.fetch(sql.HOOKS) if job is None else await db.fetch(sql.HOOKS_OF_JOB, job)
    return [_hook(row[0]) for row in rows]


async def hook(db: Any, id: str) -> Hook | None:
    value = await db.fetchval(sql.HOOK, id)
    return None if value is None else _hook(value)


async def save_hook(db: Any, hook: Hook, record: AuditRecord | None) -> None:
    ended = [] if hook.ended is None else [(hook.id, hook.ended_at, hook.ended)]
    found: Found = {"saved": [(hook.id, hook.job, _encode(hook))], "calls_ended": ended}
    await db.fetchval(_SAVE_TEXT, *columns(_SAVE, {**found, **_records(record)}))


async def drop_hook(db: Any, id: str, record: AuditRecord | None) -> None:
    found: Found = {"hook_gone": [(id,)], "calls_gone": [(id,)]}
    await db.fetchval(_DROP_TEXT, *columns(_DROP, {**found, **_records(record)}))


def _records(record: AuditRecord | None) -> Found:
    return audited([record] if record else [])


async def waiting(db: Any, after: Mapping[str, int], limit: int) -> list[Waiting]:
    rows = await db.fetch(sql.WAITING, list(after), list(after.values()), limit)
    return [Waiting(*row) for row in rows]


async def payload(db: Any, n: int) -> Payload | None:
    row = await db.fetchrow(sql.PAYLOAD, n)
    if row is None:
        return None
    *fields, head, hook, ref = row
    return Payload(_delivery(fields), head, _hook(hook), ref)


async def settle(db: Any, outcomes: Sequence[Outcome]) -> set[int]:
    rows = [
        (it.n, it.seq, STATES.index(it.state), it.at, it.attempts, it.next_at, it.code, it.ms,
         it.error, it.ref)
        for it in outcomes
    ]  # fmt: skip
    done = await db.fetch(sql.SETTLED, *map(list, zip(*rows, strict=True)))
    return {n for n, state in done if state == 0}


async def deliveries(db: Any, hook: str, limit: int, before: int | None) -> list[Delivery]:
    last = END if before is None else before
    return [_delivery(row) for row in await db.fetch(sql.DELIVERIES, hook, last, limit)]


async def replay(db: Any, hook: str, n: int, now: int, record: AuditRecord | None) -> bool:
    """The numbers of waiting deliveries must appear in order, so the project is locked first."""
    found: Found = {"locked": [(hook, n, now)]}
    done = await db.fetchval(_REPLAY_TEXT, *columns(_REPLAY, found))
    if done and record is not None:
        await db.fetchval(_AUDIT_TEXT, *columns(_AUDITED, audited([record])))
    return bool(done)


_AUDIT_TEXT: Final = statement(_AUDITED, "SELECT 1")


async def sweep(db: Any, before: int) -> None:
    await db.execute(sql.OLD_GONE, before, SWEPT)
    await db.execute(sql.ALL_GONE, SWEPT, RECORDS_KEPT)
    await db.execute(sql.MANY_GONE, RECORDS_OF_HOOK, SWEPT)
    done = [id for (id,) in await db.fetch(sql.HOOKS_DONE, SWEPT)]
    await db.execute(sql.CALLS_DONE, done)


def _delivery(row: Sequence[Any]) -> Delivery:
    n, hook, project, job, event, seq, at, state, *rest = row
    return Delivery(n, hook, project, job, event, seq, at, STATES[state], *rest)


class PostgresHooks:
    """The HookStore of the store."""

    async def hooks(self: Connected, job: str | None = None) -> Sequence[Hook]:
        return await self._read(hooks, job)

    async def hook(self: Connected, id: str) -> Hook | None:
        return await self._read(hook, id)

    async def save_hook(self: Connected, hook: Hook, record: AuditRecord | None = None) -> None:
        await self._write(save_hook, hook, record)

    async def drop_hook(self: Connected, id: str, record: AuditRecord | None = None) -> None:
        await self._write(drop_hook, id, record)

    async def waiting(
        self: Connected, after: Mapping[str, int], *, limit: int
    ) -> Sequence[Waiting]:
        return await self._read(waiting, after, limit)

    async def payload(self: Connected, n: int) -> Payload | None:
        return await self._read(payload, n)

    async def settle(self: Connected, outcomes: Sequence[Outcome]) -> set[int]:
        return await self._write(settle, outcomes)

    async def deliveries(
        self: Connected, hook: str, *, limit: int, before: int | None = None
    ) -> Sequence[Delivery]:
        return await self._read(deliveries, hook, limit, before)

    async def replay(
        self: Connected, hook: str, n: int, now: int, record: AuditRecord | None = None
    ) -> bool:
        return await self._write(replay, hook, n, now, record)

    async def sweep_hooks(self: Connected, before: int) -> None:
        await self._write(sweep, before)
