"""Streams that a face words: what its form is given, and where such a stream ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from livejobs.core.model import Head
from livejobs.core.trimming import Cap
from livejobs.jobs.state import Slot
from livejobs.live import catchup
from livejobs.live.form import Form, Step
from livejobs.live.frames import FORM, PING, Message, Op
from livejobs.live.hub import PING_EVERY
from tests.live.by_hand import advance, hand_loop, idle
from tests.live.world import PLAIN, Client, World

SUCCEED = {"type": "succeed"}


def told(step: Step) -> bytes:
    line = {
        "before": step.before and step.before.status,
        "status": step.head.status,
        "entries": [json.loads(bytes(entry.value))["n"] for entry in step.entries],
        "complete": step.complete,
        "seq": step.cursor.seq,
    }
    return json.dumps(line).encode()


def over(head: Head) -> bool:
    return head.finished or head.waiting is not None


EVERYTHING = Form(told, frozenset({"results"}), over=over)
LOGS = Form(told, frozenset({"logs"}), heads=False)


async def follow(
    world: World, slot: Slot, form: Form, since: int | None = None, client: Client | None = None
) -> tuple[Client, Any]:
    at = slot.seq if since is None else since
    return await world.watch(slot, view="form", form=form, since=at, solo=True, client=client)


class OneByOne(Client):
    """It takes one push each time that a test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.takes.clear()

    async def send(self, message: Mapping[str, Any]) -> None:
        await super().send(message)
        self.takes.clear()


def steps(client: Client) -> list[dict[str, Any]]:
    return [json.loads(message.data) for message in client.got if message.op == "form"]


async def test_a_form_is_given_the_heads_before_and_after_and_what_was_appended(
    either: World,
) -> None:
    slot = await either.create()
    client, _ = await follow(either, slot, EVERYTHING)
    assert client.got == []
    await either.report(slot, {"type": "result", "value": 1})
    await advance(1)
    await either.percent(slot, 50)
    assert steps(client) == [
        {"before": "queued", "status": "running", "entries": [1], "complete": True, "seq": 2},
        {"before": "running", "status": "running", "entries": [], "complete": True, "seq": 3},
    ]


async def test_changes_within_the_pace_are_one_step(either: World) -> None:
    slot = await either.create()
    client, _ = await follow(either, slot, EVERYTHING)
    for value in range(5):
        await either.report(slot, {"type": "result", "value": value})
    await advance(1)
    assert [step["entries"] for step in steps(client)] == [[1], [2, 3, 4, 5]]


async def test_viewers_of_one_form_share_a_channel_wherever_they_begin(world: World) -> None:
    slot = await world.create()
    await world.log(slot, "1", "2")
    clients = [(await follow(world, slot, LOGS, since))[0] for since in (1, slot.seq)]
    await advance(1)
    await world.log(slot, "3")
    assert world.hub.statistics()["channels"] == 1
    assert world.hub.watchers() == {("sse", "face"): 2}
    first, second = ([step["entries"] for step in steps(client)] for client in clients)
    assert (first, second) == ([[1, 2], [3]], [[3]])


async def test_a_form_of_entries_alone_is_not_woken_by_progress(either: World) -> None:
    slot = await either.create()
    client, _ = await follow(either, slot, LOGS)
    await either.percent(slot, 50)
    await either.report(slot, {"type": "result", "value": 1})
    await advance(1)
    assert client.got == []
    await either.report(slot, SUCCEED)
    assert [(step["status"], step["entries"]) for step in steps(client)] == [("succeeded", [])]
    assert client.ops == ["form", "end"]


@pytest.mark.parametrize("report", [SUCCEED, {"type": "ask", "prompt": "Go on?"}])
async def test_a_stream_ends_where_its_form_is_over(either: World, report: dict[str, Any]) -> None:
    slot = await either.create()
    client, viewer = await follow(either, slot, EVERYTHING)
    await either.report(slot, report)
    assert client.ops == ["form", "end"]
    assert viewer.sink.closed
    late, viewer = await follow(either, slot, EVERYTHING, 1)
    assert late.ops == ["form", "end"]
    assert viewer.sink.closed
    latest, _ = await follow(either, slot, EVERYTHING)
    assert latest.ops == ["end"]


