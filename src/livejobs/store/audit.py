"""What the audit trail needs from a database: who did what, and AuditStore."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from msgspec import Struct

AUDIT_KEPT: Final = 100_000  # audit records kept, for all projects together


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


class AuditStore(Protocol):
    async def audit(
        self, *, limit: int, before: int | None = None, job: str | None = None
    ) -> Sequence[AuditEntry]:
        """Return audit entries, newest first; `before` is the n of the last entry of the page
        before. With `job` only those about jobs with this id. Of more than AUDIT_KEPT the oldest
        are forgotten."""

    async def add_audit(self, records: Sequence[AuditRecord]) -> None:
        """Write audit records of what changes nothing else."""
