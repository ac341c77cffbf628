"""After any sequence of changes, SQLite and memory return the same from every verb."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from msgspec.structs import replace

from livejobs.core.history import RANGES, History, Range
from livejobs.core.hooks import Call, Event, Hook
from livejobs.core.model import FLAGS, KINDS, STATUSES, EntryKind, Head, Record
from livejobs.store.base import Change, EntryQuery, Query, Store
from livejobs.store.hooks import Outcome
from livejobs.store.memory import MemoryStore
from livejobs.store.sqlite.store import SqliteStore
from tests.store.contract import KEPT, entry, job, made
from tests.support.examples import examples

NAMES = ("default", "other")
labels = st.sampled_from(["x", "y", "zed"])
some_labels = st.none() | labels
titles = st.none() | st.text("abcÄä \"'*%", max_size=6)
queries = st.builds(
    Query,
    projects=st.none() | st.lists(st.sampled_from((*NAMES, "none")), max_size=3).map(tuple),
    statuses=st.lists(st.sampled_from(STATUSES), max_size=2, unique=True).map(tuple),
    type=some_labels,
    tag=some_labels,
    parent=some_labels,
    owner=some_labels,
    flag=st.none() | st.sampled_from(FLAGS),
    q=st.none() | st.text("abcÄä \"'*%", min_size=3, max_size=4),
    ids=st.just(()) | st.lists(st.integers(0, 30).map(str), max_size=5).map(tuple),
)


HOUR = 3_600_000  # ms


class Agreement(RuleBasedStateMachine):
    """Both stores get the same calls and must return the same."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.memory = MemoryStore(gone_kept=KEPT)
        self.other = self.make()
        self.heads: dict[str, Head] = {}
        self.pending: list[Change] = []
        self.fresh = count()
        self.latest = 0

    @initialize()
    def open(self) -> None:
        for store in (self.memory, self.other):
            self.loop.run(store.open())
            for name in NAMES:
                self.loop.run(store.project(name))
            self.loop.run(store.save_hook(Hook("h", "default", "u", (), "standard", 1, "me")))

    def make(self) -> Store:
        self.directory = tempfile.TemporaryDirectory()
        return SqliteStore(Path(self.directory.name) / "jobs.db", gone_kept=KEPT)

    def teardown(self) -> None:
        while self.loop.run(self.other.tidy(rows=100, bytes=1 << 20)).more:
            """Entries of deleted jobs go in steps."""
        self.loop.run(self.other.close())
        self.loop.close()
        self.check()

    def check(self) -> None:
        with closing(sqlite3.connect(Path(self.directory.name) / "jobs.db")) as db:
            assert_sound(db)
        self.directory.cleanup()

    def both(self, verb: str, *args: Any, **kwargs: Any) -> Any:
        mine, theirs = (
            self.loop.run(getattr(store, verb)(*args, **kwargs))
            for store in (self.memory, self.other)
        )
        assert plain(mine) == plain(theirs)
        return mine

    def say(self, change: Change) -> None:
        self.pending.append(change)
        if change.after is None:
            del self.heads[change.job.id]
        else:
            self.heads[change.job.id] = change.after

    def some(self, data: st.DataObject) -> Head:
        return self.heads[data.draw(st.sampled_from(sorted(self.heads)))]

    @rule(
        project=st.sampled_from(NAMES),
        status=st.sampled_from(STATUSES),
        type=some_labels,
        owner=labels,
        parent=some_labels,
        tags=st.lists(labels, max_size=3).map(tuple),
        title=titles,
        expires_at=st.none() | st.integers(0, 9),
        repeats=st.booleans(),
    )
    def create(self, repeats: bool, **fields: Any) -> None:
        now = next(self.fresh)
        id = str(now % 30)
        if id not in self.heads:
            head = job(id, updated_at=now, **fields)
            key = made(key=f"k{now % 4}", expires_at=now + 5, job=id) if repeats else None
            self.say(Change(None, head, idempotency=key))

    @precondition(lambda self: self.heads)
    @rule(
        data=st.data(),
        kinds=st.lists(st.sampled_from(KINDS), max_size=4),
        level=st.integers(0, 3),
        told=st.lists(st.sampled_from(("progress", "progress", "waiting")), max_size=2),
    )
    def report(
        self, data: st.DataObject, kinds: list[EntryKind], level: int, told: list[Event]
    ) -> None:
        before = after = self.some(data)
        entries = []
        for kind in kinds:
            n = after.total(kind) + 1
            after = replace(after, **{f"{kind}_total": n})
            entries.append(entry(n, kind, level))
        calls = tuple(Call("h", event, "r") for event in told)
        self.say(Change(before, after, tuple(entries), calls=calls))

    @precondition(lambda self: self.heads)
    @rule(data=st.data(), status=st.sampled_from(STATUSES), title=titles, stalled=st.booleans())
    def move(self, data: st.DataObject, status: Any, title: str | None, stalled: bool) -> None:
        before = self.some(data)
        self.say(Change(before, replace(before, status=status, title=title, stalled=stalled)))

    @precondition(lambda self: self.heads)
    @rule(data=st.data(), at=st.integers(0, 2 * HOUR), ran=st.integers(0, HOUR))
    def end(self, data: st.DataObject, at: int, ran: int) -> None:
        before = self.some(data)
        times = {"updated_at": at + ran, "started_at": at, "completed_at": at + ran}
        self.latest = max(self.latest, at + ran)
        self.say(Change(before, replace(before, status="succeeded", **times)))

    @rule(range=st.sampled_from([*RANGES.values()]))
    def history(self, range: Range) -> None:
        since = max(0, range.since(self.latest))  # older steps may be gone
        for projects in (None, ("default",), NAMES, ("none",), ()):
            self.both("history", projects, range, since)

    @precondition(lambda self: self.heads)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self.say(Change(self.some(data), None))

    @rule()
    def commit(self) -> None:
        changes, self.pending = self.pending, []
        self.both("commit", changes)

    @rule(
        state=st.sampled_from(("waiting", "delivered", "failed")),
        at=st.integers(0, 9),
        old=st.booleans(),
        ref=st.none() | st.just("m"),
        data=st.data(),
    )
    def deliver(self, state: Any, at: int, old: bool, ref: str | None, data: st.DataObject) -> None:
        waiting = self.both("waiting", {"default": at}, limit=3)
        self.both("deliveries", "h", limit=4, before=None if at < 5 else at)
        if waiting:
            n = data.draw(st.sampled_from([it.n for it in waiting]))
            seq = self.both("payload", n).delivery.seq - old
            again = at if state == "waiting" else None
            self.both("settle", [Outcome(n, seq, state, at, 1, again, 200, 3, "e", ref)])
            self.both("replay", "h", n, at)

    @precondition(lambda self: not self.pending)
    @rule()
    def reopen(self) -> None:
        self.loop.run(self.other.close())
        self.loop.run(self.other.open())

    @rule(query=queries, limit=st.integers(1, 4), skip=st.integers(0, 5))
    def look(self, query: Query, limit: int, skip: int) -> None:
        page = self.both("list", query, limit=limit, skip=skip)
        if page.next is not None:
            self.both("list", query, limit=limit, before=page.next)
        self.both("counts", query)

    @rule(
        id=st.integers(0, 30).map(str),
        kind=st.sampled_from(KINDS),
        after=st.integers(0, 5),
        after_seq=st.integers(0, 30),
        limit=st.integers(1, 5),
        level=st.integers(0, 3),
        tail=st.booleans(),
        most_bytes=st.none() | st.integers(1, 100),
    )
    def read(self, id: str, kind: EntryKind, **how: Any) -> None:
        self.both("job", id)
        self.both("entries", EntryQuery(id, kind, **how))

    @rule(
        project=st.sampled_from((*NAMES, "none")),
        after=st.integers(0, 20),
        span=st.integers(0, 20),
        limit=st.integers(1, 5),
        kinds=st.lists(st.sampled_from(KINDS), max_size=3, unique=True),
        most_bytes=st.none() | st.integers(1, 100),
    )
    def feed(self, project: str, after: int, span: int, limit: int, **how: Any) -> None:
        self.both("changes", project, after, limit=limit)
        self.both("feed_entries", project, after, after + span, limit=limit, **how)

    @rule(
        project=st.sampled_from((*NAMES, "none")),
        statuses=st.lists(st.sampled_from(STATUSES), max_size=2, unique=True).map(tuple),
        limit=st.integers(1, 4),
        before=st.none() | st.integers(1, 30),
        most_bytes=st.none() | st.integers(1, 400),
        scanned=st.integers(1, 8),
    )
    def by_change(self, project: str, **how: Any) -> None:
        self.both("latest", project, **how)

    @rule(now=st.integers(0, 40), key=st.integers(0, 3).map("k{}".format))
    def due(self, now: int, key: str) -> None:
        self.both("repeated", "key:ci", key, now)
        self.both("unfinished")

    @invariant()
    def projects_agree(self) -> None:
        mine, theirs = (
            [(project.name, project.seq, project.floor) for project in self.loop.run(coro)]
            for coro in (self.memory.projects(), self.other.projects())
        )
        assert mine == theirs


def assert_sound(db: sqlite3.Connection) -> None:
    """The tables that SQLite keeps for speed agree with those they come from."""
    counted = (
        "SELECT label, project, status, count(*) FROM labels GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    kept = "SELECT label, project, status, n FROM counters ORDER BY 1, 2, 3"
    assert db.execute(counted).fetchall() == db.execute(kept).fetchall()
    lost = "SELECT count(*) FROM entries WHERE key >> 32 NOT IN (SELECT pk FROM jobs)"
    assert db.execute(lost).fetchone() == (0,)
    db.execute("INSERT INTO search (search) VALUES ('integrity-check')")


def plain(value: Any) -> Any:
    """A form to compare, since msgspec's Raw equals only itself."""
    if isinstance(value, Record):
        return value.seq, value.job, value.entry.kind, value.entry.n, bytes(value.entry.value)
    if isinstance(value, History):
        steps = {at: {what: n for what, n in it.items() if n} for at, it in value.steps.items()}
        return value.now, {at: it for at, it in steps.items() if it}
    if isinstance(value, list | tuple) and type(value) in {list, tuple}:
        return [plain(one) for one in value]
    return value


TestAgreement = Agreement.TestCase
TestAgreement.settings = settings(
    max_examples=examples(25),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
