"""Webhooks of the store in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from livejobs.core.hooks import Call, Hook
from livejobs.core.model import Head, encode_head
from livejobs.store.audit import AuditRecord
from livejobs.store.hooks import (
    RECORDS_KEPT,
    RECORDS_OF_HOOK,
    SWEPT,
    Delivery,
    Outcome,
    Payload,
    Waiting,
)


class _Row(Struct):
    delivery: Delivery
    receiver: str
    head: bytes


class MemoryHooks:
    """A HookStore. A store of several projects adds what it commits by `add_hooks` and `call`."""

    _write_audit: Callable[[AuditRecord], None]

    def __init__(self) -> None:
        self._hooks: dict[str, Hook] = {}
        self._of_gone: set[str] = set()  # webhooks that their jobs no longer have
        self._rows: dict[int, _Row] = {}
        self._called = 0

    def add_hooks(self, hooks: Sequence[Hook], gone: frozenset[str]) -> None:
        self._hooks |= {it.id: it for it in hooks}
        self._of_gone |= gone

    def call(self, calls: Sequence[Call], head: Head, seq: int) -> None:
        for call in calls:
            last = self._last(call.hook, head.id)
            if call.event == "progress" and last is not None and _renewable(last.delivery):
                last.delivery = replace(last.delivery, seq=seq, at=head.updated_at)
                last.head = encode_head(head)
            else:
                self._queue(call, head, seq)

    def _queue(self, call: Call, head: Head, seq: int) -> None:
        at = head.updated_at
        delivery = Delivery(
            0, call.hook, head.project, head.id, call.event, seq, at, "waiting", False, 0, at,
            None, None, None, None, None,
        )  # fmt: skip
        self._add(_Row(delivery, call.receiver, encode_head(head)))

    def _add(self, row: _Row) -> None:
        self._called += 1
        row.delivery = replace(row.delivery, n=self._called)
        self._rows[self._called] = row

    def _last(self, hook: str, job: str) -> _Row | None:
        rows = (it for it in reversed(self._rows.values()) if it.delivery.hook == hook)
        return next((it for it in rows if it.delivery.job == job), None)

    def _waiting_row(self, n: int) -> _Row | None:
        row = self._rows.get(n)
        return row if row is not None and row.delivery.state == "waiting" else None

    async def hooks(self, job: str | None = None) -> Sequence[Hook]:
        hidden = self._of_gone if job is not None else ()
        return [it for it in self._hooks.values() if it.job == job and it.id not in hidden]

    async def hook(self, id: str) -> Hook | None:
        return self._hooks.get(id)

    async def save_hook(self, hook: Hook, record: AuditRecord | None = None) -> None:
        self._hooks[hook.id] = hook
        if hook.ended is not None:
            for row in self._rows.values():
                it = row.delivery
                if it.hook == hook.id and it.state == "waiting":
                    row.delivery = replace(
                        it, state="failed", ended_at=hook.ended_at, error=hook.ended, next_at=None
                    )
        self._write(record)

    async def drop_hook(self, id: str, record: AuditRecord | None = None) -> None:
        self._drop(id)
        self._write(record)

    def _drop(self, id: str) -> None:
        self._hooks.pop(id, None)
        self._of_gone.discard(id)
        self._rows = {n: it for n, it in self._rows.items() if it.delivery.hook != id}

    def _write(self, record: AuditRecord | None) -> None:
        if record is not None:
            self._write_audit(record)

    async def waiting(self, after: Mapping[str, int], *, limit: int) -> Sequence[Waiting]:
        rows = (row for row in self._rows.values() if row.delivery.state == "waiting")
        newer = (row for row in rows if row.delivery.n > after.get(row.delivery.project, 0))
        return [_waiting(row) for row in islice(newer, limit)]

    async def payload(self, n: int) -> Payload | None:
        row = self._waiting_row(n)
        hook = self._hooks.get(row.delivery.hook) if row else None
        if row is None or hook is None:
            return None
        same = (it.delivery for it in reversed(self._rows.values()))
        place = (row.delivery.hook, row.delivery.job)
        refs = (it.ref for it in same if (it.hook, it.job) == place and it.ref is not None)
        return Payload(row.delivery, row.head, hook, next(refs, None))

    async def settle(self, outcomes: Sequence[Outcome]) -> set[int]:
        for outcome in outcomes:
            row = self._waiting_row(outcome.n)
            if row is not None:
                row.delivery = _after(row.delivery, outcome)
        return {it.n for it in outcomes if self._waiting_row(it.n) is not None}

    async def deliveries(
        self, hook: str, *, limit: int, before: int | None = None
    ) -> Sequence[Delivery]:
        rows = (it.delivery for it in reversed(self._rows.values()))
        own = (it for it in rows if it.hook == hook and (before is None or it.n < before))
        return list(islice(own, limit))

    async def replay(self, hook: str, n: int, now: int, record: AuditRecord | None = None) -> bool:
        row = self._rows.get(n)
        if row is None or row.delivery.hook != hook or row.delivery.state == "waiting":
            return False
        again = replace(
            row.delivery, state="waiting", replay=True, attempts=0, next_at=now, ended_at=None,
            code=None, ms=None, error=None, ref=None,
        )  # fmt: skip
        self._add(_Row(again, row.receiver, row.head))
        self._write(record)
        return True

    async def sweep_hooks(self, before: int) -> None:
        ended = [it.delivery for it in self._rows.values() if it.delivery.ended_at is not None]
        ended.sort(key=lambda it: it.ended_at or 0)
        old = [it.n for it in ended if (it.ended_at or 0) < before] + [
            it.n for it in ended[: max(0, len(ended) - RECORDS_KEPT)]
        ]
        for hook in self._hooks:
            own = sorted(it.n for it in ended if it.hook == hook)
            old += own[: max(0, len(own) - RECORDS_OF_HOOK)]
        for n in old[:SWEPT]:
            self._rows.pop(n, None)
        waits = {it.delivery.hook for it in self._rows.values() if it.delivery.state == "waiting"}
        for id in self._of_gone - waits:
            self._drop(id)


def _renewable(it: Delivery) -> bool:
    return it.event == "progress" and it.state == "waiting" and not it.replay


def _after(it: Delivery, outcome: Outcome) -> Delivery:
    ref = it.ref if outcome.ref is None else outcome.ref
    if outcome.state == "delivered" and it.seq != outcome.seq:
        return replace(it, attempts=0, next_at=outcome.at, error=None, ref=ref)
    return replace(
        it,
        state=outcome.state,
        attempts=outcome.attempts,
        next_at=outcome.next_at,
        ended_at=None if outcome.state == "waiting" else outcome.at,
        code=outcome.code,
        ms=outcome.ms,
        error=outcome.error,
        ref=ref,
    )


def _waiting(row: _Row) -> Waiting:
    it = row.delivery
    place = (it.n, it.hook, it.project, it.job, it.event, row.receiver)
    return Waiting(*place, it.at, it.attempts, it.next_at or 0)
