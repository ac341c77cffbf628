"""The contract of every store: repeated calls, expiry, keys and the audit."""

from __future__ import annotations

from typing import Any

from livejobs.store.audit import AuditRecord
from livejobs.store.base import Change, Store
from livejobs.store.keys import Key
from tests.store.contract import create, job, made


async def test_a_repeated_call_is_known_until_it_expires(store: Store) -> None:
    await store.commit([Change(None, job(), idempotency=made())])
    assert await store.repeated("key:ci", "k", 9) == made()
    assert await store.repeated("key:ci", "k", 10) is None
    assert await store.repeated("key:other", "k", 9) is None
    assert await store.repeated("key:ci", "other", 9) is None


async def test_an_expired_key_can_be_used_again(store: Store) -> None:
    await store.commit([Change(None, job(), idempotency=made())])
    again = made(expires_at=30, job="b")
    await store.commit([Change(None, job("b", updated_at=20), idempotency=again)])
    assert await store.repeated("key:ci", "k", 20) == again


async def test_finished_jobs_expire_and_others_do_not(store: Store) -> None:
    await create(
        store,
        job("later", status="failed", expires_at=9),
        job("running", status="running", expires_at=1),
        job("kept", status="succeeded"),
        job("second", status="succeeded", expires_at=5),
        job("first", status="cancelled", expires_at=4),
    )
    assert [stored.head.id for stored in await store.expired(5, limit=9)] == ["first", "second"]
    assert [stored.head.id for stored in await store.expired(5, limit=1)] == ["first"]
    assert await store.expired(3, limit=9) == []


def key(id: str, **fields: Any) -> Key:
    return Key(id, f"name-{id}", b"digest", ("view",), None, created_at=1, **fields)


async def test_a_key_is_kept_in_place_of_the_key_with_its_id(store: Store) -> None:
    await store.save_key(key("b"))
    await store.save_key(key("a"))
    await store.save_key(key("b", last_used_at=7))
    assert await store.keys() == [key("a"), key("b", last_used_at=7)]


async def test_a_dropped_key_is_gone_and_an_unknown_one_is_no_error(store: Store) -> None:
    await store.save_key(key("a"))
    await store.drop_key("a")
    await store.drop_key("never")
    assert await store.keys() == []


async def test_audit_entries_are_numbered_and_paged_newest_first(store: Store) -> None:
    records = [AuditRecord(at, "operator", "key.create", detail={"at": at}) for at in range(4)]
    head = job()
    await store.save_key(key("a"), records[0])
    await store.commit([Change(None, head), Change(head, None, audit=records[1])])
    await store.downloaded({}, [records[2]])
    await store.drop_key("a", records[3])
    entries = await store.audit(limit=9)
    assert [(entry.n, entry.record) for entry in entries] == [
        (n, records[n - 1]) for n in (4, 3, 2, 1)
    ]
    assert [entry.n for entry in await store.audit(limit=2, before=4)] == [3, 2]
