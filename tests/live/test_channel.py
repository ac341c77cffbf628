"""Pace, windows and their bounds, the wording of messages, and feeds that jobs enter and leave."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from livejobs.live import channel, window
from livejobs.live.channel import SLICE, Known
from livejobs.live.options import RATES, Options
from tests.live.by_hand import advance, idle
from tests.live.world import Client, World, lines_of, seq_of

SUCCEED = {"type": "succeed"}


def percents(client: Client) -> list[int]:
    """The progress that each delta shows."""
    sets = [json.loads(message.data)["set"] for message in client.got if message.op == "delta"]
    return [fields["progress"]["percent"] for fields in sets if "progress" in fields]


# Pace


async def test_the_first_change_after_a_quiet_time_is_sent_at_once(either: World) -> None:
    slot = await either.create()
    client, _ = await either.watch(slot, rate=10)
    for percent in (1, 2):
        await advance(5)
        await either.percent(slot, percent)
        assert percents(client)[-1] == percent


async def test_changes_within_the_pause_are_joined_into_one_message(either: World) -> None:
    slot = await either.create()
    client, _ = await either.watch(slot, rate=10, logs=True)
    for percent in (1, 2, 3):
        await either.percent(slot, percent)
        await either.log(slot, f"at {percent}")
    assert (percents(client), lines_of(client.got)) == ([1], [])
    await advance(0.099)
    assert percents(client) == [1]
    await advance(0.002)
    assert (percents(client), client.ops) == ([1, 3], ["snapshot", "delta", "delta"])
    assert lines_of(client.got) == ["at 1", "at 2", "at 3"]


async def test_after_a_joined_message_the_next_change_waits_for_the_pause_too(
    world: World,
) -> None:
    slot = await world.create()
    client, _ = await world.watch(slot, rate=10)
    await world.percent(slot, 1)
    await world.percent(slot, 2)
    await advance(0.1)
    await world.percent(slot, 3)
    assert percents(client) == [1, 2]
    await advance(0.1)
    assert percents(client) == [1, 2, 3]


async def test_viewers_with_other_rates_have_a_pace_of_their_own(world: World) -> None:
    slot = await world.create()
    slow, _ = await world.watch(slot, rate=1)
    fast, _ = await world.watch(slot, rate=10)
    for percent in range(1, 11):
        await world.percent(slot, percent)
        await advance(0.1)
    assert percents(fast) == [*range(1, 11)]
    assert percents(slow) == [1, 10]


async def test_large_messages_are_sent_less_often(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "BYTES", 1000)
    slot = await world.create()
    client, _ = await world.watch(slot, view="logs", rate=60)
    await world.log(slot, "x" * 2000)
    await world.log(slot, "next")
    await advance(2)
    assert len(lines_of(client.got)) == 1
    await advance(0.2)
    assert len(lines_of(client.got)) == 2


@pytest.mark.parametrize(("a_second", "pause"), [(10, 3), (1, 10)])
async def test_a_feed_slows_down_with_its_jobs_and_has_a_slowest_pace(
    world: World, monkeypatch: pytest.MonkeyPatch, a_second: int, pause: float
) -> None:
    monkeypatch.setattr(channel, "FEED_MESSAGES", a_second)
    slots = [await world.create(f"j{n}") for n in range(30)]
    client, _ = await world.feed()
    await world.percent(slots[0], 1)
    for slot in slots:
        await world.percent(slot, 1)
    await advance(1 / a_second)
    assert client.ops == ["snapshot"] * 30 + ["ready"] + ["delta"] * 31
    client.forget()
    await world.percent(slots[0], 2)
    await advance(pause - 0.01)
    assert client.got == []
    await advance(0.02)
    assert percents(client) == [2]


@pytest.mark.parametrize(
    ("rate", "paced"), [(0.1, 0.1), (0.15, 0.1), (29.9, 20), (30, 30), (59, 30), (60, 60)]
)
def test_a_rate_is_the_next_lower_of_a_few(rate: float, paced: float) -> None:
    assert paced in RATES
    assert Options(rate=rate).paced() == Options(rate=paced)


@pytest.mark.parametrize("viewers", [1, SLICE - 1, SLICE, SLICE + 1, 2 * SLICE + 1])
async def test_every_viewer_is_sent_every_change(world: World, viewers: int) -> None:
    slot = await world.create()
    watching = [await world.watch(slot, rate=10) for _ in range(viewers)]
    for percent in (1, 2, 3):
        await world.percent(slot, percent)
        await advance(0.1)
    assert {tuple(percents(client)) for client, _ in watching} == {(1, 2, 3)}


@pytest.mark.parametrize("steps", range(8))
async def test_a_change_between_two_slices_is_sent_too(world: World, steps: int) -> None:
    slot = await world.create()
    watching = [await world.watch(slot, logs=True) for _ in range(5 * SLICE)]
    for message in ("first", "second"):
        await world.start_log(slot, message)
        for _ in range(steps):
            await asyncio.sleep(0)
    await advance(1)
    assert {tuple(lines_of(client.got)) for client, _ in watching} == {("first", "second")}


async def test_a_client_that_joins_during_the_pause_gets_only_what_came_after_it(
    either: World,
) -> None:
    slot = await either.create()
    early, _ = await either.watch(slot, rate=1, logs=True)
    await either.log(slot, "opens the pause")
    await either.log(slot, "before")
    late, _ = await either.watch(slot, rate=1, logs=True)
    last, _ = await either.watch(slot, rate=1, logs=True, since=slot.seq)
    assert lines_of(late.got) == ["opens the pause", "before"]
    await advance(1)
    assert [len(client.pushes) for client in (early, late, last)] == [3, 1, 0]
    await either.log(slot, "in the second pause")
    next_, _ = await either.watch(slot, rate=1, logs=True, since=slot.seq)
    await either.log(slot, "after")
    await advance(1)
    assert lines_of(late.got) == ["opens the pause", "before", "in the second pause", "after"]
    assert lines_of(next_.got) == ["after"]


# Bounds of a window


async def fill(world: World, messages: list[str]) -> tuple[Client, int]:
    """A client with a window of these lines in its pause, and how many catch-ups that caused."""
    slot = await world.create()
    client, _ = await world.watch(slot, view="logs", rate=1)
    await world.log(slot, "opens the pause")
    client.forget()
    before = world.hub.statistics()["resyncs"]
    for message in messages:
        await world.log(slot, message)
    return client, world.hub.statistics()["resyncs"] - before


@pytest.mark.parametrize("over", [False, True])
async def test_a_window_is_bounded_in_entries(
    either: World, monkeypatch: pytest.MonkeyPatch, over: bool
) -> None:
    monkeypatch.setattr(window, "WINDOW_ENTRIES", 10)
    messages = [str(n) for n in range(11 if over else 10)]
    client, resyncs = await fill(either, messages)
    assert resyncs == over
    assert lines_of(client.got) == (messages if over else [])
    await advance(1)
    assert lines_of(client.got) == messages


@pytest.mark.parametrize("over", [False, True])
async def test_a_window_is_bounded_in_bytes(
    world: World, monkeypatch: pytest.MonkeyPatch, over: bool
) -> None:
    slot = await world.create("size")
    await world.log(slot, "x" * 500)
    size = len(bytes(slot.recent.after(0)[0].entry.value))  # type: ignore[index]  # it is there
    monkeypatch.setattr(window, "WINDOW_BYTES", 4 * size)
    messages = ["x" * 500] * (5 if over else 4)
    client, resyncs = await fill(world, messages)
    assert resyncs == over
    await advance(1)
    assert lines_of(client.got) == messages


@pytest.mark.parametrize("over", [False, True])
async def test_a_window_is_bounded_in_jobs(
    world: World, monkeypatch: pytest.MonkeyPatch, over: bool
) -> None:
    monkeypatch.setattr(window, "WINDOW_ENTRIES", 5)
    slots = [await world.create(f"j{n}") for n in range(6 if over else 5)]
    client, _ = await world.feed()
    await world.percent(slots[0], 1)
    client.forget()
    before = world.hub.statistics()["resyncs"]
    for slot in slots:
        await world.percent(slot, 2)
    assert world.hub.statistics()["resyncs"] - before == over
    await advance(10)
    assert percents(client) == [2] * len(slots)


async def test_a_window_too_large_for_one_push_is_read_from_the_store(
    either: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "PUSH_BYTES", 1000)
    slot = await either.create()
    client, _ = await either.watch(slot, view="logs", rate=1)
    before = either.hub.statistics()["resyncs"]
    await either.log(slot, "y" * 2000)
    assert either.hub.statistics()["resyncs"] - before == 1
    await advance(1)
    await either.log(slot, "z")
    assert lines_of(client.got) == ["y" * 2000, "z"]


# Slow clients


async def test_a_slow_client_gets_the_newest_state_and_every_line(either: World) -> None:
    slot = await either.create()
    client, viewer = await either.watch(slot, rate=10, logs=True)
    client.takes.clear()
    for percent in range(1, 20):
        await either.percent(slot, percent)
        await either.log(slot, f"at {percent}")
        await advance(0.1)
    assert (percents(client), viewer.behind) == ([], True)
    client.takes.set()
    await idle()
    assert percents(client) == [1, 19]
    assert lines_of(client.got) == [f"at {percent}" for percent in range(1, 20)]
    assert not viewer.behind
    await advance(1)
    await either.percent(slot, 50)
    assert percents(client)[-1] == 50


async def test_a_slow_client_does_not_delay_another(either: World) -> None:
    slot = await either.create()
    slow, _ = await either.watch(slot, rate=10)
    fast, _ = await either.watch(slot, rate=10)
    slow.takes.clear()
    for percent in (1, 2, 3):
        await either.percent(slot, percent)
        await advance(0.1)
    assert (percents(slow), percents(fast)) == ([], [1, 2, 3])
    slow.takes.set()


# Messages


async def test_a_delta_has_only_the_fields_that_changed(world: World) -> None:
    slot = await world.create()
    await world.percent(slot, 1)
    client, _ = await world.watch(slot, rate=10)
    await advance(0.5)
    await world.percent(slot, 2)
    assert set(client.last["set"]) == {"cursor", "heartbeat_at", "progress", "updated_at"}


async def test_a_state_is_followed_by_its_lines_under_a_later_cursor(world: World) -> None:
    slot = await world.create()
    client, _ = await world.watch(slot, view="state", logs=True, rate=10)
    before = slot.seq
    await world.log(slot, "one")
    assert client.ops[-2:] == ["state", "logs"]
    assert [seq_of(message) for message in client.got[-2:]] == [before, slot.seq]
    await advance(1)
    await world.percent(slot, 1)
    assert (client.ops[-1], seq_of(client.got[-1])) == ("state", slot.seq)


async def test_a_stream_ends_with_its_job_and_so_does_a_solo_connection(either: World) -> None:
    slot = await either.create()
    client, viewer = await either.watch(slot, solo=True)
    await either.report(slot, SUCCEED)
    assert client.ops[-2:] == ["delta", "end"]
    assert seq_of(client.got[-1]) == slot.seq
    assert (viewer.sink.closed, viewer.sink.viewers, slot.holders) == (True, [], 0)


async def test_a_log_stream_has_lines_and_the_end_and_nothing_else(either: World) -> None:
    slot = await either.create()
    client, _ = await either.watch(slot, view="logs", since=0, level=2, rate=10)
    await either.percent(slot, 1)
    await either.log(slot, "not this", level="info")
    await either.log(slot, "this", level="warning")
    await either.report(slot, {"type": "result", "value": 1}, SUCCEED)
    await advance(1)
    assert (client.ops, lines_of(client.got)) == (["logs", "end"], ["this"])


async def test_a_log_stream_begins_after_a_line_that_may_be_still_to_come(world: World) -> None:
    slot = await world.create()
    await world.log(slot, "1", "2")
    client, _ = await world.watch(slot, view="logs", since=0, after=3)
    await world.log(slot, "3", "4")
    await world.log(slot, "5")
    await advance(1)
    assert lines_of(client.got) == ["4", "5"]


# Feeds


async def test_a_job_enters_a_feed_whole_and_leaves_it_with_a_last_message(world: World) -> None:
    slot = await world.create(title="Teaser")
    client, _ = await world.feed(statuses=frozenset({"running"}))
    assert client.ops == ["ready"]
    await world.percent(slot, 1)
    assert (client.last["set"]["title"], client.last["set"]["status"]) == ("Teaser", "running")
    await advance(1)
    await world.percent(slot, 2)
    assert "title" not in client.last["set"]
    await advance(1)
    await world.report(slot, SUCCEED)
    assert client.last["set"]["status"] == "succeeded"
    await advance(1)
    assert client.ops == ["ready", "delta", "delta", "delta"]


async def test_a_change_outside_a_feed_is_not_sent(world: World) -> None:
    slot = await world.create(type="render")
    client, _ = await world.feed(types=frozenset({"other"}))
    await world.percent(slot, 1)
    await advance(1)
    assert client.ops == ["ready"]


async def test_a_feed_that_began_with_some_jobs_gets_the_others_whole(world: World) -> None:
    first, second = [await world.create(id, title=id) for id in ("first", "second")]
    client, _ = await world.feed(first=1)
    assert [json.loads(client.got[0].data)["id"], client.ops] == ["second", ["snapshot", "ready"]]
    for slot, whole in ((second, False), (first, True), (first, False)):
        await advance(1)
        await world.percent(slot, slot.seq)
        assert ("title" in client.last["set"]) == whole


async def test_a_feed_names_the_job_of_each_line(world: World) -> None:
    slot = await world.create()
    client, _ = await world.feed(view="state", logs=True)
    await world.log(slot, "x")
    assert json.loads(client.got[-1].data)[0]["job"] == "j"


async def test_a_deleted_job_is_gone_from_a_feed(world: World) -> None:
    slot = await world.create()
    await world.report(slot, SUCCEED)
    client, _ = await world.feed()
    await world.delete(slot)
    assert (client.ops[-1], client.last["job"]) == ("gone", "j")


async def test_a_window_of_a_feed_is_in_order_of_seq(world: World) -> None:
    slots = [await world.create(f"j{n}") for n in range(3)]
    client, _ = await world.feed(logs=True)
    await world.percent(slots[0], 1)
    for n in (0, 1, 0, 2, 1):
        await world.log(slots[n], f"{n}")
    await advance(1)
    seqs = [seq_of(message) for message in client.got]
    assert seqs == sorted(seqs)
    assert lines_of(client.got) == ["0", "1", "0", "2", "1"]


def test_known_jobs_are_bounded_and_then_forgotten() -> None:
    known = Known(str(n) for n in range(Known.MOST))
    assert known.lacks(["0", "x"]) == {"x"}
    known.learn(["x"])
    assert known.lacks(["0", "x"]) == {"0", "x"}


# Places in queues


async def queued(world: World) -> tuple[Any, Any]:
    return await world.create("first"), await world.create("second")


@pytest.mark.parametrize("view", ["delta", "state"])
async def test_a_place_in_a_queue_is_pushed_when_it_moves(either: World, view: str) -> None:
    first, second = await queued(either)
    client, _ = await either.watch(second, view=view)
    either.hub.tick()
    await idle()
    assert len(client.got) == 1
    await either.report(first, {"type": "start"})
    for _ in range(2):
        either.hub.tick()
        await idle()
    assert len(client.got) == 2
    job = client.last if view == "state" else client.last["set"]
    assert job["queue"]["position"] == 1
    assert seq_of(client.got[-1]) == second.seq


async def test_a_place_is_not_pushed_ahead_of_a_change_that_waits(world: World) -> None:
    first, second = await queued(world)
    client, _ = await world.watch(second, rate=1)
    for value in (1, 2):
        await world.report(second, {"type": "meta", "set": {"a": value}}, {"type": "retry"})
    await world.report(first, {"type": "start"})
    client.forget()
    world.hub.tick()
    await idle()
    assert client.got == []
    await advance(1)
    assert (client.last["set"]["meta"], client.last["set"]["queue"]["position"]) == ({"a": 2}, 1)


async def test_a_place_is_not_pushed_to_viewers_that_lack_something_nor_to_logs(
    either: World,
) -> None:
    first, second = await queued(either)
    slow, _ = await either.watch(second, rate=0.1)
    log, _ = await either.watch(second, view="logs", since=0)
    slow.takes.clear()
    await either.report(second, {"type": "meta", "set": {"a": 1}}, {"type": "retry"})
    await either.report(first, {"type": "start"})
    either.hub.tick()
    slow.takes.set()
    await idle()
    assert "queue" in slow.last["set"]
    assert seq_of(slow.got[-1]) == second.seq
    assert log.got == []
