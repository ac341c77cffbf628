"""Assemble the parts of livejobs, start and stop them, and offer their verbs to in-process code.

Reading goes to memory first, then to the store. Only the committer changes anything.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import get_ident
from typing import Any, Self

import msgspec

from livejobs.access.issuer import issuer_of
from livejobs.access.keyring import Keyring, load_secret, proposed_secret
from livejobs.access.limits import Limits
from livejobs.config import SettingError, Settings, first_admin_key, refuse_strangers
from livejobs.core import reports as say
from livejobs.core.access import ANONYMOUS, Principal
from livejobs.core.errors import NotStarted
from livejobs.core.history import History, Range
from livejobs.core.model import FLAGS, File, Flag, Status, Stored
from livejobs.files.filing import Files
from livejobs.files.upload import pieces
from livejobs.health import Health
from livejobs.hooks.hooks import Hooks
from livejobs.jobs.changes.changing import Changing
from livejobs.jobs.changes.creating import Creating
from livejobs.jobs.changes.reporting import Receipt, bounds_of, encoded
from livejobs.jobs.changes.sweeper import Sweeper
from livejobs.jobs.changes.verbs import Verbs
from livejobs.jobs.commit.committer import shutting_down
from livejobs.jobs.commit.transaction import caps_of
from livejobs.jobs.lanes import Lanes
from livejobs.jobs.listing import Lister, Listing
from livejobs.jobs.logs import EntryReader
from livejobs.jobs.reader import Reader
from livejobs.jobs.state import Registry, Slot
from livejobs.jobs.waits import Waits
from livejobs.nodes import Nodes
from livejobs.powers import NONE, Powers
from livejobs.private import FOLDER, SHARED, make_folder
from livejobs.stopping import StopSignals
from livejobs.store.audit import AuditEntry, AuditRecord
from livejobs.store.base import Query, Store
from livejobs.store.choice import store_of
from livejobs.telemetry.disk import Disk
from livejobs.telemetry.histogram import Histogram
from livejobs.telemetry.lag import LoopLag
from livejobs.tracing.parts import PLAIN, Tracing

log = logging.getLogger("livejobs")


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


class LiveJobs:
    """The service. `async with LiveJobs(settings) as live:` starts and stops it."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        store: Store | None = None,
        powers: Powers = NONE,
        traces: Tracing | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.traces = traces
        parts = PLAIN if traces is None else traces.parts
        self.powers = powers  # of the server that runs the app
        self.bounds = bounds_of(self.settings)
        self._folder = self.settings.data if store is None else None
        self.store = store or store_of(self.settings.data, self.settings.database)
        self.registry = Registry()
        self.lanes = Lanes()
        base = self.settings.base_path
        caps = caps_of(self.settings)
        self.committer = parts.committer(self.store, self.registry, self.lanes, base, caps)
        self.reader = Reader(self.store, self.registry, self.committer, base)
        self._waits = Waits(self.registry)
        self._lister = Lister(self.store, self.registry, self.reader, self.committer)
        self._entry_reader = EntryReader(self.store, self._waits)
        self._changing = Changing(self.committer, self.reader)
        # Verbs of the parts, offered as they are.
        self.state, self.whole = self.reader.state, self.reader.whole
        self.refresh = self.reader.refresh
        self.entries, self.logs = self._entry_reader.entries, self._entry_reader.logs
        self.wait, self.over = self._waits.wait, self._waits.over
        self.until = self._waits.until
        self.until_drained = self._waits.until_drained
        self.reporting = parts.reporting(self.committer, self.bounds)
        check_size = self.reporting.check_size
        self.hooks = Hooks(
            self.settings, self.store, self.committer, check_size, leads=lambda: self.nodes.leads
        )
        self.creating = Creating(
            self.settings, self.store, self.committer, self.reader, check_size, self.hooks.of_job
        )
        self.files = Files(self.settings, self.store, self.committer, check_size)
        self.keyring = Keyring(
            self.store,
            admin_key=first_admin_key(self.settings),
            issuer=issuer_of(self.settings),
        )
        limits = Limits(self.settings)
        self.limiter, self.refusals = limits.limiter, limits.refusals
        self.note_refusal = limits.note_refusal
        self.hub = parts.hub(
            self.store,
            self.reader,
            self.committer,
            self.keyring,
            largest_batch=self.settings.max_batch,
            connections_each=self.settings.max_connections_per_key,
            inline=powers.inline,
            writer_of=powers.writer_of,
        )
        self.nodes = Nodes(self.store, self.committer, self.registry, self.keyring, self.hooks.load)
        self.reach, self.end_after = self.nodes.reach, self.nodes.end_after
        self.health = Health(
            self.committer,
            self.nodes,
            self.registry,
            Disk((self.settings.data, self.settings.files_folder)),
            shared=self.store.shared,
            least_free=self.settings.min_free_bytes,
        )
        self.sweeper = Sweeper(
            self.committer,
            self.registry,
            self.store,
            self.settings.lost_after,
            self.reader,
            leads=lambda: self.nodes.leads,
            heard_until=self.nodes.heard_until,
        )
        self.sweeper.also += [self.keyring.note_uses, self.files.sweep]
        self._lag = LoopLag()
        self.running = False
        self._loop: asyncio.AbstractEventLoop | None = None  # in which it was started
        self._thread = 0  # the thread of that loop
        self._signals: StopSignals | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # Life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Can be called again after `stop`."""
        if self.running:
            raise RuntimeError("This LiveJobs is running. Start it once, in one lifespan.")
        self._begin()
        await self._open()
        self._tasks = [
            asyncio.create_task(self.committer.run(), name="committer"),
            asyncio.create_task(self.sweeper.run(), name="sweeper"),
            asyncio.create_task(self.nodes.run(), name="nodes"),
            asyncio.create_task(self.hub.run(), name="hub"),
            asyncio.create_task(self.files.clear_orphans(), name="orphans"),
            asyncio.create_task(self._lag.run(), name="lag"),
            asyncio.create_task(self.hooks.deliverer.run(), name="webhooks"),
        ]
        self._loop, self._thread = asyncio.get_running_loop(), get_ident()
        self.running = True
        self.health.phase = "running"

    async def _open(self) -> None:
        """Open the store, and take over what an earlier run left in it."""
        if self._folder is not None:
            shared = self.settings.sendfile is not None
            await asyncio.to_thread(_make_folder, self._folder, SHARED if shared else FOLDER)
        await self.store.open()
        try:
            await self._load()
        except BaseException:  # also when cancelled: nobody else would close it
            await self.store.close()
            raise

    async def _load(self) -> None:
        await self.keyring.load(await self._secret())
        if not self.keyring.closed:
            refuse_strangers(self.settings)
            log.warning("Open: there are no keys, so everyone who can connect is admin.")
        for project in await self.store.projects():
            self.committer.epochs[project.name] = project.epoch
            self.committer.seqs[project.name] = project.seq
        # Clients can subscribe to it before it has a job.
        await self.creating.project(ANONYMOUS.default_project)
        await self.files.start()
        await self.hooks.load()
        # In the order in which they joined their queues: a retried job is at the end.
        unfinished = await self.store.unfinished()
        for stored in sorted(unfinished, key=lambda it: (it.head.queued_at, it.seq)):
            self._resume(stored)

    async def _secret(self) -> bytes | None:
        """What tokens are signed with. Nodes that share a database share it."""
        if self._folder is None and not self.store.shared:
            return None
        path = self._folder and self._folder / "token-secret"
        if not self.store.shared:
            return None if path is None else await asyncio.to_thread(load_secret, path)
        own = await asyncio.to_thread(proposed_secret, path)
        return bytes.fromhex(await self.store.set_meta("token_secret", own.hex(), only_new=True))

    def _begin(self) -> None:
        """Forget an earlier run: the store may have changed since."""
        self.registry.clear()
        self.lanes.clear()
        self.committer.begin()
        self.nodes.begin()
        self.hub.begin()
        self.hooks.begin()
        self._waits.begin()
        self.health.begin()

    def check_running(self) -> None:
        """Raise if nothing can be done now. Without this check a caller could wait for ever."""
        if self._loop is None:
            raise NotStarted(
                "The LiveJobs of this app was not started. Enter it in the app's lifespan: "
                "'async with live: yield'. The lifespan of a mounted app is not run."
            )
        if not self.running:
            raise shutting_down()
        # Asking for the running loop would be a system call before Python 3.12.
        if get_ident() == self._thread and self._loop.is_running():
            return
        raise RuntimeError(
            "LiveJobs was started in another event loop. Call it from there: "
            "asyncio.run_coroutine_threadsafe(…, loop)."
        )

    def heed_signals(self) -> None:
        """End streams and waits on SIGTERM or SIGINT. For servers that stop an app only after its
        streams have ended."""
        if self._signals is None and self.running:
            self._signals = StopSignals(self.let_go)

    def _resume(self, stored: Stored) -> None:
        """An unfinished job of an earlier run."""
        slot = self.registry.add(self.reader.slot(stored))
        if stored.head.status == "queued":
            slot.lane, slot.ticket = self.lanes.join(stored.head)

    async def drain(self) -> None:
        """`let_go`, for a runner that awaits it."""
        self.let_go()

    def let_go(self) -> None:
        """End every stream and every wait, so that the server can stop."""
        self.health.phase = "stopping"
        self.hub.say_bye()
        self._waits.end()

    async def stop(self) -> None:
        """Commit what was accepted, then release everything. Safe to call twice."""
        if not self.running:
            return
        self.running = False
        self.let_go()
        if self._signals is not None:
            self._signals.restore()
            self._signals = None
        committer, *others = self._tasks
        for task in others:
            task.cancel()
        self.committer.close()
        await asyncio.gather(committer, *others, return_exceptions=True)
        await self.files.stop()
        await self.store.close()
        if self.traces is not None:
            await self.traces.stop()

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


def _make_folder(path: Path, mode: int) -> None:
    try:
        make_folder(path, mode)
    except OSError as error:
        raise SettingError("data", str(path), f"can't be created: {error.strerror}") from None
