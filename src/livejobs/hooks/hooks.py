"""The verbs for webhooks: create, list, remove, rotate, test, and what was delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from livejobs import clock
from livejobs.config import Settings
from livejobs.core.access import Principal, require_project
from livejobs.core.errors import Conflict, NotFound
from livejobs.core.hooks import OF_PROJECT, Hook
from livejobs.core.model import Head, encode_head
from livejobs.core.reports import NewHook
from livejobs.hooks.addresses import Allowed
from livejobs.hooks.attaching import Attaching
from livejobs.hooks.delivering import Deliverer, Sender, Site
from livejobs.hooks.making import Maker, rotated
from livejobs.jobs.commit.committer import Committer
from livejobs.store.audit import AuditRecord
from livejobs.store.base import Store
from livejobs.store.hooks import Delivery, Payload


class Hooks:
    def __init__(
        self,
        settings: Settings,
        store: Store,
        committer: Committer,
        check_size: Callable[[Head, str], None],
        leads: Callable[[], bool],
    ) -> None:
        """`leads`: whether this node does what only one of those on a database does."""
        allowed = Allowed(settings.webhook_allow_private)
        self.maker = Maker(allowed)
        site = Site(settings.public_url or "", settings.base_path)
        self.deliverer = Deliverer(store, committer, partial(_sender, allowed), site, leads)
        self._attaching = Attaching(store, committer, self.maker, check_size)
        # Verbs of a part, offered as they are.
        self.attach, self.detach = self._attaching.attach, self._attaching.detach
        self._store = store
        self._committer = committer
        self.begin()

    def begin(self) -> None:
        self._changing = asyncio.Lock()  # it belongs to one event loop
        self._attaching.begin()

    async def load(self) -> None:
        """Learn the webhooks of all projects."""
        self._committer.book.take(await self._store.hooks())

    def of_job(
        self, new: Sequence[NewHook], project: str, job: str, by: str, now: int
    ) -> tuple[Hook, ...]:
        """The webhooks of a new job."""
        return self.maker.many(new, project=project, job=job, by=by, now=now)

    async def list(self, by: Principal, job: Head | None = None) -> Sequence[Hook]:
        """Those of the projects that the caller may see, or those of a job."""
        hooks = await self._store.hooks(None if job is None else job.id)
        return [it for it in hooks if by.sees_project(it.project)]

    async def find(self, id: str, by: Principal) -> Hook:
        hook = await self._store.hook(id)
        if hook is None or not by.sees_project(hook.project):
            raise NotFound(f"There is no webhook {id!r}.", code="webhook_not_found")
        return hook

    async def create(self, new: NewHook, project: str, by: Principal) -> Hook:
        require_project(by, project)
        async with self._changing:
            there = [it for it in await self._store.hooks() if it.project == project]
            if len(there) >= OF_PROJECT:
                raise Conflict(
                    f"Project {project!r} has {OF_PROJECT} webhooks, which is the limit. Remove "
                    "one first.",
                    code="too_many_webhooks",
                )
            hook = self.maker.make(
                new, "", project=project, job=None, by=by.name, now=clock.now_ms()
            )
            await self._store.save_hook(hook, _act(hook, by, "webhook.create"))
            await self.load()
        return hook

    async def remove(self, id: str, by: Principal) -> None:
        async with self._changing:
            hook = await self.find(id, by)
            await self._store.drop_hook(hook.id, _act(hook, by, "webhook.delete"))
            await self.load()

    async def rotate(self, id: str, secret: str | None, by: Principal) -> Hook:
        """Give it another secret. For a day, messages are signed with the old one as well."""
        async with self._changing:  # one that is removed meanwhile must stay so
            hook = rotated(await self.find(id, by), secret, clock.now_ms())
            await self._store.save_hook(hook, _act(hook, by, "webhook.rotate"))
        return hook

    async def test(self, id: str, by: Principal) -> dict[str, Any]:
        """Send a made-up job to the receiver now, and say what it answered."""
        hook = await self.find(id, by)
        began = clock.monotonic()
        note = self.deliverer.note(_sample(hook, clock.now_ms()), event="test")
        verdict, answer = await self.deliverer.send(note)
        return {
            "delivered": verdict.error is None,
            "code": None if answer is None else answer.status,
            "ms": round((clock.monotonic() - began) * 1000),
            "error": verdict.error,
        }

    async def deliveries(
        self, id: str, by: Principal, *, limit: int, before: int | None
    ) -> Sequence[Delivery]:
        hook = await self.find(id, by)
        return await self._store.deliveries(hook.id, limit=limit, before=before)

    async def replay(self, id: str, n: int, by: Principal) -> None:
        """Deliver once more what has ended."""
        hook = await self.find(id, by)
        if hook.ended is not None:
            raise Conflict(f"Webhook {id!r} has ended: {hook.ended}", code="webhook_ended")
        record = _act(hook, by, "webhook.replay", delivery=n)
        if not await self._store.replay(hook.id, n, clock.now_ms(), record):
            raise NotFound(
                f"Webhook {id!r} has no delivery {n} that has ended. One that waits is sent "
                "without a replay.",
                code="delivery_not_found",
            )
        self.deliverer.wake()


def _sender(allowed: Allowed) -> Sender:
    from livejobs.hooks import sending  # noqa: PLC0415 - its library takes a sixth of a start

    return sending.Sender(allowed)


def _act(hook: Hook, by: Principal, action: str, **more: Any) -> AuditRecord:
    detail = {"webhook": hook.id, **more}
    return AuditRecord(clock.now_ms(), by.name, action, hook.project, hook.job, detail, by.key)


def _sample(hook: Hook, now: int) -> Payload:
    head = Head(
        "webhook-test", hook.project, "livejobs", now, now, now, "test", "A test of this webhook"
    )
    delivery = Delivery(
        0, hook.id, hook.project, head.id, "created", seq=now % 2**40, at=now, state="waiting",
        replay=False, attempts=0, next_at=None, ended_at=None, code=None, ms=None, error=None,
        ref=None,
    )  # fmt: skip
    return Payload(delivery, encode_head(head), hook, None)
