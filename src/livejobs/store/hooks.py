"""What webhooks need from a database: HookStore. The deliveries of a change are written with it,
by `commit` (see base.py), so no crash loses one.

Laws, for every implementation:
- Deliveries get the numbers 1, 2, 3 … in the order of their changes, within a project.
- A progress that waits at the end of its job's queue becomes the newer progress, so a receiver that
  is away costs one row for each job, not one for each report.
- A delivery that has ended stays as a record until `sweep_hooks` removes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol, TypeAlias

from msgspec import Struct

from livejobs.core.hooks import Event, Hook
from livejobs.store.audit import AuditRecord

State: TypeAlias = Literal["waiting", "delivered", "failed"]
STATES: Final[tuple[State, ...]] = ("waiting", "delivered", "failed")

RECORDS_OF_HOOK: Final = 1_000  # ended deliveries kept of one webhook
RECORDS_KEPT: Final = 100_000  # and of all webhooks together
SWEPT: Final = 5_000  # removed by one call


class Waiting(Struct, frozen=True):
    """A delivery that is to be sent, as the queue in memory knows it."""

    n: int
    hook: str
    project: str
    job: str
    event: Event
    receiver: str
    at: int
    attempts: int
    next_at: int


class Delivery(Struct, frozen=True):
    """A delivery and what became of it."""

    n: int
    hook: str
    project: str
    job: str
    event: Event
    seq: int  # of the change
    at: int  # of the change
    state: State
    replay: bool  # a person has asked for it again
    attempts: int
    next_at: int | None  # of the next attempt
    ended_at: int | None
    code: int | None  # status of the last answer
    ms: int | None  # that the last attempt took
    error: str | None  # of the last attempt
    ref: str | None  # the receiver's id of the message


class Payload(Struct, frozen=True):
    """What a delivery sends."""

    delivery: Delivery
    head: bytes  # of the job, as `encode_head` gives it
    hook: Hook
    ref: str | None  # the receiver's id of the last message about the job


class Outcome(Struct, frozen=True):
    """What became of an attempt."""

    n: int
    seq: int  # of the change that was sent
    state: State  # waiting: try again at `next_at`
    at: int
    attempts: int
    next_at: int | None = None
    code: int | None = None
    ms: int | None = None
    error: str | None = None
    ref: str | None = None


class HookStore(Protocol):
    async def hooks(self, job: str | None = None) -> Sequence[Hook]:
        """Return the webhooks of all projects, or those of a job, oldest first."""

    async def hook(self, id: str) -> Hook | None:
        """Return one webhook; None if there is none."""

    async def save_hook(self, hook: Hook, record: AuditRecord | None = None) -> None:
        """Keep the webhook, in place of the one with its id, and write the audit record with it.
        If it has ended, its waiting deliveries fail."""

    async def drop_hook(self, id: str, record: AuditRecord | None = None) -> None:
        """Forget the webhook and its deliveries, and write the audit record with it."""

    async def waiting(self, after: Mapping[str, int], *, limit: int) -> Sequence[Waiting]:
        """Return waiting deliveries with a higher n than `after` has for their project (else 0), in
        order of n."""

    async def payload(self, n: int) -> Payload | None:
        """Return what a waiting delivery sends; None if it or its webhook is gone."""

    async def settle(self, outcomes: Sequence[Outcome]) -> set[int]:
        """Keep what became of attempts, and return the n of those that still wait. One that was
        delivered waits on if its progress has become a newer one meanwhile."""

    async def deliveries(
        self, hook: str, *, limit: int, before: int | None = None
    ) -> Sequence[Delivery]:
        """Return the deliveries of a webhook, newest first; `before` is the n of the last one of
        the page before."""

    async def replay(self, hook: str, n: int, now: int, record: AuditRecord | None = None) -> bool:
        """Queue an ended delivery of the webhook once more. False: there is none, or it waits."""

    async def sweep_hooks(self, before: int) -> None:
        """Remove some of the records that ended before this time, or are too many. Forget
        webhooks that their jobs no longer have once nothing of them waits."""
