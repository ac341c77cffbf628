"""Create jobs: once for each request, even if it is repeated, and only within the limits."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from typing import Any, Final
from weakref import WeakValueDictionary

import msgspec
from msgspec.structs import replace

from livejobs import clock
from livejobs.config import RETENTION, Settings
from livejobs.core import reducer
from livejobs.core import reports as say
from livejobs.core.access import ANONYMOUS, Principal, require, require_id, require_project
from livejobs.core.errors import Conflict, IdempotencyMismatch, Invalid, TooMany
from livejobs.core.hooks import Hook
from livejobs.core.model import ID_PATTERN, Head
from livejobs.core.uuid7 import uuid7
from livejobs.jobs.changes.acts import act_of_other
from livejobs.jobs.commit.committer import Committer
from livejobs.jobs.commit.transaction import Transaction
from livejobs.jobs.reader import Reader
from livejobs.jobs.state import Slot
from livejobs.store.base import Idempotency, JobStore

# Make a new job's webhooks from: what its creator wants, project, job, creator, now.
MakeHooks = Callable[[Sequence[say.NewHook], str, str, str, int], tuple[Hook, ...]]

REPEATABLE: Final = 24 * 3600 * 1000  # how long an Idempotency-Key is remembered

_ID: Final = re.compile(ID_PATTERN)


class Creating:
    def __init__(
        self,
        settings: Settings,
        store: JobStore,
        committer: Committer,
        reader: Reader,
        check_size: Callable[[Head, str], None],
        make_hooks: MakeHooks,
    ) -> None:
        # By type, how many seconds a finished job is kept by default (see Face).
        self.retention: dict[str, float] = {}
        self._settings = settings
        self._types, self._projects = (
            dict(it) for it in (settings.retention_types, settings.retention_projects)
        )
        self._store = store
        self._committer = committer
        self._reader = reader
        self._check_size = check_size
        self._make_hooks = make_hooks
        self._repeating: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def once(
        self, new: say.NewJob, *, by: Principal = ANONYMOUS, key: str | None = None
    ) -> tuple[Slot, bool]:
        """The job, and whether it is new. If the caller has used the idempotency `key` before,
        with the same body, this returns the job of the first request."""
        if key is None:
            return await self.create(new, by), True
        # Check first: the lookup may find a job that another token of the same key created.
        require_project(by, new.project or by.default_project)
        require_id(by, new.id)
        async with self._repeating.setdefault((by.credential, key), asyncio.Lock()):
            while (made := await self._recall_or_create(new, by, key)) is None:
                """Another node has committed meanwhile, perhaps the same request."""
            return made

    async def _recall_or_create(
        self, new: say.NewJob, by: Principal, key: str
    ) -> tuple[Slot, bool] | None:
        """None: look again."""
        digest = digest_of(replace(new, project=new.project or by.default_project))
        made = await self._store.repeated(by.credential, key, clock.now_ms())
        if made is None or await self._reader.look_up(made.job) is None:  # or deleted meanwhile
            record = Idempotency(by.credential, key, digest, "", clock.now_ms() + REPEATABLE)
            slot = await self._create(new, by, record)
            return None if slot is None else (slot, True)
        if made.body != digest:
            raise IdempotencyMismatch(
                "This Idempotency-Key was used with another body. Use a new key for a new job."
            )
        return await self._reader.find(made.job, by), False

    async def put(
        self, id: str, new: say.NewJob, *, by: Principal = ANONYMOUS
    ) -> tuple[Slot, bool]:
        """Create the job if it is absent. Else return the existing job of the same project."""
        if not _ID.match(id):
            raise Invalid.at("/id", "An id is a letter or digit, then up to 127 of A-Za-z0-9._:~-")
        if new.id not in (None, id):
            raise Invalid.at("/id", "The id in the body is not the one in the URL.")
        new = replace(new, id=id)
        require_project(by, new.project or by.default_project)
        require_id(by, id)
        for _ in range(2):
            there = await self._reader.look_up(id)
            if there is not None:
                if there.head.project != (new.project or by.default_project) or not by.sees(
                    there.head
                ):
                    raise _exists(id)
                # A wrong webhook is refused, whether the job is there or not.
                self._make_hooks(new.webhooks, there.head.project, id, by.name, clock.now_ms())
                return there, False
            try:
                return await self.create(new, by), True
            except Conflict:  # another request has just created it
                continue
        raise _exists(id)

    async def create(self, new: say.NewJob, by: Principal) -> Slot:
        slot = await self._create(new, by, None)
        assert slot is not None, "only a request with an idempotency key may be repeated"
        return slot

    async def _create(
        self, new: say.NewJob, by: Principal, idempotency: Idempotency | None
    ) -> Slot | None:
        """None: another node may have created the job of this idempotency key."""
        project = new.project or by.default_project
        require_project(by, project)
        require_id(by, new.id)
        if new.owner not in (None, by.name):
            require(by, "own")
        await self.project(project)
        if new.id is not None and await self._reader.look_up(new.id) is not None:
            raise _exists(new.id)
        if new.parent is not None:
            await self._check_parent(new.parent, project, by)
        now = clock.now_ms()
        id = new.id or uuid7(now, os.urandom(10))
        hooks = self._make_hooks(new.webhooks, project, id, by.name, now)
        head = self._new_head(replace(new, id=id), project, by, now, hooks)
        if idempotency is not None:
            idempotency = replace(idempotency, job=head.id)

        def operation(transaction: Transaction) -> Slot | None:
            if transaction.again and idempotency is not None:
                return None
            if transaction.slot(head.id) is not None:
                raise _exists(head.id)
            self._check_room(transaction, project)
            act = act_of_other(head, transaction.now, by, "create", owner=head.owner)
            base = self._settings.base_path
            return transaction.create(head, base, idempotency, act, hooks)

        return (await self._committer.submit(operation)).value

    def _new_head(
        self, new: say.NewJob, project: str, by: Principal, now: int, hooks: tuple[Hook, ...]
    ) -> Head:
        head = reducer.create(
            new,
            id=new.id or "",
            project=project,
            owner=new.owner or by.name,
            now=now,
            heartbeat_timeout=self._settings.heartbeat_timeout or None,
            ttl_seconds=self._retention(new.type or "", project),
            hooks=tuple(it.ref for it in hooks),
        )
        self._check_size(head, "/" + max(_ANY_SIZE, key=lambda name: _size(new, name)))
        return head

    def _retention(self, type: str, project: str) -> float | None:
        """How many seconds to keep a job without `ttl_seconds`; None: for ever. The default of a
        face replaces the server's default, but not a value that the operator set."""
        seconds = self._settings.retention_seconds
        if seconds == RETENTION:
            seconds = self.retention.get(type, seconds)
        seconds = self._projects.get(project, seconds)
        return self._types.get(type, seconds) or None

    def _check_room(self, transaction: Transaction, project: str) -> None:
        """Runs inside the transaction, so concurrent requests can't pass the limit together."""
        limit = self._settings.max_queued
        if transaction.queued >= limit:
            raise TooMany(
                f"{limit} jobs are queued, which is the limit (max_queued). Try again later.",
                code="queue_full",
                headers={"Retry-After": "5"},
            )
        most = self._settings.max_unfinished
        if most is not None and transaction.unfinished(project) >= most:
            raise TooMany(
                f"Project {project!r} has {most} unfinished jobs, which is the limit "
                "(max_unfinished). Finish or cancel some, or try again later.",
                code="too_many_unfinished",
                headers={"Retry-After": "5"},
            )

    async def _check_parent(self, parent: str, project: str, by: Principal) -> None:
        """A new child is a change of its parent, so a credential for other jobs may not make it."""
        slot = await self._reader.look_up(parent)
        if slot is None or slot.head.project != project or not by.sees(slot.head):
            raise Invalid.at("/parent", f"There is no job {parent!r} in project {project!r}.")

    async def project(self, name: str) -> None:
        if name not in self._committer.epochs:
            self._committer.note_project(await self._store.project(name))


def digest_of(new: say.NewJob) -> bytes:
    """The same for two bodies that mean the same. White space, the order of names, 1 or 1.0 (one
    number, as in RFC 8785) and a default that is sent or left out make no difference."""
    fields = {name: it for name, it in msgspec.to_builtins(new).items() if it not in _DEFAULTS}
    return hashlib.sha256(msgspec.json.encode(_plain(fields), order="sorted")).digest()


# The fields of a new job that may be so large that the others have no room beside them.
_ANY_SIZE: Final = ("meta", "steps", "tags", "title")


def _size(new: say.NewJob, name: str) -> int:
    return len(msgspec.json.encode(getattr(new, name)))


_DEFAULTS: Final[tuple[object, ...]] = (None, [], {})


def _plain(value: Any) -> Any:
    """The value with each whole float as an int."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    # From 2**53 on, one float stands for several whole numbers.
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return int(value) if whole else value


def _exists(id: str) -> Conflict:
    return Conflict(f"There is already a job {id!r}.", code="job_exists")
