"""What access needs from a database: KeyStore."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from livejobs.core.access import Scope
from livejobs.store.audit import AuditRecord


class Key(Struct, frozen=True):
    """An API key as the store keeps it: without its secret."""

    id: str
    name: str
    digest: bytes  # of the secret
    scopes: tuple[Scope, ...]
    projects: tuple[str, ...] | None  # None: all projects
    created_at: int
    expires_at: int | None = None
    last_used_at: int | None = None


class KeyStore(Protocol):
    async def keys(self) -> Sequence[Key]:
        """Return all keys, in order of id."""

    async def save_key(self, key: Key, record: AuditRecord | None = None) -> None:
        """Keep the key, in place of the key with its id, and write the audit record with it."""

    async def drop_key(self, id: str, record: AuditRecord | None = None) -> None:
        """Forget the key and write the audit record with it. An id without a key is no error."""

    async def note_use(self, key: Key) -> None:
        """Keep when the key was last used, unless it was forgotten meanwhile."""
