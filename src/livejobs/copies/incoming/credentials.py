"""Bring keys, webhooks and the audit trail into a database, each once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from livejobs.copies.loop import Loop
from livejobs.copies.paging import walk
from livejobs.core.hooks import Hook
from livejobs.store.audit import AUDIT_KEPT, AuditEntry, AuditRecord
from livejobs.store.base import Store
from livejobs.store.keys import Key

AT_ONCE: Final = 500
# What a record says is gone, by its action.
ENDS: Final = {"key.revoke": "key", "webhook.delete": "webhook"}

_encode = msgspec.json.Encoder().encode


class Credentials:
    def __init__(self, loop: Loop, store: Store) -> None:
        self._loop = loop
        self._store = store
        self._known = {key.id for key in loop.call(store.keys)}
        self._known |= {hook.id for hook in loop.call(store.hooks)}
        self._trail: Counter[bytes] = Counter()  # digests of the records that are there
        for _, page in walk(self._page):
            for entry in page:
                self._note(entry.record)
        self._full = self._trail.total() >= AUDIT_KEPT

    def _page(self, before: int | None) -> tuple[Sequence[AuditEntry], int | None]:
        page = self._loop.call(self._store.audit, limit=AT_ONCE, before=before)
        return page, page[-1].n if page else None

    def _note(self, record: AuditRecord) -> None:
        self._trail[_digest(record)] += 1
        if record.action in ENDS:  # it must not come to life again
            self._known.add(str(record.detail.get(ENDS[record.action])))

    def add(self, keys: Sequence[Key]) -> None:
        for key in keys:
            if key.id not in self._known:
                self._loop.call(self._store.save_key, key)

    def add_hooks(self, hooks: Sequence[Hook]) -> None:
        for hook in hooks:
            if hook.id not in self._known:
                self._loop.call(self._store.save_hook, hook)

    def record(self, records: Sequence[AuditRecord]) -> None:
        new = [record for record in records if self._is_new(record)]
        if new and not self._full:
            self._loop.call(self._store.add_audit, new)

    def _is_new(self, record: AuditRecord) -> bool:
        digest = _digest(record)
        self._trail[digest] -= 1
        return self._trail[digest] < 0


def _digest(record: AuditRecord) -> bytes:
    return blake2b(_encode(record), digest_size=16).digest()
