"""Keys over time: a revoked key stays revoked, whatever else is written at the same time."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from livejobs import clock
from livejobs.access.keyring import LONG, USED_EVERY, Grant, Keyring, new_key
from livejobs.core.errors import LivejobsError, StorageUnavailable, Unauthorized
from livejobs.store.audit import AuditRecord
from livejobs.store.memory import MemoryStore


class Slow(MemoryStore):
    """A store that drops keys slowly, or refuses to."""

    def __init__(self) -> None:
        super().__init__()
        self.dropping, self.drop = asyncio.Event(), asyncio.Event()
        self.full = False

    async def drop_key(self, id: str, record: AuditRecord | None = None) -> None:
        self.dropping.set()
        await self.drop.wait()
        if self.full:
            raise StorageUnavailable("The disk is full.")
        await super().drop_key(id, record)


async def used_key(store: MemoryStore) -> tuple[Keyring, str, str]:
    keyring = Keyring(store)
    key, secret = new_key("ci", ("view",), None, now=0)
    await keyring.add(key)
    keyring.identify(secret, USED_EVERY)
    return keyring, key.id, secret


async def test_a_revoked_key_stays_revoked_while_its_last_use_is_saved() -> None:
    store = Slow()
    keyring, id, secret = await used_key(store)
    revoking = asyncio.create_task(keyring.revoke(id))
    await store.dropping.wait()
    with pytest.raises(LivejobsError):
        keyring.identify(secret, clock.now_ms())
    store.drop.set()
    await revoking
    await keyring.note_uses()
    assert not await store.keys()


async def test_a_key_that_the_store_could_not_drop_is_still_valid() -> None:
    store = Slow()
    store.full = True
    store.drop.set()
    keyring, id, secret = await used_key(store)
    with pytest.raises(StorageUnavailable):
        await keyring.revoke(id)
    assert keyring.identify(secret, clock.now_ms()).key == id


async def test_a_token_of_a_server_whose_clock_is_ahead_is_accepted() -> None:
    keyring = Keyring(MemoryStore())
    key, secret = new_key("ci", ("view",), None, now=0)
    await keyring.add(key)
    ahead = clock.now_ms() + 60_000
    grant = Grant("view", None, None, ahead + 60_000)
    token = keyring.mint(keyring.identify(secret, ahead), grant, ahead)
    assert keyring.identify(token, clock.now_ms()).key == key.id


async def test_the_digest_of_a_long_token_is_no_credential() -> None:
    keyring = Keyring(MemoryStore())
    key, secret = new_key("ci", ("view",), None, now=0)
    await keyring.add(key)
    jobs = frozenset(f"job-{n}" for n in range(100))
    grant = Grant("view", None, jobs, clock.now_ms() + 60_000)
    token = keyring.mint(keyring.identify(secret, clock.now_ms()), grant, clock.now_ms())
    assert len(token) > LONG
    for _ in range(2):
        assert keyring.identify(token, clock.now_ms()).jobs == jobs
    digest = hashlib.sha256(token.encode())
    for credential in (digest.hexdigest(), digest.digest().decode("latin-1")):
        with pytest.raises(Unauthorized):
            keyring.identify(credential, clock.now_ms())
