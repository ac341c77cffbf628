"""A client that resumes from any position misses nothing and sees nothing twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from livejobs.core.errors import StorageUnavailable
from livejobs.core.model import Record
from livejobs.live import catchup
from livejobs.store.base import EntryQuery
from livejobs.store.memory import MemoryStore
from tests.live.by_hand import advance, idle
from tests.live.world import Client, World, lines_of, seq_of

SUCCEED = {"type": "succeed"}
VIEWS = pytest.mark.parametrize(
    "view", [{"view": "state", "logs": True}, {"view": "delta", "logs": True}, {"view": "logs"}]
)


async def spoken(world: World, *sizes: int) -> Any:
    """A job with changes of so many lines each."""
    slot = await world.create()
    for n, size in enumerate(sizes):
        await world.log(slot, *[f"{n}.{line}" for line in range(size)])
        await world.percent(slot, n)
    return slot


def all_lines(*sizes: int) -> list[str]:
    return [f"{n}.{line}" for n, size in enumerate(sizes) for line in range(size)]


# One job


@VIEWS
async def test_a_client_cut_anywhere_resumes_with_nothing_missed_or_repeated(
    either: World, view: dict[str, Any]
) -> None:
    slot = await either.create()
    client, _ = await either.watch(slot, rate=10, since=0, **view)
    for n in range(6):
        await either.log(slot, f"{n}", f"{n}+")
        await either.percent(slot, n)
        await advance(0.04)
    await either.report(slot, SUCCEED)
    await advance(1)
    lines = lines_of(client.got)
    assert len(lines) == len(set(lines)) == 12
    for at, message in enumerate(client.got):
        again, _ = await either.watch(slot, since=seq_of(message), **view)
        assert lines_of(client.got[: at + 1]) + lines_of(again.got) == lines
        assert again.ops[-1] == "end"


@VIEWS
async def test_pages_out_of_the_store_are_positions_too(world: World, view: dict[str, Any]) -> None:
    sizes = (900, 1, 1000, 1000, 700, 3, 1000)
    slot = await spoken(world, *sizes)
    client, _ = await world.watch(slot, since=0, **view)
    assert lines_of(client.got) == all_lines(*sizes)
    assert len(client.pushes) > 1
    seqs = [seq_of(message) for message in client.got]
    assert (seqs, seqs[-1]) == (sorted(seqs), slot.seq)
    for at, message in enumerate(client.got):
        again, _ = await world.watch(slot, since=seq_of(message), **view)
        assert lines_of(client.got[: at + 1]) + lines_of(again.got) == all_lines(*sizes)


async def test_a_page_has_a_bound_in_bytes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catchup, "PAGE_BYTES", 5_000)
    sizes = (100,) * 20
    slot = await spoken(world, *sizes)
    client, _ = await world.watch(slot, since=0, view="logs")
    assert lines_of(client.got) == all_lines(*sizes)
    assert len(client.pushes) == len(sizes) - 1  # the last two changes are still in memory


async def test_a_short_absence_needs_no_query(world: World) -> None:
    slot = await spoken(world, 1, 1, 1)

    async def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("the last entries are in memory")

    client, viewer = await world.watch(slot, since=slot.seq, view="logs")
    world.store.entries = refuse  # type: ignore[method-assign]  # the store is away
    again, _ = await world.watch(slot, since=slot.seq - 2, view="logs")
    assert lines_of(again.got) == ["2.0"]
    assert (client.got, viewer.behind) == ([], False)


async def test_changes_committed_during_a_catch_up_are_sent_once(either: World) -> None:
    sizes = (1000, 1000, 1000)
    slot = await spoken(either, *sizes)
    client = Client()
    client.takes.clear()
    _, viewer = await either.watch(slot, client=client, since=0, view="logs")
    await either.log(slot, "while it is sent")
    await advance(1)
    assert client.got == []
    client.takes.set()
    await idle()
    await either.log(slot, "later")
    assert lines_of(client.got) == [*all_lines(*sizes), "while it is sent", "later"]
    assert not viewer.behind


async def test_a_subscription_begins_with_the_present_state_and_its_last_lines(
    world: World,
) -> None:
    slot = await spoken(world, 3, 3)
    for view in ("state", "delta"):
        client, _ = await world.watch(slot, view=view, logs=True, first=4)
        assert lines_of(client.got) == ["0.2", "1.0", "1.1", "1.2"]
        assert seq_of(client.got[-1]) == slot.seq
        await world.log(slot, "live")
        await advance(1)
        assert lines_of(client.got)[4:] == ["live"]
        slot = await world.create(f"{view} again")
        for n in range(2):
            await world.log(slot, *[f"{n}.{line}" for line in range(3)])


async def test_without_lines_a_state_alone_has_the_present_cursor(world: World) -> None:
    slot = await spoken(world, 3)
    client, _ = await world.watch(slot, view="state", logs=True, first=0)
    assert [(message.op, seq_of(message)) for message in client.got] == [("state", slot.seq)]


async def test_a_state_that_lines_follow_is_no_position_to_resume_from(world: World) -> None:
    slot = await spoken(world, 3)
    client, _ = await world.watch(slot, view="state", logs=True)
    assert [(message.op, seq_of(message)) for message in client.got] == [
        ("state", 0),
        ("logs", slot.seq),
    ]


async def test_a_log_begins_with_the_last_lines_of_its_level(world: World) -> None:
    slot = await world.create()
    for n in range(6):
        await world.log(slot, f"{n}", level="warning" if n % 2 else "debug")
    client, _ = await world.watch(slot, view="logs", level=2, first=2)
    assert (client.ops, lines_of(client.got)) == (["logs"], ["3", "5"])
    empty, _ = await world.watch(slot, view="logs", level=3, first=2)
    assert empty.got == []
    await world.log(slot, "6", level="error")
    assert (lines_of(empty.got), lines_of(client.got)) == (["6"], ["3", "5", "6"])


async def test_a_client_at_the_last_cursor_gets_nothing_or_the_end(world: World) -> None:
    slot = await spoken(world, 1)
    client, _ = await world.watch(slot, since=slot.seq)
    assert client.got == []
    await world.report(slot, SUCCEED)
    again, viewer = await world.watch(slot, since=slot.seq, solo=True)
    assert (again.ops, seq_of(again.got[0]), viewer.sink.closed) == (["end"], slot.seq, True)


async def test_a_job_deleted_while_its_client_was_slow_is_gone(either: World) -> None:
    slot = await spoken(either, 1)
    client, _ = await either.watch(slot)
    client.forget()
    client.takes.clear()
    await either.log(slot, "x")
    await either.report(slot, SUCCEED)
    await advance(1)
    await either.delete(slot)
    client.takes.set()
    await idle()
    assert client.ops[-2:] == ["gone", "end"]


# Feeds


async def test_a_feed_cut_anywhere_resumes_with_nothing_missed_or_repeated(either: World) -> None:
    slots = [await either.create(f"j{n}") for n in range(3)]
    client, _ = await either.feed(logs=True)
    for n in range(8):
        await either.log(slots[n % 3], f"{n}")
        await advance(0.02)
    await either.report(slots[0], SUCCEED)
    await either.delete(slots[0])
    await advance(1)
    # The lines of a deleted job are deleted with it.
    kept = [f"{n}" for n in range(8) if n % 3]
    for at, message in enumerate(client.got[3:], 3):
        again, _ = await either.feed(logs=True, since=seq_of(message))
        both = lines_of(client.got[: at + 1]) + lines_of(again.got)
        assert [line for line in both if line in kept] == kept
        assert (again.ops[-1:] or client.ops[-1:]) == ["gone"]


async def test_a_feed_begins_with_the_newest_jobs_and_then_is_ready(world: World) -> None:
    for n in range(5):
        await world.create(f"j{n}")
    for first, shown in ((3, ["j4", "j3", "j2"]), (5, ["j4", "j3", "j2", "j1", "j0"])):
        client, viewer = await world.feed(first=first)
        assert [json.loads(message.data)["id"] for message in client.got[:-1]] == shown
        assert {seq_of(message) for message in client.got[:-1]} == {0}
        assert (client.ops[-1], seq_of(client.got[-1])) == ("ready", 5)
        assert (viewer.known is None) == (first == 5)


@pytest.mark.parametrize("most", [1, 500, 100_000])
async def test_pages_of_a_feed_have_a_bound_in_bytes(
    world: World, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    slots = [await world.create(f"j{n}") for n in range(5)]
    since = world.committer.seqs["default"]
    for n in range(15):
        await world.log(slots[n % 5], f"{n}", f"{n}+")
    monkeypatch.setattr(catchup, "PAGE_BYTES", most)
    client, _ = await world.feed(since=since, logs=True)
    lines = [f"{n}{more}" for n in range(15) for more in ("", "+")]
    assert lines_of(client.got) == lines
    seqs = [seq_of(message) for message in client.got]
    assert (seqs, seqs[-1]) == (sorted(set(seqs)), since + 15)
    opening, _ = await world.feed()
    assert opening.ops == ["snapshot"] * 5 + ["ready"]


async def test_a_feed_that_resumes_gets_each_job_whole_once(world: World) -> None:
    slot = await world.create(title="Teaser")
    client, _ = await world.feed(since=world.committer.seqs["default"])
    for whole in (True, False):
        await world.percent(slot, slot.seq)
        assert ("title" in client.last["set"]) == whole
        await advance(1)


async def test_a_job_that_left_a_feed_meanwhile_is_sent_a_last_time(world: World) -> None:
    slot = await world.create()
    await world.percent(slot, 1)
    since = slot.seq
    await world.report(slot, SUCCEED)
    client, _ = await world.feed(since=since, statuses=frozenset({"running"}))
    assert client.last["set"]["status"] == "succeeded"


async def test_only_forgotten_deletions_reset_a_feed(time_by_hand: None) -> None:
    async with World(store=MemoryStore(gone_kept=1)) as world:
        slots = [await world.create(f"j{n}") for n in range(3)]
        for slot in slots:
            await world.report(slot, SUCCEED)
        start = world.committer.seqs["default"]
        for slot in slots[:2]:
            await world.delete(slot)
        ops = {since: (await world.feed(since=since))[0].ops for since in (start, start + 1)}
        assert ops == {start: ["reset", "snapshot", "ready"], start + 1: ["gone"]}


async def test_a_feed_of_some_jobs_gets_only_their_deletions(world: World) -> None:
    slots = [await world.create(f"j{n}") for n in range(2)]
    since = world.committer.seqs["default"]
    for slot in slots:
        await world.report(slot, SUCCEED)
        await world.delete(slot)
    client, _ = await world.feed(since=since, ids=frozenset({"j1"}))
    assert [json.loads(message.data)["job"] for message in client.got] == ["j1"]


# A store that is away


class Away(MemoryStore):
    """Reads of entries fail, from the given one on."""

    def __init__(self, good: int) -> None:
        super().__init__()
        self.good = good

    async def entries(self, query: EntryQuery) -> Sequence[Record]:
        self.good -= 1
        if self.good < 0:
            raise StorageUnavailable("The database is away.")
        return await super().entries(query)


@pytest.mark.parametrize("good", [0, 1])
@VIEWS
async def test_a_viewer_waits_while_the_store_is_away(good: int, view: dict[str, Any]) -> None:
    """Its stream neither ends nor goes silent for good, and no entry is missed or repeated."""
    store = Away(10**6)
    async with World(store=store) as world:
        slot = await spoken(world, 1000, 1000, 700)
        resumed, fresh = Client(), Client()
        store.good = good
        await world.watch(slot, client=resumed, since=2, **view)
        await world.watch(slot, client=fresh, first=50, **view)
        await advance(3)
        assert len(lines_of(resumed.got)) < 2700
        store.good = 10**6
        await advance(1)
        await world.log(slot, "last")
        lines = all_lines(1000, 1000, 700)
        assert lines_of(resumed.got) == [*lines[1000:], "last"]
        assert lines_of(fresh.got) == [*lines[-50:], "last"]
        assert fresh.ops.count("snapshot") <= 1
