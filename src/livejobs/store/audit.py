"""Who did what: the nouns of the audit trail."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class AuditRecord(Struct, frozen=True):
    """Who did what, and to which job or key."""

    at: int
    by: str
    action: str  # cancel, delete, download, key.create, key.revoke
    project: str | None = None
    job: str | None = None
    detail: dict[str, Any] = {}
    by_id: str | None = None  # the id of the key in `by`, or of the key that minted its token
    created_at: int | None = None  # of the job, since its id may be given again


class AuditEntry(Struct, frozen=True):
    """An audit record with its number: 1, 2, 3 …"""

    n: int
    record: AuditRecord
