"""What a new job begins with."""

from __future__ import annotations

from livejobs.core import reports as say
from livejobs.core.model import Head, HookRef, Plan, Progress, Step


def create(
    new: say.NewJob,
    *,
    id: str,
    project: str,
    owner: str,
    now: int,
    heartbeat_timeout: float | None = None,
    ttl_seconds: float | None = None,
    hooks: tuple[HookRef, ...] = (),
) -> Head:
    """The head of a new job. The two keyword defaults apply where `new` sets nothing."""
    plan = Plan(new.total, new.unit, tuple(_planned(step) for step in new.steps))
    return Head(
        id=id,
        project=project,
        owner=owner,
        created_at=now,
        updated_at=now,
        queued_at=now,
        type=new.type,
        title=new.title,
        plan=plan,
        progress=Progress(total=plan.total, unit=plan.unit),
        steps=plan.steps,
        meta=new.meta,
        tags=tuple(dict.fromkeys(new.tags)),
        parent=new.parent,
        heartbeat_timeout=new.heartbeat_timeout or heartbeat_timeout,
        ttl_seconds=new.ttl_seconds or ttl_seconds,
        hooks=hooks,
    )


def _planned(step: str | say.PlannedStep) -> Step:
    if isinstance(step, str):
        return Step(step)
    return Step(step.name, title=step.title, weight=step.weight, total=step.total)
