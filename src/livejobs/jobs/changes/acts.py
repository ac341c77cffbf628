"""What somebody did to a job, for the audit trail."""

from __future__ import annotations

from typing import Any

from livejobs.core.access import Principal
from livejobs.core.model import Head
from livejobs.store.audit import AuditRecord


def act_on(head: Head, now: int, by: Principal, action: str, **detail: Any) -> AuditRecord:
    return AuditRecord(now, by.name, action, head.project, head.id, detail, by.key, head.created_at)


def act_of_other(
    head: Head, now: int, by: Principal | None, action: str, **detail: Any
) -> AuditRecord | None:
    """The same for what an owner does all the time, and what the job itself shows. Only the acts of
    others are recorded: the trail is bounded, and those of owners would push out the rest."""
    if by is None or by.name == head.owner:
        return None
    return act_on(head, now, by, action, **detail)
