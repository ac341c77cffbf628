"""What livejobs needs from a database: JobStore and NodeStore here; FileStore, KeyStore, AuditStore
and HookStore in modules of their own. A Store is one database that is all six.
tests/store/test_store.py holds every store to these pages.

Laws, for every implementation:
- `commit` is all or nothing, durable when it returns, and gives each change the next seq of
  its project in the order given. Calls to it never overlap: a server has one committer.
- A seq is never given twice in a project's epoch, whatever is deleted.
- `commit` also adds the moves of its changes to the history, and queues the deliveries that they
  cause (see hooks.py), in the same transaction.
- Several nodes may share a database. A commit that was made on other seqs than the database has
  raises Outpaced, and nothing of it is kept.
- A read sees every commit that returned before the read began.
- Entries of a kind have no gaps: those that a head has as removed are deleted oldest first, until
  `tidy` says that there are no more. Meanwhile a read may still return some of them.
- A file's key is known from the commit that gives the file to a job. The commit that takes the
  file away ends it, and an ended file stays known until `forget_files`.
- When the medium refuses, StorageUnavailable is raised, nothing of the call is kept, and the
  store works again as soon as the medium does. A medium that is elsewhere may have kept a commit
  all the same; then it shows like the commit of another node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from msgspec import Struct

from livejobs.core.history import History, Range
from livejobs.core.hooks import Call, Hook
from livejobs.core.model import (
    Entry,
    EntryKind,
    File,
    Flag,
    Head,
    Record,
    Status,
    Stored,
    size_of,
)
from livejobs.store.audit import AuditRecord, AuditStore
from livejobs.store.files import FileStore
from livejobs.store.hooks import HookStore
from livejobs.store.keys import KeyStore

SCANNED: Final = 10_000  # jobs that one call may look at to find those of some statuses
PAGE_BYTES: Final = 512 * 1024  # a page stops here, since the server holds all of it in memory
GONE_KEPT: Final = 100_000  # deletions remembered for each project
NONE: Final[frozenset[str]] = frozenset()  # made once, since most changes have it


class Idempotency(Struct, frozen=True):
    """A create call that the client may repeat."""

    credential: str  # the caller's id
    key: str
    body: bytes  # digest of the request
    job: str
    expires_at: int


class Change(Struct, frozen=True):
    """One change of one job. before None: created; after None: deleted."""

    before: Head | None
    after: Head | None
    entries: tuple[Entry, ...] = ()
    idempotency: Idempotency | None = None
    audit: AuditRecord | None = None  # written in the same transaction
    calls: tuple[Call, ...] = ()  # to webhooks
    hooks: tuple[Hook, ...] = ()  # new webhooks of the job

    @property
    def job(self) -> Head:
        head = self.after or self.before
        assert head is not None
        return head

    @property
    def moves(self) -> bool:
        """Whether the job is created, deleted, or gets another status."""
        before, after = self.before, self.after
        return before is None or after is None or before.status != after.status

    def unhooked(self) -> frozenset[str]:
        """The ids of the webhooks that the job had, and has no more."""
        was = self.before.hooks if self.before else ()
        now = self.after.hooks if self.after else ()
        return NONE if was is now else frozenset(it.id for it in was) - {it.id for it in now}

    def files(self) -> tuple[list[File], list[File]]:
        """The files that the change adds, and those that it takes away."""
        was = self.before.files if self.before else ()
        now = self.after.files if self.after else ()
        if was == now:
            return [], []
        return [it for it in now if it not in was], [it for it in was if it not in now]


class Project(Struct, frozen=True):
    name: str
    epoch: str  # random, chosen once when the project is created in this database
    seq: int  # the last seq given; 0 when there is none
    floor: int = 0  # deletions up to here are forgotten: a feed that resumes below must reset


class Query(Struct, frozen=True):
    """Which jobs. An empty field does not limit, except `projects`: the caller may see these and
    no others (None: every project)."""

    projects: tuple[str, ...] | None
    statuses: tuple[Status, ...] = ()
    type: str | None = None
    tag: str | None = None
    parent: str | None = None
    owner: str | None = None
    flag: Flag | None = None
    q: str | None = None  # part of id or title, case-insensitive, at least 3 characters
    ids: tuple[str, ...] = ()


class Page(Struct, frozen=True):
    jobs: tuple[Stored, ...]
    next: int | None  # pass it as `before` for the next page; None at the end


class EntryQuery(Struct, frozen=True):
    """Which entries of one job and kind."""

    job: str
    kind: EntryKind
    after: int = 0  # only entries with a higher n
    after_seq: int = 0  # only entries with a higher seq
    limit: int = 100
    level: int = 0  # only entries of at least this level
    tail: bool = False  # the last `limit` entries, not the first
    most_bytes: int | None = PAGE_BYTES  # stop after the change whose values reach this size


def is_full(records: Sequence[Record], most_bytes: int = PAGE_BYTES) -> bool:
    """Whether the store stopped because of `most_bytes`, so that there may be more."""
    return size_of(record.entry for record in records) >= most_bytes


class Gone(Struct, frozen=True):
    """A deleted job, and the seq of its deletion."""

    id: str
    seq: int


class Changes(Struct, frozen=True):
    """What happened in a project after a seq, in order of seq."""

    jobs: tuple[Stored, ...]
    gone: tuple[Gone, ...]
    complete: bool  # False: there is more; ask again after the last seq given


class Tidied(Struct, frozen=True):
    """What a piece of tidying did."""

    entries: int = 0  # removed
    bytes: int = 0  # of their values
    returned: int = 0  # bytes of the database's file that the disk has again
    more: bool = False  # whether another piece may have something to do


class Space(Struct, frozen=True):
    """The room that a database takes, and what of it could be free."""

    leftovers: int = 0  # entries that `tidy` is still to remove
    leftover_bytes: int = 0
    size: int = 0  # bytes of the file; 0: the database is no file of ours
    free: int = 0  # bytes of it without content
    shrinks: bool = True  # whether `tidy` can give free space back


class JobStore(Protocol):
    """Projects, jobs and their entries."""

    async def project(self, name: str) -> Project:
        """Return the project. Create it with a fresh epoch if it does not exist."""

    async def projects(self) -> Sequence[Project]:
        """Return all projects, oldest first."""

    async def commit(
        self, changes: Sequence[Change], on: Mapping[str, int] | None = None
    ) -> list[int]:
        """Write the changes in one transaction and return the seq of each. Their projects must
        exist. With no changes, raise StorageUnavailable unless the medium takes writes.

        `on` is the seq of each project that the changes were made on. Raise Outpaced if a project
        has another one now, or if another node has given an id of a new job to a job, or has used
        an idempotency key of the changes."""

    async def job(self, id: str) -> Stored | None:
        """Return one job, finished or not; None if there is none."""

    async def unfinished(self) -> Sequence[Stored]:
        """Return every job that is not finished, oldest first."""

    async def list(
        self,
        query: Query,
        *,
        limit: int,
        before: int | None = None,
        skip: int = 0,
        most_bytes: int | None = None,
    ) -> Page:
        """Return the newest matching jobs; `before` is the `next` of the page before. The newest
        `skip` of those are left out. With
        `most_bytes` the page ends with the job whose head makes it reach that size."""

    async def latest(
        self,
        project: str,
        *,
        statuses: Sequence[Status] = (),
        limit: int,
        before: int | None = None,
        most_bytes: int | None = None,
        scanned: int = SCANNED,
    ) -> Page:
        """Return the jobs of a project that changed last, the newest change first; `before` is the
        `next` of the page before. No statuses: of every status. At most `scanned` jobs are looked
        at, so a page can have fewer jobs than it may, even none, and still a next page."""

    async def counts(self, query: Query) -> Mapping[Status, int]:
        """Return how many jobs match, by status. The query's own statuses do not limit."""

    async def entries(self, query: EntryQuery) -> Sequence[Record]:
        """Return the matching entries in ascending order, also with `tail`. A job that does not
        exist has none."""

    async def changes(
        self, project: str, after: int, *, limit: int, most_bytes: int | None = None
    ) -> Changes:
        """Return the jobs whose last change is after a seq, and the deletions after it, in order
        of seq. With `most_bytes` stop after the job whose head makes the answer that large."""

    async def feed_entries(
        self,
        project: str,
        after: int,
        upto: int,
        *,
        limit: int,
        kinds: Sequence[EntryKind],
        most_bytes: int | None = None,
    ) -> Sequence[Record]:
        """Return entries of all jobs of a project with after < seq <= upto, in order of seq. Stop
        once there are `limit` entries or `most_bytes` of values, but never between entries that
        share a seq."""

    async def repeated(self, credential: str, key: str, now: int) -> Idempotency | None:
        """Return the create call made with this key, if it has not expired."""

    async def history(self, projects: tuple[str, ...] | None, range: Range, since: int) -> History:
        """Return what was counted in the steps of a range, all projects together, from the step
        that begins at `since`. Steps older than the range may be gone."""

    async def expired(self, now: int, *, limit: int) -> Sequence[Stored]:
        """Return finished jobs whose expires_at has passed, the earliest first."""

    async def tidy(self, *, rows: int, bytes: int) -> Tidied:
        """Remove some entries of deleted jobs, and some of those that their jobs' heads have as
        removed: at most so many, and hardly more than so many bytes of values. If there are none,
        give about so many bytes of free space back to the disk. Each call is one short
        transaction, and a crash loses nothing of it."""


