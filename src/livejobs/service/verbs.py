"""The verbs of livejobs, for its doors and for in-process code.

Reading goes to memory first, then to the store. Only the committer changes anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from livejobs.config import Settings
from livejobs.core import reports as say
from livejobs.core.access import ANONYMOUS, Principal
from livejobs.core.history import History, Range
from livejobs.core.model import FLAGS, File, Flag, Status
from livejobs.files.upload import pieces
from livejobs.jobs.changes.reporting import Receipt, encoded
from livejobs.jobs.changes.verbs import Verbs
from livejobs.jobs.listing import Listing
from livejobs.jobs.state import Slot
from livejobs.powers import NONE, Powers
from livejobs.service.assembly import Assembly
from livejobs.store.audit import AuditEntry, AuditRecord
from livejobs.store.base import Query, Store
from livejobs.telemetry.histogram import Histogram
from livejobs.tracing.parts import Tracing


class Job(Verbs):
    """A job in the hands of in-process code: each report is a call."""

    def __init__(self, live: LiveJobs, slot: Slot) -> None:
        self._live = live
        self._slot = slot

    @property
    def id(self) -> str:
        return self._slot.head.id

    @property
    def status(self) -> Status:
        return self._slot.head.status

    @property
    def cancel_requested(self) -> bool:
        return self._slot.head.cancel_requested

    async def report(self, *reports: say.AnyReport | Mapping[str, Any]) -> Receipt:
        """Apply all of the reports, or none."""
        self._live.check_running()
        reporting = self._live.reporting
        return await reporting.apply(self._slot, reporting.check(reports))

    async def ask(
        self, prompt: str, schema: Mapping[str, Any] | None = None, timeout: float | None = None
    ) -> Any:
        """Ask a person, and return the answer. None: the time is over, or the question is void,
        because the job was cancelled or has ended, or because another question came."""
        n = (await self.report({"type": "ask", "prompt": prompt, "schema": schema})).asked
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._until_closed(n)
        answer = self._slot.head.answer
        if not self._live.over(self._slot):
            await self.report(say.Heartbeat(answered=n))
        return answer.value if answer is not None and answer.n == n else None

    async def _until_closed(self, n: int | None) -> None:
        slot = self._slot
        while not self._live.over(slot) and slot.head.waiting and slot.head.waiting.n == n:
            await slot.changed()

    async def ask_to_cancel(self) -> None:
        """Request the end of the job. Its worker sees `cancel_requested`, and reports the end."""
        await self._live.cancel(self.id)

    async def put_file(
        self, name: str, data: bytes | Path | AsyncIterable[bytes], *, media_type: str = ""
    ) -> File:
        """Store a file of the job. It replaces a file with the same name."""
        self._live.check_running()
        file, _ = await self._live.files.take(self._slot, name, pieces(data), media_type=media_type)
        return file

    async def state(self) -> dict[str, Any]:
        """The whole job, as a client sees it."""
        self._live.check_running()
        state: dict[str, Any] = msgspec.json.decode(await self._live.state(self._slot))
        return state


class LiveJobs(Assembly):
    """The service. `async with LiveJobs(settings) as live:` starts and stops it."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        store: Store | None = None,
        powers: Powers = NONE,
        traces: Tracing | None = None,
    ) -> None:
        super().__init__(settings, store=store, powers=powers, traces=traces)
        # Verbs of the parts, offered as they are.
        self.state, self.whole = self.reader.state, self.reader.whole
        self.refresh = self.reader.refresh
        self.entries, self.logs = self._entry_reader.entries, self._entry_reader.logs
        self.wait, self.over = self._waits.wait, self._waits.over
        self.until = self._waits.until
        self.until_drained = self._waits.until_drained
        self.reach, self.end_after = self.nodes.reach, self.nodes.end_after

    # Creating and changing

    def keep_by_default(self, retention: Mapping[str, float]) -> None:
        """How long finished jobs of a type are kept where nothing else is set, in seconds."""
        self.creating.retention |= retention

    async def create(self, *, by: Principal = ANONYMOUS, **fields: Any) -> Job:
        """Create a job from in-process code. The fields are those of `POST /v1/jobs`."""
        self.check_running()
        new = say.decode_new_job(encoded(fields))
        return Job(self, await self.creating.create(new, by))

    async def report(
        self,
        id: str,
        *reports: say.AnyReport | Mapping[str, Any],
        by: Principal = ANONYMOUS,
    ) -> Receipt:
        """Apply all of the reports, or none."""
        checked = self.reporting.check(reports)
        return await self.reporting.apply(await self.find(id, by), checked)

    async def cancel(self, id: str, *, force: bool = False, by: Principal = ANONYMOUS) -> Slot:
        """Ask for the end of a job. A queued job ends now, and with `force` a running one too."""
        self.check_running()
        return await self._changing.cancel(id, force=force, by=by)

    async def answer(
        self, id: str, value: Any, *, n: int | None = None, by: Principal = ANONYMOUS
    ) -> Slot:
        """Answer what the job waits for. `n`: only if that is the number of its question."""
        self.check_running()
        return await self._changing.answer(id, value, n=n, by=by)

    async def delete(self, id: str, *, by: Principal = ANONYMOUS) -> None:
        """Delete a finished job with its entries and files."""
        self.check_running()
        await self._changing.delete(id, by=by)

    # Reading

    async def find(self, id: str, by: Principal = ANONYMOUS) -> Slot:
        """The job; NotFound if there is none that the caller may see."""
        self.check_running()
        return await self.reader.find(id, by)

    def at_hand(self, id: str, by: Principal) -> Slot | None:
        """The job, if it is in memory and the caller may see it."""
        slot = self.registry.get(id)
        return slot if slot is not None and by.sees(slot.head) else None

    async def job(self, id: str, *, by: Principal = ANONYMOUS) -> dict[str, Any]:
        """The whole job, for in-process code."""
        job: dict[str, Any] = msgspec.json.decode(await self.state(await self.find(id, by)))
        return job

    async def list(
        self, query: Query, *, limit: int = 100, after: str | None = None, skip: int = 0
    ) -> Listing:
        self.check_running()
        return await self._lister.list(query, limit=limit, after=after, skip=skip)

    async def latest(self, query: Query, *, limit: int, after: str | None = None) -> Listing:
        """The jobs of the query's one project, the newest change first. A page can have fewer jobs
        than `limit`, even none, and still a next page."""
        self.check_running()
        return await self._lister.latest(query, limit=limit, after=after)

    async def audit(
        self, *, limit: int, before: int | None, job: str | None = None
    ) -> Sequence[AuditEntry]:
        """The audit trail, newest first; with `job` only what was done to jobs with this id."""
        return await self.store.audit(limit=limit, before=before, job=job)

    async def record(self, acts: Sequence[AuditRecord]) -> None:
        """Add to the audit trail what changed no job."""
        await self.store.add_audit(acts)

    async def history(self, projects: tuple[str, ...] | None, range: Range, now: int) -> History:
        """What was counted in the range that ends now; None: of all projects."""
        self.check_running()
        return await self.store.history(projects, range, range.since(now))

    async def flagged(self, projects: tuple[str, ...] | None) -> dict[Flag, int]:
        """How many jobs have each flag."""
        counts = {flag: await self.store.counts(Query(projects, flag=flag)) for flag in FLAGS}
        return {flag: sum(by_status.values()) for flag, by_status in counts.items()}

    @property
    def shared(self) -> bool:
        """Whether other nodes may use the same database."""
        return self.store.shared

    def projects(self, by: Principal) -> Sequence[str]:
        """The names of the projects that the caller may see, in alphabetical order."""
        return sorted(
            name for name in self.committer.epochs if by.projects is None or name in by.projects
        )

    def queue_length(self, slot: Slot) -> int:
        """How many jobs wait in the queue that the job is, or was, in."""
        return self.lanes.length(slot.head)

    # Numbers

    def statistics(self) -> dict[str, int]:
        in_memory = self.registry.statistics()
        return {
            **in_memory,
            "jobs_queued": self.lanes.queued,
            "jobs_running": in_memory["jobs_unfinished"] - self.lanes.queued,
            "commits": self.committer.commits,
            "commits_again": self.committer.outpaced,
            "commits_refused": self.committer.refused,
            "commit_queue": self.committer.waiting,
            "reports": self.reporting.applied,
            "changes": int(self.committer.changes.sum),
            "leads": int(self.nodes.leads),
            "nodes": 1 + self.nodes.others,
            "store_failing": int(self.committer.failing),
            **self.hub.statistics(),
            **self.files.statistics(),
            **self.sweeper.expiry.statistics(),
            **self.hooks.deliverer.statistics(),
        }

    def histograms(self) -> Mapping[str, Histogram]:
        return {
            "commit_seconds": self.committer.seconds,
            "commit_changes": self.committer.changes,
            "loop_lag_seconds": self._lag.seconds,
        }
