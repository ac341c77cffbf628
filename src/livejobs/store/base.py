"""What livejobs asks of a store: a dozen verbs for jobs, and a few for keys and acts.
tests/contract/test_store.py holds every store to them.

Laws, for every implementation:
- `commit` is all or nothing, durable when it returns, and gives each change the next seq of
  its project in the order given. Calls to it never overlap: one committer makes them.
- A seq is never given twice in a project's epoch, whatever is deleted.
- A read sees every commit that returned before it began.
- A file is known by its key from the commit that gives it to a job. It ends with the one that
  takes it away, and is then known until it is forgotten.
- When the medium refuses, StorageUnavailable is raised, nothing of the batch is kept, and the
  store works again as soon as the medium does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, Protocol, TypeVar

from msgspec import Struct

from livejobs.core.access import Scope
from livejobs.core.model import Entry, EntryKind, File, Head, Record, Status, Stored

T = TypeVar("T")

PAGE_BYTES: Final = 512 * 1024  # of a page: whatever is on it, so much is made and held for it
GONE_KEPT: Final = 100_000  # deletions remembered for each project
ACTS_KEPT: Final = 100_000  # acts remembered, of all together


class Idempotency(Struct, frozen=True):
    """A create call that may be repeated: who (by id), with which key, for what (a digest), and
    which job."""

    credential: str
    key: str
    body: bytes  # digest of what was asked for
    job: str
    expires_at: int


class Key(Struct, frozen=True):
    """An API key, as it is kept: never the secret itself."""

    id: str
    name: str
    digest: bytes  # of the secret
    scopes: tuple[Scope, ...]
    projects: tuple[str, ...] | None  # None: all of them
    created_at: int
    expires_at: int | None = None
    last_used_at: int | None = None


class Act(Struct, frozen=True):
    """Something worth knowing afterwards: who did what to which job, or to what else."""

    at: int
    by: str
    action: str  # cancel, delete, download, key.create, key.revoke
    project: str | None = None
    job: str | None = None
    detail: dict[str, Any] = {}
    by_id: str | None = None  # of the key that `by` names, or that its token stands on


class Noted(Struct, frozen=True):
    """An act in the trail: 1, 2, 3 …"""

    n: int
    act: Act


class Tally(Struct, frozen=True):
    """How often a file was downloaded, and when last."""

    count: int = 0
    last_at: int | None = None


class Change(Struct, frozen=True):
    """One change of one job. before None: created; after None: deleted."""

    before: Head | None
    after: Head | None
    entries: tuple[Entry, ...] = ()
    idempotency: Idempotency | None = None
    act: Act | None = None  # noted with it, or not at all

    @property
    def job(self) -> Head:
        head = self.after or self.before
        assert head is not None
        return head

    def files(self) -> tuple[list[File], list[File]]:
        """Those that came and those that went."""
        was = self.before.files if self.before else ()
        now = self.after.files if self.after else ()
        if was == now:
            return [], []
        return [it for it in now if it not in was], [it for it in was if it not in now]


class Project(Struct, frozen=True):
    name: str
    epoch: str  # random, given once when the project appears in this database
    seq: int  # the last one given; 0 when there is none
    floor: int = 0  # deletions at or below it are forgotten: a feed resumed there must reset


class Query(Struct, frozen=True):
    """Which jobs. Empty means no limit, but `projects`, which names all that may be seen
    (None: every project)."""

    projects: tuple[str, ...] | None
    statuses: tuple[Status, ...] = ()
    type: str | None = None
    tag: str | None = None
    parent: str | None = None
    owner: str | None = None
    q: str | None = None  # part of id or title, case-insensitive, at least 3 characters
    ids: tuple[str, ...] = ()


class Page(Struct, frozen=True):
    jobs: tuple[Stored, ...]
    next: int | None  # pass as `before` to go on; None at the end


class Gone(Struct, frozen=True):
    """A deleted job, and the seq its deletion was given."""

    id: str
    seq: int


class Changes(Struct, frozen=True):
    """What happened in a project after a seq, in order of seq."""

    jobs: tuple[Stored, ...]
    gone: tuple[Gone, ...]
    complete: bool  # False: there was more; ask again after the last seq given


class Searched(Protocol):
    """What a text is looked for in."""

    @property
    def id(self) -> str: ...

    @property
    def title(self) -> str | None: ...


def contains(head: Searched, part: str) -> bool:
    """What a query's `q` asks of a job."""
    low = part.lower()
    return low in head.id.lower() or low in (head.title or "").lower()


def merged(
    jobs: Sequence[Stored], gone: Sequence[Gone], limit: int, *, more: bool = False
) -> Changes:
    """The first `limit` of both by seq. `more`: there are jobs behind these."""
    last = jobs[-1].seq if more else None
    known = [one for one in gone if last is None or one.seq < last]
    both = sorted([*jobs, *known], key=attrgetter("seq"))
    first = both[:limit]
    return Changes(
        tuple(one for one in first if isinstance(one, Stored)),
        tuple(one for one in first if isinstance(one, Gone)),
        complete=len(both) <= limit and not more,
    )


