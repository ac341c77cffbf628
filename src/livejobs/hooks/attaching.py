"""Webhooks that a job gets, or loses, after its creation. They have names within the job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from livejobs import clock
from livejobs.core.access import Principal
from livejobs.core.errors import Conflict
from livejobs.core.hooks import OF_JOB, Hook
from livejobs.core.model import Head
from livejobs.core.reducer.moves import Finished
from livejobs.hooks.making import Maker, NewPush
from livejobs.jobs.changes.acts import act_on
from livejobs.jobs.commit.committer import Committer
from livejobs.jobs.commit.transaction import Transaction
from livejobs.jobs.state import Slot
from livejobs.store.audit import AuditRecord
from livejobs.store.base import Store


class Attaching:
    def __init__(
        self,
        store: Store,
        committer: Committer,
        maker: Maker,
        check_size: Callable[[Head, str], None],
    ) -> None:
        self._store = store
        self._committer = committer
        self._maker = maker
        self._check_size = check_size
        self.begin()

    def begin(self) -> None:
        self._changing = asyncio.Lock()  # it belongs to one event loop

    async def attach(self, slot: Slot, new: NewPush, by: Principal) -> Hook:
        """Give an unfinished job a webhook, in place of the one with the same name."""
        async with self._changing:
            head, now = slot.head, clock.now_ms()
            there = await self._store.hooks(head.id)
            kept = {it.id for it in there if it.name != new.name}
            if len(kept) >= OF_JOB:
                raise _too_many(head)
            make = self._maker.make
            hook = make(new, "", project=head.project, job=head.id, by=by.name, now=now)
            # Also those that `DELETE /v1/webhooks/{id}` has removed: it changes no job.
            gone = {it.id for it in head.hooks} - kept
            await self._swap(slot, gone, hook, act_on(head, now, by, "webhook.create", **_of(hook)))
            for it in there:
                if it.id not in kept:
                    await self._store.drop_hook(it.id)
        return hook

    async def detach(self, slot: Slot, name: str, by: Principal) -> None:
        """Remove the webhook with this name. It may be gone already."""
        async with self._changing:
            head, now = slot.head, clock.now_ms()
            for it in await self._store.hooks(head.id):
                if it.name == name:
                    record = act_on(head, now, by, "webhook.delete", **_of(it))
                    recorded = await self._swap(slot, {it.id}, None, record)
                    # With what waits to be delivered. A crash before this leaves no more than that.
                    await self._store.drop_hook(it.id, None if recorded else record)

    async def _swap(
        self, slot: Slot, gone: set[str], new: Hook | None, record: AuditRecord
    ) -> bool:
        """Change which webhooks the job has, and keep the new one, in one transaction. False: the
        job has finished, so it never changes, and calls no webhook."""

        def operation(transaction: Transaction) -> bool:
            head = transaction.present(slot)
            if head.finished and new is not None:
                raise Finished(head)
            if head.finished:
                return False
            kept = tuple(it for it in head.hooks if it.id not in gone)
            refs = kept if new is None else (*kept, new.ref)
            after = replace(head, hooks=refs, updated_at=max(head.updated_at, transaction.now))
            if new is not None:
                self._check_size(after, "/url")
            hooks = () if new is None else (new,)
            transaction.change(slot, after, audit=record, hooks=hooks)
            return True

        with slot.held():
            return (await self._committer.submit(operation)).value


def _of(hook: Hook) -> dict[str, str]:
    return {"webhook": hook.id}


def _too_many(head: Head) -> Conflict:
    return Conflict(
        f"Job {head.id!r} has {OF_JOB} webhooks, which is the limit. Remove one first.",
        code="too_many_webhooks",
    )
