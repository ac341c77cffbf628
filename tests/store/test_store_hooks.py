"""The contract of every store for webhooks. The laws are in store/hooks.py."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

import livejobs.store.hooks
from livejobs.core.hooks import Call, Event, Hook
from livejobs.core.model import Head, decode_head
from livejobs.store.audit import AuditRecord
from livejobs.store.base import Change, Store
from livejobs.store.hooks import Outcome, Waiting
from tests.store.contract import job

HERE = "https://a.example:443"


def hook(id: str = "h", **fields: Any) -> Hook:
    made = Hook(id, "default", f"{HERE}/x", ("finished",), "standard", 1, "key:ci")
    return replace(made, **fields)


def call(event: Event = "finished", hook: str = "h") -> Call:
    return Call(hook, event, HERE)


async def told(store: Store, head: Head, *events: Event, hook: str = "h") -> int:
    """One change that causes these events."""
    calls = tuple(call(it, hook) for it in events)
    [seq] = await store.commit([Change(head, head, calls=calls)])
    return seq


async def begun(store: Store, *events: Event, id: str = "a") -> Head:
    """A job, created with these events."""
    await store.save_hook(hook())
    head = job(id)
    await store.commit([Change(None, head, calls=tuple(map(call, events)))])
    return head


async def waiting(store: Store, **after: int) -> list[Waiting]:
    return [*await store.waiting(after, limit=100)]


async def events(store: Store) -> list[Event]:
    return [it.event for it in await waiting(store)]


def outcome(it: Waiting, state: Any = "delivered", **fields: Any) -> Outcome:
    fields = {"seq": 1, "at": 9, "attempts": 1} | fields
    return Outcome(n=it.n, state=state, **fields)


async def test_webhooks_of_projects_are_listed_in_order(store: Store) -> None:
    await store.project("other")
    hooks = [hook("b"), hook("a", project="other"), hook("c", job="j")]
    for it in hooks:
        await store.save_hook(it)
    assert [*await store.hooks()] == hooks[:2]
    assert [*await store.hooks("j")] == hooks[2:]
    assert await store.hook("a") == hooks[1]
    assert await store.hook("none") is None
    changed = replace(hooks[0], secret="s")
    await store.save_hook(changed, AuditRecord(1, "key:ci", "webhook.rotate", "default"))
    assert [*await store.hooks()] == [changed, hooks[1]]
    assert [it.record.action for it in await store.audit(limit=9)] == ["webhook.rotate"]


async def test_deliveries_wait_in_the_order_of_their_changes(store: Store) -> None:
    head = await begun(store, "created", "started")
    await told(store, head, "waiting")
    found = await waiting(store)
    assert [it.event for it in found] == ["created", "started", "waiting"]
    assert {(it.hook, it.project, it.job, it.receiver) for it in found} == {
        ("h", "default", "a", HERE)
    }
    assert [it.attempts for it in found] == [0, 0, 0]
    assert await waiting(store, default=found[1].n) == found[2:]
    assert await waiting(store, other=found[2].n) == found


async def test_each_project_is_read_from_its_own_place(store: Store) -> None:
    await store.project("other")
    await store.save_hook(hook())
    for id, project in (("a", "default"), ("b", "other"), ("c", "default")):
        await store.commit([Change(None, job(id, project), calls=(call("created"),))])
    first, second, third = await waiting(store)
    assert [it.project for it in (first, second, third)] == ["default", "other", "default"]
    assert await waiting(store, default=first.n) == [second, third]
    assert await waiting(store, default=third.n) == [second]
    assert [*await store.waiting({}, limit=2)] == [first, second]


async def test_a_delivery_has_the_head_of_its_change(store: Store) -> None:
    head = await begun(store, "created")
    after = replace(head, title="Later")
    await store.commit([Change(head, after, calls=(call("started"),))])
    payloads = [await store.payload(it.n) for it in await waiting(store)]
    assert [decode_head(it.head).title for it in payloads if it] == [None, "Later"]
    assert [it.delivery.seq for it in payloads if it] == [1, 2]
    assert [it.hook for it in payloads if it] == [hook(), hook()]
    assert await store.payload(999) is None


async def test_a_job_gets_and_loses_webhooks_while_it_runs(store: Store) -> None:
    head = job("a")
    await store.commit([Change(None, head)])
    mine = hook("mine", job="a")
    hooked = replace(head, hooks=(mine.ref,))
    await store.commit([Change(head, hooked, hooks=(mine,))])
    assert [*await store.hooks("a")] == [mine]
    other = hook("other", job="a")
    swapped = replace(head, hooks=(other.ref,))
    await store.commit([Change(hooked, swapped, calls=(call("started", "mine"),), hooks=(other,))])
    assert [*await store.hooks("a")] == [other]
    await store.sweep_hooks(0)  # what it lost stays until its deliveries are over
    assert await store.hook("mine") == mine
    await store.drop_hook("mine")
    assert await waiting(store) == []
    await store.commit([Change(swapped, head)])
    assert [*await store.hooks("a")] == []
    await store.sweep_hooks(0)
    assert await store.hook("other") is None


async def test_progress_that_waits_last_becomes_the_newer_one(store: Store) -> None:
    head = await begun(store, "created", "progress")
    last = replace(head, title="Newest")
    for after in (head, last):
        await store.commit([Change(head, after, calls=(call("progress"),))])
    assert await events(store) == ["created", "progress"]
    found = await store.payload((await waiting(store))[1].n)
    assert found is not None
    assert (decode_head(found.head), found.delivery.seq) == (last, 3)


async def test_progress_never_passes_what_came_before_it(store: Store) -> None:
    head = await begun(store, "progress")
    await told(store, head, "waiting")
    await told(store, head, "progress")
    await told(store, head, "progress")
    assert await events(store) == ["progress", "waiting", "progress"]


async def test_progress_within_one_commit_is_joined_as_well(store: Store) -> None:
    head = await begun(store, "progress")
    names: list[Event] = ["progress", "progress", "waiting", "progress", "progress"]
    changes = [Change(head, head, calls=(call(it),)) for it in names]
    await store.commit(changes)
    assert await events(store) == ["progress", "waiting", "progress"]
    payloads = [await store.payload(it.n) for it in await waiting(store)]
    assert [it.delivery.seq for it in payloads if it] == [3, 4, 6]


async def test_lanes_of_other_jobs_and_webhooks_are_apart(store: Store) -> None:
    await store.save_hook(hook("i"))
    a, b = await begun(store, "progress"), await begun(store, "progress", id="b")
    await told(store, a, "progress", hook="i")
    await told(store, a, "progress")
    await told(store, b, "progress")
    found = [(it.hook, it.job) for it in await waiting(store)]
    assert sorted(found) == [("h", "a"), ("h", "b"), ("i", "a")]


async def test_what_was_delivered_is_a_record(store: Store) -> None:
    await begun(store, "created")
    [it] = await waiting(store)
    done = outcome(it, code=204, ms=7, ref="m1")
    assert await store.settle([done]) == set()
    assert await waiting(store) == []
    assert await store.payload(it.n) is None
    [record] = await store.deliveries("h", limit=9)
    assert (record.state, record.code, record.ms, record.ended_at) == ("delivered", 204, 7, 9)
    assert await store.settle([outcome(it, "failed", error="late")]) == set()
    assert [*await store.deliveries("h", limit=9)] == [record]


async def test_what_failed_waits_for_its_next_attempt(store: Store) -> None:
    await begun(store, "created")
    [it] = await waiting(store)
    again = outcome(it, "waiting", attempts=2, next_at=50, code=500, error="The receiver …")
    assert await store.settle([again]) == {it.n}
    [later] = await waiting(store)
    assert (later.attempts, later.next_at) == (2, 50)
    [record] = await store.deliveries("h", limit=9)
    assert (record.state, record.error, record.ended_at) == ("waiting", "The receiver …", None)


async def test_progress_that_became_newer_while_it_was_sent_waits_on(store: Store) -> None:
    head = await begun(store, "progress")
    [it] = await waiting(store)
    await told(store, head, "progress")
    assert await store.settle([outcome(it, attempts=5, ref="m1")]) == {it.n}
    [later] = await waiting(store)
    assert (later.attempts, later.next_at) == (0, 9)
    found = await store.payload(it.n)
    assert found is not None
    assert found.ref == "m1"
    assert await store.settle([outcome(it, seq=2)]) == set()


async def test_back_off_outlives_newer_progress(store: Store) -> None:
    head = await begun(store, "progress")
    [it] = await waiting(store)
    await store.settle([outcome(it, "waiting", attempts=3, next_at=70)])
    await told(store, head, "progress")
    [later] = await waiting(store)
    assert (later.attempts, later.next_at) == (3, 70)


async def test_the_last_message_of_a_job_is_known(store: Store) -> None:
    head = await begun(store, "created")
    [it] = await waiting(store)
    await store.settle([outcome(it, ref="first")])
    await told(store, head, "finished")
    [last] = await waiting(store)
    found = await store.payload(last.n)
    assert found is not None
    assert found.ref == "first"


async def test_an_ended_webhook_sends_nothing_more(store: Store) -> None:
    await begun(store, "created", "started")
    await store.save_hook(hook(ended_at=5, ended="Gone."))
    assert await waiting(store) == []
    records = await store.deliveries("h", limit=9)
    assert [(it.state, it.error, it.ended_at) for it in records] == [("failed", "Gone.", 5)] * 2


async def test_a_removed_webhook_is_forgotten_with_its_deliveries(store: Store) -> None:
    await begun(store, "created")
    [it] = await waiting(store)
    await store.drop_hook("h", AuditRecord(1, "key:ci", "webhook.delete", "default"))
    assert await store.hook("h") is None
    assert [*await store.deliveries("h", limit=9)] == []
    assert await store.settle([outcome(it)]) == set()
    assert [it.record.action for it in await store.audit(limit=9)] == ["webhook.delete"]


async def test_deliveries_are_listed_in_pages(store: Store) -> None:
    head = await begun(store, "created")
    for _ in range(4):
        await told(store, head, "waiting")
    first = await store.deliveries("h", limit=2)
    rest = await store.deliveries("h", limit=9, before=first[-1].n)
    numbers = [it.n for it in (*first, *rest)]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == 5


async def test_a_replay_waits_with_the_same_content(store: Store) -> None:
    head = await begun(store, "created")
    [it] = await waiting(store)
    assert not await store.replay("h", it.n, 30)  # it waits
    await store.settle([outcome(it)])
    await told(store, head, "progress")
    record = AuditRecord(1, "key:ci", "webhook.replay", "default")
    assert await store.replay("h", it.n, 30, record)
    assert not await store.replay("other", it.n, 30)
    assert not await store.replay("h", 999, 30)
    _, again = await waiting(store)
    assert (again.event, again.next_at) == ("created", 30)
    found = await store.payload(again.n)
    assert found is not None
    assert (found.delivery.seq, found.delivery.replay, found.delivery.at) == (1, True, 1)
    assert len(await store.audit(limit=9)) == 1


async def test_a_replay_of_progress_stays_as_it_is(store: Store) -> None:
    head = await begun(store, "progress")
    [it] = await waiting(store)
    await store.settle([outcome(it)])
    await store.replay("h", it.n, 30)
    await told(store, head, "progress")
    assert await events(store) == ["progress", "progress"]


async def test_old_records_are_removed(store: Store) -> None:
    head = await begun(store, "created")
    for seq, at in ((1, 10), (2, 20)):
        [it] = await waiting(store)
        await store.settle([outcome(it, at=at, seq=seq)])
        await told(store, head, "waiting")
    await store.sweep_hooks(15)
    records = await store.deliveries("h", limit=9)
    assert [(it.state, it.ended_at) for it in records] == [("waiting", None), ("delivered", 20)]


async def test_only_the_last_records_of_a_webhook_are_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("memory_hooks", "sqlite.hooking", "postgres.hooking"):
        monkeypatch.setattr(f"livejobs.store.{module}.RECORDS_OF_HOOK", 2)
    head = await begun(store, "created")
    for at in (1, 2, 3, 4):
        [it] = await waiting(store)
        await store.settle([outcome(it, at=at, seq=at)])
        await told(store, head, "waiting")
    await store.sweep_hooks(0)
    ended = [it.ended_at for it in await store.deliveries("h", limit=9)]
    assert ended == [None, 4, 3]
    assert livejobs.store.hooks.RECORDS_OF_HOOK > 2


async def test_webhooks_of_a_deleted_job_stay_until_nothing_waits(store: Store) -> None:
    own = hook("own", job="a")
    head = job("a", hooks=(own.ref,))
    created = Change(None, head, calls=(call("finished", "own"),), hooks=(own,))
    await store.commit([created])
    assert [*await store.hooks("a")] == [own]
    await store.commit([Change(head, None)])
    assert [*await store.hooks("a")] == []
    await store.sweep_hooks(0)
    [it] = await waiting(store)
    assert await store.payload(it.n) is not None
    await store.settle([outcome(it)])
    await store.sweep_hooks(0)
    assert await store.hook("own") is None
    assert [*await store.deliveries("own", limit=9)] == []


async def test_a_job_that_comes_and_goes_in_one_commit_leaves_no_webhook(store: Store) -> None:
    own = hook("own", job="a")
    head = job("a", hooks=(own.ref,))
    await store.commit([Change(None, head, hooks=(own,)), Change(head, None)])
    await store.sweep_hooks(0)
    assert await store.hook("own") is None
