"""Keys over time: what is revoked stays so, whatever else is being written about it."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from livejobs import clock
from livejobs.access.keyring import LONG, USED_EVERY, Grant, Keyring, new_key
from livejobs.core.errors import LivejobsError, StorageUnavailable, Unauthorized
from livejobs.store.base import AuditRecord
from livejobs.store.memory import MemoryStore


class Slow(MemoryStore):
    """A disk that takes its time to drop a key, or refuses."""

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


async def test_a_key_whose_use_is_noted_while_it_is_revoked_does_not_come_back() -> None:
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


async def test_a_key_that_could_not_be_dropped_is_still_one() -> None:
    store = Slow()
    store.full = True
    store.drop.set()
    keyring, id, secret = await used_key(store)
    with pytest.raises(StorageUnavailable):
        await keyring.revoke(id)
    assert keyring.identify(secret, clock.now_ms()).key == id


async def test_what_a_long_token_is_known_by_is_no_credential() -> None:
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