def is_full(records: Sequence[Record], most_bytes: int = PAGE_BYTES) -> bool:
    """Whether there may be more, as the store stopped at the bytes."""
    return sum(len(bytes(record.entry.value)) for record in records) >= most_bytes


def up_to(rows: Iterable[T], size_of: Callable[[T], int], most_bytes: int | None) -> list[T]:
    """The first of them, up to the one with which they reach a size."""
    found: list[T] = []
    size = 0
    for row in rows:
        found.append(row)
        size += size_of(row)
        if most_bytes is not None and size >= most_bytes:
            break
    return found


def whole_changes(records: Iterable[Record], most_bytes: int | None) -> list[Record]:
    """Records in order of seq, up to the end of the change with which they reach a size."""
    found: list[Record] = []
    size = 0
    for record in records:
        if most_bytes is not None and size >= most_bytes and record.seq != found[-1].seq:
            break
        found.append(record)
        size += len(bytes(record.entry.value))
    return found


class Store(Protocol):
    async def open(self) -> None:
        """Get ready, making or migrating what is there. A store that can't be trusted (damaged,
        of a newer version, already in use) raises StoreUnusable and is left as it was."""

    async def close(self) -> None:
        """Let go of everything. Safe to call twice."""

    async def project(self, name: str) -> Project:
        """The project, made with a fresh epoch if it was not there."""

    async def projects(self) -> Sequence[Project]:
        """All of them."""

    async def commit(self, changes: Sequence[Change]) -> list[int]:
        """Write the changes in one transaction; answer the seq of each. Their projects exist.
        With no changes, find out whether the medium takes any."""

    async def job(self, id: str) -> Stored | None:
        """One job, finished or not."""

    async def unfinished(self) -> Sequence[Stored]:
        """Every job that is not finished, oldest first."""

    async def list(
        self,
        query: Query,
        *,
        limit: int,
        before: int | None = None,
        most_bytes: int | None = None,
    ) -> Page:
        """Newest first, keyset-paged. With `most_bytes` no more than the jobs with which their
        heads reach that size."""

    async def counts(self, query: Query) -> Mapping[Status, int]:
        """How many jobs match, by status; the query's own statuses are not looked at."""

    async def entries(
        self,
        job: str,
        kind: EntryKind,
        *,
        after: int = 0,
        after_seq: int = 0,
        limit: int = 100,
        level: int = 0,
        tail: bool = False,
        most_bytes: int | None = None,
    ) -> Sequence[Record]:
        """One job's entries of a kind with n > after and seq > after_seq, of at least a level,
        ascending; with `tail` the last `limit` of them, still ascending. With `most_bytes` no
        more than the changes with which their values reach that size."""

    async def changes(
        self, project: str, after: int, *, limit: int, most_bytes: int | None = None
    ) -> Changes:
        """Jobs whose last change is after a seq, and deletions after it, in order of seq. With
        `most_bytes` no more than those with which the heads reach that size."""

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
        """Entries of all jobs of a project with after < seq <= upto, in order of seq. At least
        `limit`, or `most_bytes` of values, when there are as many; those that share the last
        seq are all given."""

    async def repeated(self, credential: str, key: str, now: int) -> Idempotency | None:
        """The create call made with this key, if it has not expired."""

    async def expired(self, now: int, *, limit: int) -> Sequence[Stored]:
        """Finished jobs whose expires_at has passed."""

    async def keys(self) -> Sequence[Key]:
        """All keys."""

    async def save_key(self, key: Key, act: Act | None = None) -> None:
        """Keep the key, in place of one with its id, and note the act with it."""

    async def drop_key(self, id: str, act: Act | None = None) -> None:
        """Forget the key, and note the act with it."""

    async def note(self, acts: Sequence[Act]) -> None:
        """Note acts that come with no change."""

    async def file_bytes(self) -> Mapping[str, int]:
        """How much each project has in the file area."""

    async def ended_files(self, *, limit: int) -> Sequence[str]:
        """Keys of files that no job has any more, and that were not forgotten yet."""

    async def forget_files(self, keys: Sequence[str]) -> None:
        """Their bytes are gone."""

    async def known_files(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys that are a job's, or were and are not forgotten."""

    async def downloaded(self, tallies: Mapping[str, Tally], acts: Sequence[Act]) -> None:
        """Add to the counts of these keys, and note the acts with it."""

    async def downloads(self, keys: Sequence[str]) -> Mapping[str, Tally]:
        """The counts of those of the keys that are known."""

    async def acts(self, *, limit: int, before: int | None = None) -> Sequence[Noted]:
        """What was noted, newest first; of very many the oldest are forgotten."""


class StoreUnusable(Exception):
    """The store can't be opened as it is. The sentence says what is wrong and what to do."""
