"""Two servers on one store: whatever is committed at once, lost or late, no update is lost, and
every viewer gets each entry once, on whichever server it is."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from livejobs import clock
from livejobs.core.errors import NotFound
from livejobs.core.model import Head
from livejobs.core.reducer import Finished
from livejobs.jobs.commit.transaction import Transaction
from livejobs.store import news
from livejobs.store.base import Change, EntryQuery
from livejobs.store.memory import MemoryStore
from tests.live.by_hand import HandLoop, advance, hand_loop, idle
from tests.live.world import Client, World, seq_of
from tests.support.strategies import short

JOBS = ["a", "b"]
PASSING = "c"  # is created, finished and deleted


class Shared:
    """One server's view of a store in memory. What servers say to each other waits in `said`, until
    the test passes it on or loses it."""

    shared = True

    def __init__(self, store: MemoryStore, turn: asyncio.Lock) -> None:
        self._store = store
        self._turn = turn  # who holds it alone may commit
        self._alone = False
        self.heard: Callable[[str, int], None] = lambda *_: None
        self.other: Shared | None = None
        self.said: list[tuple[str, int]] = []  # to this server

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def listen(self, heard: Callable[[str, int], None]) -> None:
        self.heard = heard

    @asynccontextmanager
    async def alone(self, projects: Iterable[str]) -> AsyncIterator[None]:
        async with self._turn:
            self._alone = True
            try:
                yield
            finally:
                self._alone = False

    async def commit(
        self, changes: Sequence[Change], on: Mapping[str, int] | None = None
    ) -> list[int]:
        await asyncio.sleep(0)  # others may be faster
        if self._alone:
            return await self._commit(changes, on)
        async with self._turn:
            return await self._commit(changes, on)

    async def _commit(self, changes: Sequence[Change], on: Mapping[str, int] | None) -> list[int]:
        seqs = await self._store.commit(changes, on)
        assert self.other is not None
        self.other.said.append(("default", seqs[-1]))
        return seqs


class Watching:
    """A client that reconnects to either server, with the cursor that it has seen last."""

    def __init__(self, worlds: list[World], job: str | None) -> None:
        self._worlds = worlds
        self._job = job
        self._client = Client()
        self.since: int | None = None
        self.lines: defaultdict[str, list[int]] = defaultdict(list)
        self.present: set[str] = set()

    async def connect(self, at: int) -> None:
        self._take()
        self._client.broken = True
        world = self._worlds[at]
        await world.committer.reach("default", self.since or 0)  # as the doors do
        if self._job is None:
            self._client, _ = await world.feed(since=self.since, logs=True)
        else:
            slot = await world.reader.find(self._job)
            self._client, _ = await world.watch(
                slot, since=self.since, first=1000, logs=True, rate=10
            )

    def _take(self) -> None:
        for message in self._client.got:
            body = json.loads(message.data)
            if message.op == "gone":
                self.present.discard(body["job"])
            elif message.op == "delta":
                self.present.add(body["job"])
                self.lines[body["job"]] += [it["n"] for it in body["append"].get("logs", ())]
            elif message.op == "snapshot":
                self.present.add(body["id"])
                self.lines[body["id"]] += [it["n"] for it in body.get("logs", ())]
            if self._job is not None or message.op != "snapshot":  # a feed's begin with no cursor
                seq = seq_of(message)
                assert seq >= (self.since or 0), "a cursor went back"
                self.since = seq
        self._client.forget()

    def seen(self) -> dict[str, list[int]]:
        self._take()
        return dict(self.lines)


at = st.integers(0, 1)
jobs = st.sampled_from(JOBS)
steps = st.one_of(
    # Reports to both servers at once.
    st.tuples(st.just("report"), st.lists(st.tuples(at, jobs, st.integers(1, 4)), max_size=4)),
    st.tuples(st.just("finish"), at, st.sampled_from([*JOBS, PASSING, PASSING])),
    st.tuples(st.just("create"), at),
    st.tuples(st.just("delete"), at),
    st.tuples(st.just("restart"), at, jobs),
    st.tuples(st.just("pass_on"), at, st.booleans()),
    st.tuples(st.just("pulse"), at),
    st.tuples(st.just("advance"), st.sampled_from([0.01, 0.05, 0.2])),
    st.tuples(st.just("move"), st.integers(0, 2), at),
)


class Play:
    def __init__(self) -> None:
        self.store = MemoryStore()
        turn = asyncio.Lock()
        self.views = [Shared(self.store, turn), Shared(self.store, turn)]
        self.views[0].other, self.views[1].other = self.views[1], self.views[0]
        self.worlds = [World(store=cast("MemoryStore", view)) for view in self.views]
        self.viewers = [Watching(self.worlds, job) for job in (*JOBS, None)]
        self.counted = dict.fromkeys(JOBS, 0)

    async def report(self, reports: list[tuple[int, str, int]]) -> None:
        await asyncio.gather(*(self._report(*it) for it in reports))

    async def _report(self, at: int, job: str, lines: int) -> None:
        world = self.worlds[at]
        said = [{"type": "log", "message": "x"}] * lines
        counted = {"type": "count", "counters": {"lines": lines}}
        with suppress(NotFound, Finished):
            slot = await world.reader.find(job)
            await world.reporting.apply(slot, world.reporting.check([*said, counted]))

    async def finish(self, at: int, job: str) -> None:
        await self._end(at, job, {"type": "succeed"})

    async def _end(self, at: int, job: str, report: dict[str, str]) -> None:
        world = self.worlds[at]
        with suppress(NotFound, Finished):
            slot = await world.reader.find(job)
            await world.reporting.apply(slot, world.reporting.check([report]))

    async def create(self, at: int) -> None:
        now = clock.now_ms()
        head = Head(PASSING, "default", "me", now, now, now)

        def operation(transaction: Transaction) -> None:
            if transaction.slot(PASSING) is None:
                transaction.create(head, "")

        await self.worlds[at].committer.submit(operation)

    async def delete(self, at: int) -> None:
        slot = await self.worlds[at].reader.look_up(PASSING)

        def operation(transaction: Transaction) -> None:
            if slot is not None and (head := transaction.head(slot)) and head.finished:
                transaction.delete(slot)

        await self.worlds[at].committer.submit(operation)

    async def restart(self, at: int, job: str) -> None:
        await self._end(at, job, {"type": "retry"})

    async def pass_on(self, at: int, lost: bool) -> None:
        said, self.views[at].said = self.views[at].said, []
        for project, seq in [] if lost else said[::-1]:  # the last first, too
            self.views[at].heard(project, seq)
        await idle()

    async def pulse(self, at: int) -> None:
        for project in await self.store.projects():
            self.views[at].heard(project.name, project.seq)
        await idle()

    async def advance(self, seconds: float) -> None:
        await advance(seconds)

    async def move(self, viewer: int, at: int) -> None:
        await self.viewers[viewer].connect(at)

    async def run(self, steps: list[tuple[Any, ...]]) -> None:
        async with self.worlds[0], self.worlds[1]:
            for at, job in enumerate(JOBS):
                await self.worlds[at].create(job)
            for viewer in self.viewers:
                await viewer.connect(0)
            for verb, *args in steps:
                await getattr(self, verb)(*args)
            await self.pulse(0)
            await self.pulse(1)
            await advance(20)
            await self.check()

    async def check(self) -> None:
        await self.check_passing()
        for job in JOBS:
            stored = await self.store.job(job)
            records = await self.store.entries(EntryQuery(job, "logs", limit=10_000))
            assert stored is not None
            total = stored.head.logs_total
            numbers = [*range(1, total + 1)]
            assert [record.entry.n for record in records] == numbers
            assert stored.head.counters.get("lines", 0) == total
            for world in self.worlds:
                slot = await world.reader.find(job)
                assert (slot.head, slot.seq) == (stored.head, stored.seq)
            for viewer in (self.viewers[JOBS.index(job)], self.viewers[-1]):
                assert viewer.seen().get(job, []) == numbers

    async def check_passing(self) -> None:
        stored = await self.store.job(PASSING)
        for world in self.worlds:
            slot = await world.reader.look_up(PASSING)
            assert (slot and (slot.head, slot.seq)) == (stored and (stored.head, stored.seq))
        self.viewers[-1].seen()
        assert (PASSING in self.viewers[-1].present) == (stored is not None)


async def play(steps: list[tuple[Any, ...]]) -> None:
    with patch.object(clock, "now_ms", hand_loop().now_ms):
        await Play().run(steps)


def run(steps: list[tuple[Any, ...]]) -> None:
    with asyncio.Runner(loop_factory=HandLoop) as runner:
        runner.run(play(steps))


@given(short(st.lists(steps, max_size=25)))
@settings(max_examples=100, deadline=None)
def test_two_servers_lose_and_repeat_nothing(steps: list[tuple[Any, ...]]) -> None:
    run(steps)


@given(short(st.lists(steps, max_size=25)))
@settings(max_examples=30, deadline=None)
def test_nor_when_there_is_too_much_news_for_one_page(steps: list[tuple[Any, ...]]) -> None:
    with patch.object(news, "ENTRIES", 3), patch.object(news, "JOBS", 1):
        run(steps)
