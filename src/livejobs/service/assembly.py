"""Assemble the parts of livejobs, start them together, and stop them."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from threading import get_ident
from typing import Self

from livejobs.access.issuer import issuer_of
from livejobs.access.keyring import Keyring, load_secret, proposed_secret
from livejobs.access.limits import Limits
from livejobs.config import SettingError, Settings, first_admin_key, refuse_strangers
from livejobs.core.access import ANONYMOUS
from livejobs.core.errors import NotStarted
from livejobs.core.model import Stored
from livejobs.files.filing import Files
from livejobs.hooks.hooks import Hooks
from livejobs.jobs.changes.changing import Changing
from livejobs.jobs.changes.creating import Creating
from livejobs.jobs.changes.reporting import bounds_of
from livejobs.jobs.changes.sweeper import Sweeper
from livejobs.jobs.commit.committer import shutting_down
from livejobs.jobs.commit.transaction import caps_of
from livejobs.jobs.lanes import Lanes
from livejobs.jobs.listing import Lister
from livejobs.jobs.logs import EntryReader
from livejobs.jobs.reader import Reader
from livejobs.jobs.state import Registry
from livejobs.jobs.waits import Waits
from livejobs.powers import NONE, Powers
from livejobs.private import FOLDER, SHARED, make_folder
from livejobs.service.health import Health
from livejobs.service.nodes import Nodes
from livejobs.stopping import StopSignals
from livejobs.store.base import Store
from livejobs.store.choice import store_of
from livejobs.telemetry.disk import Disk
from livejobs.telemetry.lag import LoopLag
from livejobs.tracing.parts import PLAIN, Tracing

log = logging.getLogger("livejobs")


class Assembly:
    """The parts of one server. `async with` starts and stops them."""

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


def _make_folder(path: Path, mode: int) -> None:
    try:
        make_folder(path, mode)
    except OSError as error:
        raise SettingError("data", str(path), f"can't be created: {error.strerror}") from None