class Beat(Struct, frozen=True):
    """When a job's worker last sent a heartbeat, which is no change."""

    job: str
    at: int


class Pulse(Struct, frozen=True):
    """What a node learns from the database once a second."""

    projects: Sequence[Project]
    beats: Sequence[Beat] = ()  # heard by other nodes since the last pulse
    keys: int = 0  # another number than before: another node has changed keys or webhooks
    others: int = 0  # how many other nodes use the database
    leads: bool = True  # whether this node does what only one does, such as the sweeping
    skew_ms: int = 0  # how far this node's clock is ahead of the database's
    late: float = 0  # seconds; of other nodes, heartbeats that came since then may be missing


class NodeStore(Protocol):
    """What nodes on one database need to know of each other. With a store that only one node
    can use, there is nothing to know."""

    shared: bool  # whether several nodes can use the database

    def listen(self, heard: Callable[[str, int], None]) -> None:
        """Call `heard` with a project and its seq when another node has committed to it. Calls
        may be missing: `pulse` finds what they would have said."""

    def alone(self, projects: Iterable[str]) -> AbstractAsyncContextManager[None]:
        """Keep other nodes from committing to the projects, for one commit of ours. Reads
        within it, also without projects, do not wait for reads of clients."""

    async def pulse(self, beats: Sequence[Beat]) -> Pulse:
        """Show that this node is alive, and tell the others of these heartbeats."""

    async def others(self) -> int:
        """Return how many other nodes use the database now."""

    async def meta(self, name: str) -> str | None:
        """Return what all nodes know under this name."""

    async def set_meta(self, name: str, value: str, *, only_new: bool = False) -> str:
        """Keep the value; with `only_new` not in place of another. Return what is kept now."""


class Store(JobStore, FileStore, KeyStore, AuditStore, HookStore, NodeStore, Protocol):
    """One database."""

    async def open(self) -> None:
        """Create or migrate the database. Raise StoreUnusable, and leave the database as it was,
        if it is damaged, of a newer version, or in use."""

    async def close(self) -> None:
        """Release everything. Safe to call twice."""


class Outpaced(Exception):
    """Another node has committed first. Learn its changes, and make the commit again."""


class StoreUnusable(Exception):
    """The store can't be opened as it is. The sentence says what is wrong and what to do."""