async def test_one_that_is_not_over_goes_on_after_a_question(either: World) -> None:
    slot = await either.create()
    client, viewer = await follow(either, slot, LOGS)
    await either.report(slot, {"type": "ask", "prompt": "Go on?"})
    await advance(1)
    assert (client.got, viewer.sink.closed) == ([], False)


async def test_a_page_that_more_entries_follow_is_not_complete(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catchup, "PAGE_BYTES", 100)
    slot = await world.create()
    for _ in range(300):  # more than memory keeps
        await world.log(slot, "x" * 60)
    client, _ = await follow(world, slot, LOGS, 1)
    seen = steps(client)
    assert sum((step["entries"] for step in seen), []) == list(range(1, 301))  # noqa: RUF017 - a few short lists
    assert [step["complete"] for step in seen] == [False] * (len(seen) - 1) + [True]
    assert len(seen) > 10


async def test_a_slow_client_gets_the_rest_in_pages(either: World) -> None:
    slot = await either.create()
    client, viewer = await follow(either, slot, LOGS)
    client.takes.clear()
    for n in range(5):
        await either.log(slot, str(n))
        await advance(1)
    assert viewer.behind
    client.takes.set()
    await idle()
    assert [step["entries"] for step in steps(client)] == [[1], [2, 3, 4, 5]]


async def test_a_client_too_slow_for_a_log_that_is_cut_is_sent_no_gap(time_by_hand: None) -> None:
    async with World(caps={"logs": Cap(10)}) as world:
        slot = await world.create()
        client, viewer = await follow(world, slot, LOGS, client=OneByOne())
        for n in range(300):  # more than memory keeps
            await world.log(slot, str(n))
        while (await world.store.tidy(rows=1000, bytes=1 << 20)).more:
            pass
        await advance(1)
        for n in range(3):
            client.takes.set()
            await idle()
            await world.log(slot, f"while the end is sent {n}")
            await advance(1)
        assert [step["entries"] for step in steps(client)] == [[1]]
        assert client.ops == ["form", "end"]
        assert viewer.sink.closed


async def test_a_job_deleted_meanwhile_ends_the_stream(either: World) -> None:
    slot = await either.create()
    client, _ = await follow(either, slot, EVERYTHING)
    client.takes.clear()
    await either.percent(slot, 1)
    await either.report(slot, SUCCEED)
    await either.delete(slot)
    client.takes.set()
    await advance(1)
    assert client.ops[-1] == "end"


async def test_a_stream_ends_soon_after_its_time(
    either: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livejobs.clock.monotonic", hand_loop().time)
    client = Client()
    sink = either.hub.open(client.send, PLAIN, seconds=60)
    either.hub.open(Client().send, PLAIN)  # this one has no such time
    await advance(59)
    tick(either)
    await idle()
    assert not sink.closed
    await advance(1)
    tick(either)
    await idle()
    assert (sink.closed, client.ops) == (True, ["bye"])
    assert sum(not one.closed for one in either.hub._all()) == 1


def tick(world: World) -> None:
    for _ in range(PING_EVERY):
        world.hub.tick()


async def test_the_wire_sends_what_the_form_has_made() -> None:
    one = Message("form", b"data: 1\n\n", "e.1")
    (piece,) = FORM.encode([one, one])
    assert (piece["body"], piece["more_body"]) == (b"data: 1\n\n" * 2, True)
    assert FORM.encode([PING])[0]["body"] == b": ping\n\n"
    assert FORM.encode([Message("form", b"", "e.1")]) == ()


@pytest.mark.parametrize("op", ["end", "bye", "unwelcome"])
def test_its_clients_see_only_that_the_response_ends(op: Op) -> None:
    (piece,) = FORM.encode([Message("form", b"x", "e.1"), Message(op, b"{}")])
    assert (piece["body"], piece["more_body"]) == (b"x", False)
