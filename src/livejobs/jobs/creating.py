"""How a job comes to be: once, however often it is asked for, and where there is room for it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Callable
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
from livejobs.core.model import ID_PATTERN, Head
from livejobs.core.uuid7 import uuid7
from livejobs.jobs.committer import Committer, Draft
from livejobs.jobs.reader import Reader
from livejobs.jobs.state import Slot
from livejobs.store.base import Idempotency, JobStore

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
    ) -> None:
        # Seconds that finished jobs of a type are kept by default; see Face.
        self.retention: dict[str, float] = {}
        self._settings = settings
        self._store = store
        self._committer = committer
        self._reader = reader
        self._check_size = check_size
        self._repeating: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def once(
        self, new: say.NewJob, *, by: Principal = ANONYMOUS, key: str | None = None
    ) -> tuple[Slot, bool]:
        """The new job, and whether it is new: with an idempotency `key` that the caller used
        before for the same, it is the one that was made then."""
        if key is None:
            return await self.create(new, by, None), True
        # Before a job of another token of the same key is found.
        require_project(by, new.project or by.default_project)
        require_id(by, new.id)
        async with self._repeating.setdefault((by.credential, key), asyncio.Lock()):
            return await self._recall_or_create(new, by, key)

    async def _recall_or_create(
        self, new: say.NewJob, by: Principal, key: str
    ) -> tuple[Slot, bool]:
        digest = digest_of(replace(new, project=new.project or by.default_project))
        made = await self._store.repeated(by.credential, key, clock.now_ms())
        if made is None or await self._reader.look_up(made.job) is None:  # or deleted since
            record = Idempotency(by.credential, key, digest, "", clock.now_ms() + REPEATABLE)
            return await self.create(new, by, record), True
        if made.body != digest:
            raise IdempotencyMismatch(
                "This Idempotency-Key was used with another body. Use a new key for a new job."
            )
        return await self._reader.find(made.job, by), False

    async def put(
        self, id: str, new: say.NewJob, *, by: Principal = ANONYMOUS
    ) -> tuple[Slot, bool]:
        """Create if absent; else what is there, if it is of the same project."""
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
                return there, False
            try:
                return await self.create(new, by, None), True
            except Conflict:  # made by somebody else since we looked
                continue
        raise _exists(id)

    async def create(self, new: say.NewJob, by: Principal, idempotency: Idempotency | None) -> Slot:
        project = new.project or by.default_project
        require_project(by, project)
        require_id(by, new.id)
        if new.owner not in (None, by.name):
            require(by, "own")
        await self.project(project)
        if new.id is not None and await self._reader.look_up(new.id) is not None:
            raise _exists(new.id)
        if new.parent is not None:
            await self._check_parent(new.parent, project)
        head = self._new_head(new, project, by)
        if idempotency is not None:
            idempotency = replace(idempotency, job=head.id)

        def act(draft: Draft) -> Slot:
            if draft.slot(head.id) is not None:
                raise _exists(head.id)
            self._check_room(draft, project)
            return draft.create(head, self._settings.base_path, idempotency)

        return (await self._committer.submit(act)).value

    def _new_head(self, new: say.NewJob, project: str, by: Principal) -> Head:
        now = clock.now_ms()
        head = reducer.create(
            new,
            id=new.id or uuid7(now, os.urandom(10)),
            project=project,
            owner=new.owner or by.name,
            now=now,
            heartbeat_timeout=self._settings.heartbeat_timeout or None,
            ttl_seconds=self._retention(new.type),
        )
        self._check_size(head, "")
        return head

    def _retention(self, type: str | None) -> float | None:
        """Seconds, of a job that says nothing of it; None: for ever. A face's own default stands
        in for ours, not for what was set."""
        said = self._settings.retention_seconds
        if said == RETENTION:
            said = self.retention.get(type or "", said)
        return said or None

    def _check_room(self, draft: Draft, project: str) -> None:
        """Asked when the act's turn comes, so that a crowd can't pass the bound together."""
        limit = self._settings.max_queued
        if draft.queued >= limit:
            raise TooMany(
                f"{limit} jobs are queued, the most this server takes. Try again later.",
                code="queue_full",
                headers={"Retry-After": "5"},
            )
        most = self._settings.max_unfinished
        if most is not None and draft.unfinished(project) >= most:
            raise TooMany(
                f"{most} jobs of project {project!r} have not ended, the most it may have. "
                "Finish or cancel some, or try again later.",
                code="too_many_unfinished",
                headers={"Retry-After": "5"},
            )

    async def _check_parent(self, parent: str, project: str) -> None:
        slot = await self._reader.look_up(parent)
        if slot is None or slot.head.project != project:
            raise Invalid.at("/parent", f"There is no job {parent!r} in project {project!r}.")

    async def project(self, name: str) -> None:
        if name not in self._committer.epochs:
            project = await self._store.project(name)
            self._committer.epochs[name] = project.epoch
            self._committer.seqs.setdefault(name, project.seq)


def digest_of(new: say.NewJob) -> bytes:
    """Of what was asked for, however it was written: white space, the order of names, 1 or 1.0
    (they are one number, as in RFC 8785), and a default that is left out or sent make no other."""
    said = {name: it for name, it in msgspec.to_builtins(new).items() if it not in _UNSAID}
    return hashlib.sha256(msgspec.json.encode(_plain(said), order="sorted")).digest()


_UNSAID: Final[tuple[object, ...]] = (None, [], {})


def _plain(value: Any) -> Any:
    """With whole numbers as such."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    # Past this bound a float stands for more than one whole number.
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return int(value) if whole else value


def _exists(id: str) -> Conflict:
    return Conflict(f"There is a job {id!r} already.", code="job_exists")
