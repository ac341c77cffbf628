"""Connections: pings, credentials, limits, goodbyes; and what is left when they close."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from livejobs.access.keyring import LOOK_EVERY
from livejobs.core.access import ANONYMOUS, Principal
from livejobs.core.errors import TooMany
from livejobs.live.channel import Viewer
from livejobs.live.hub import PING_EVERY
from livejobs.live.options import Filter, Options
from tests.live.by_hand import START_MS, advance, idle
from tests.live.world import PLAIN, Client, World, lines_of

SUCCEED = {"type": "succeed"}


# Pings


async def test_every_connection_gets_one_ping_in_fifteen_seconds(either: World) -> None:
    clients = [Client() for _ in range(2 * PING_EVERY)]
    for client in clients:
        either.hub.open(client.send, PLAIN)
    for seconds in range(1, PING_EVERY + 1):
        either.hub.tick()
        await idle()
        assert sum(client.pings for client in clients) == 2 * seconds
    assert {client.pings for client in clients} == {1}


async def test_the_hub_ticks_once_a_second(world: World) -> None:
    client = Client()
    world.hub.open(client.send, PLAIN)
    running = asyncio.create_task(world.hub.run())
    await advance(4 * PING_EVERY + 0.5)
    assert client.pings == 4
    running.cancel()


async def test_a_busy_connection_gets_no_pings(either: World) -> None:
    slot = await either.create()
    client, _ = await either.watch(slot)
    client.takes.clear()
    await either.log(slot, "x")
    for _ in range(4 * PING_EVERY):
        either.hub.tick()
    client.takes.set()
    await idle()
    assert client.pings <= 1


# Credentials


async def test_a_connection_ends_within_seconds_of_its_credential(either: World) -> None:
    slot = await either.create()
    by = Principal("token", expires_at=START_MS + 1)
    client, viewer = await either.watch(slot, by=by)
    client.forget()
    for _ in range(LOOK_EVERY):
        either.hub.tick()
    await idle()
    assert client.got == []
    await advance(1)
    for _ in range(LOOK_EVERY):
        either.hub.tick()
    await idle()
    assert (client.ops, viewer.sink.closed) == (["unwelcome"], True)
    assert "expired" in client.last["reason"]
    await either.log(slot, "not for them")
    await advance(1)
    for _ in range(PING_EVERY):
        either.hub.tick()
    await idle()
    assert client.ops == ["unwelcome"]


async def test_every_connection_is_checked_every_few_seconds(world: World) -> None:
    clients = [Client() for _ in range(PING_EVERY)]
    for client in clients:
        world.hub.open(client.send, PLAIN, Principal("token", expires_at=START_MS))
    for _ in range(LOOK_EVERY):
        world.hub.tick()
    assert {tuple(client.ops) for client in clients} == {("unwelcome",)}


async def test_a_slow_client_whose_credential_ended_gets_nothing_else(either: World) -> None:
    slot = await either.create()
    client, viewer = await either.watch(slot, by=Principal("token", expires_at=START_MS + 1))
    client.forget()
    client.takes.clear()
    await either.log(slot, "was sent before")
    await advance(1)
    await either.log(slot, "not for them")
    for _ in range(LOOK_EVERY):
        either.hub.tick()
    client.takes.set()
    await idle()
    assert client.ops == ["delta", "unwelcome"]
    assert lines_of(client.got) == []
    assert viewer.sink.closed


async def test_a_fresh_credential_keeps_the_connection(either: World) -> None:
    slot = await either.create()
    client, viewer = await either.watch(slot, by=Principal("token", expires_at=START_MS + 1))
    either.hub.change_caller(viewer.sink, ANONYMOUS)
    await advance(1)
    for _ in range(PING_EVERY):
        either.hub.tick()
    await idle()
    assert "unwelcome" not in client.ops


# Limits


async def test_the_connections_of_a_credential_are_limited(time_by_hand: None) -> None:
    one, other = Principal("one", key="k1"), Principal("other", key="k2")
    async with World(connections_each=2) as world:
        sinks = []
        for _ in range(2):
            world.hub.check_limit(one)
            sinks.append(world.hub.open(Client().send, PLAIN, one))
        with pytest.raises(TooMany):
            world.hub.check_limit(one)
        world.hub.check_limit(other)
        world.hub.open(Client().send, PLAIN, other)
        world.hub.change_caller(sinks[0], other)
        with pytest.raises(TooMany):
            world.hub.check_limit(other)
        world.hub.check_limit(one)
        world.hub.open(Client().send, PLAIN, one)
        world.hub.close(sinks[1])
        world.hub.close(sinks[1])  # a second time counts nothing
        world.hub.check_limit(one)
        world.hub.open(Client().send, PLAIN, one)
        with pytest.raises(TooMany):
            world.hub.check_limit(one)


# Goodbye


async def test_every_connection_gets_bye_and_nothing_after_it(either: World) -> None:
    slot = await either.create()
    idle_one, _ = await either.watch(slot, logs=True)
    slow, viewer = await either.watch(slot, logs=True)
    slow.takes.clear()
    await either.log(slot, "one")
    await either.log(slot, "two")
    either.hub.say_bye()
    await idle()
    assert idle_one.ops[-1] == "bye"
    slow.takes.set()
    await idle()
    assert (slow.ops[-1], slow.ops.count("bye"), viewer.sink.closed) == ("bye", 1, True)
    assert lines_of(slow.got)[0] == "one"
    await either.log(slot, "three")
    await advance(1)
    assert (idle_one.ops[-1], slow.ops[-1]) == ("bye", "bye")


async def test_a_connection_that_opens_while_the_server_stops_gets_its_state_and_bye(
    either: World,
) -> None:
    slot = await either.create()
    either.hub.say_bye()
    client, _ = await either.watch(slot)
    assert client.ops == ["snapshot", "bye"]


async def test_a_second_start_begins_without_connections(world: World) -> None:
    slot = await world.create()
    client, viewer = await world.watch(slot)
    world.hub.say_bye()
    world.hub.begin()
    assert world.hub.statistics()["connections"] == 0
    again, _ = await world.watch(slot)
    assert again.ops == ["snapshot"]
    world.hub.close(viewer.sink)
    assert client.ops == ["snapshot", "bye"]


# Subscriptions


async def test_subscriptions_with_the_same_options_share_a_channel(world: World) -> None:
    slot = await world.create()
    viewers = [(await world.watch(slot, rate=rate))[1] for rate in (30, 31, 45, 60)]
    channels = {viewer.channel for viewer in viewers}
    assert len(channels) == 2
    numbers = world.hub.statistics()
    assert (numbers["connections"], numbers["subscriptions"], numbers["channels"]) == (4, 4, 2)


async def test_a_watched_job_stays_in_memory_until_its_last_viewer_leaves(world: World) -> None:
    slot = await world.create()
    viewers = [(await world.watch(slot))[1] for _ in range(2)]
    assert slot.holders == 1
    world.hub.close(viewers[0].sink)
    assert slot.holders == 1
    world.hub.unsubscribe(viewers[1])
    world.hub.unsubscribe(viewers[1])
    assert slot.holders == 0
    assert world.hub.statistics()["channels"] == 0


async def test_a_closed_connection_gets_nothing_and_leaves_nothing(either: World) -> None:
    slot = await either.create()
    client, viewer = await either.watch(slot)
    feed, watching = await either.feed(ids=frozenset({"j"}))
    either.hub.close(viewer.sink)
    either.hub.close(watching.sink)
    for seen in (client, feed):
        seen.forget()
    await either.log(slot, "x")
    await advance(1)
    assert (client.got, feed.got) == ([], [])
    numbers = either.hub.statistics()
    assert {numbers[name] for name in ("connections", "subscriptions", "channels")} == {0}


async def test_one_connection_carries_many_subscriptions(either: World) -> None:
    slots = [await either.create(f"j{n}") for n in range(3)]
    client = Client()
    sink = either.hub.open(client.send, PLAIN)
    for slot in slots:
        either.hub.watch_job(sink, PLAIN, slot, Options("delta", logs=True), None, 0)
    either.hub.watch_feed(sink, PLAIN, Filter("default"), Options("delta"), None, 0)
    sink.settle()
    await idle()
    assert client.ops == ["snapshot"] * 3 + ["ready"]
    client.forget()
    for slot in slots:
        await either.log(slot, slot.head.id)
        await advance(1)
    assert lines_of(client.got) == ["j0", "j1", "j2"]
    assert len(client.got) == 6
    assert either.hub.statistics()["connections"] == 1


async def watched(world: World, **filter: Any) -> list[str]:
    client, viewer = await world.feed(first=0, **filter)
    client.forget()
    for id in ("j0", "j1"):
        slot = world.registry.get(id)
        assert slot is not None
        await world.report(slot, {"type": "count", "counters": {"n": 1}})
        await advance(1)
    world.hub.close(viewer.sink)
    return [json.loads(message.data)["job"] for message in client.got]


async def test_a_feed_that_names_its_jobs_gets_those_alone(world: World) -> None:
    for n in range(2):
        await world.create(f"j{n}")
    assert await watched(world) == ["j0", "j1"]
    assert await watched(world, ids=frozenset({"j1"})) == ["j1"]
    assert await watched(world, ids=frozenset({"j0", "j1"})) == ["j0", "j1"]
    assert await watched(world, ids=frozenset({"j2"})) == []


async def test_a_feed_gets_no_changes_of_another_project(world: World) -> None:
    slot = await world.create()
    client = Client()
    sink = world.hub.open(client.send, PLAIN)
    world.hub.watch_feed(sink, PLAIN, Filter("other"), Options("delta"), None, 10)
    sink.settle()
    await world.log(slot, "x")
    await advance(1)
    assert client.ops == ["ready"]


async def test_slow_connections_and_catch_ups_are_counted(either: World) -> None:
    slot = await either.create()
    client, _ = await either.watch(slot, solo=True)
    before = either.hub.statistics()
    assert (before["connections_slow"], before["streams"], before["sockets"]) == (0, 1, 0)
    client.takes.clear()
    for n in range(3):
        await either.log(slot, f"{n}")
        await advance(1)
    assert either.hub.statistics()["connections_slow"] == 1
    client.takes.set()
    await idle()
    after = either.hub.statistics()
    assert after["connections_slow"] == 0
    assert after["resyncs"] - before["resyncs"] == 1
    assert after["deliveries"] - before["deliveries"] == 2


async def test_nothing_else_is_sent_while_a_connection_is_brought_up_to_date(either: World) -> None:
    slot = await either.create()
    client = Client()
    client.takes.clear()
    sink = either.hub.open(client.send, PLAIN)
    viewer: Viewer = either.hub.watch_job(sink, PLAIN, slot, Options(), None, 0)
    settling = asyncio.create_task(either.hub.settle(sink))
    await idle()
    assert (sink.busy, viewer.behind) == (True, True)
    client.takes.set()
    await settling
    assert (sink.busy, viewer.behind, client.ops) == (False, False, ["state"])
