"""What a sink promises, held against both kinds; then what only one of them does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from livejobs.live.frames import PING, Message
from livejobs.live.sink import InlineSink, Send, Sink, TaskSink
from tests.live.by_hand import idle
from tests.live.world import PLAIN, Client

Make = Callable[[Send], Sink]
ONE, TWO = (({"messages": (Message("logs", b"%d" % n),)},) for n in (1, 2))


class Freed:
    """Counts how often a sink became free, and can hold it."""

    def __init__(self) -> None:
        self.count = 0
        self.busy: list[bool] = []

    async def __call__(self, sink: Sink) -> None:
        self.count += 1
        self.busy.append(sink.busy)


@pytest.fixture
def freed() -> Freed:
    return Freed()


@pytest.fixture(params=[InlineSink, TaskSink])
def make(request: pytest.FixtureRequest, freed: Freed) -> Make:
    return lambda send: request.param(send, freed, PLAIN)


def numbers(client: Client) -> list[int]:
    return [int(message.data) for message in client.got]


async def test_pushes_arrive_in_order(make: Make) -> None:
    client = Client()
    sink = make(client.send)
    for messages in (ONE, TWO):
        assert sink.try_push(messages)
        await idle()
    assert numbers(client) == [1, 2]
    assert not sink.busy


async def test_a_push_with_several_messages_is_sent_whole_to_a_slow_client(make: Make) -> None:
    client = Client()
    client.takes.clear()
    sink = make(client.send)
    assert sink.try_push(ONE + TWO)
    await idle()
    assert (sink.busy, client.got) == (True, [])
    client.takes.set()
    await idle()
    assert (sink.busy, numbers(client)) == (False, [1, 2])


async def test_a_busy_sink_refuses_a_push_and_sends_none_of_it(make: Make) -> None:
    client = Client()
    client.takes.clear()
    sink = make(client.send)
    assert sink.try_push(ONE)
    assert not sink.try_push(TWO)
    client.takes.set()
    await idle()
    assert numbers(client) == [1]
    assert sink.try_push(TWO)


async def test_a_closed_sink_refuses_a_push(make: Make) -> None:
    client = Client()
    sink = make(client.send)
    sink.closed = True
    assert not sink.try_push(ONE)
    await idle()
    assert client.got == []


async def test_a_slow_client_is_brought_up_to_date_while_its_sink_is_still_busy(
    make: Make, freed: Freed
) -> None:
    client = Client()
    client.takes.clear()
    sink = make(client.send)
    sink.try_push(ONE)
    await idle()
    assert freed.count == 0
    client.takes.set()
    await idle()
    assert (freed.count, freed.busy) == (1, [True])
    assert not sink.busy


@pytest.mark.parametrize("slow", [False, True])
async def test_a_send_that_fails_closes_the_sink(make: Make, slow: bool) -> None:
    fails = asyncio.Event()

    async def send(_: Any) -> None:
        if slow:
            await fails.wait()
        raise OSError

    sink = make(send)
    assert sink.try_push(ONE)
    fails.set()
    await idle()
    assert (sink.closed, sink.busy) == (True, False)


async def test_settling_frees_once_and_not_while_busy_or_closed(make: Make, freed: Freed) -> None:
    sink = make(Client().send)
    sink.settle()
    sink.settle()
    await idle()
    assert freed.count == 1
    sink.closed = True
    sink.settle()
    await idle()
    assert freed.count == 1


async def test_the_last_message_closes_and_a_busy_sink_stays_open_for_it(make: Make) -> None:
    client = Client()
    sink = make(client.send)
    client.takes.clear()
    sink.try_push(ONE)
    sink.try_end(PING)
    assert not sink.closed
    client.takes.set()
    await idle()
    sink.try_end(PING)
    await idle()
    assert (sink.closed, client.ops, client.pings) == (True, ["logs"], 1)


@pytest.mark.parametrize("solo", [False, True])
@pytest.mark.parametrize("kind", [InlineSink, TaskSink])
async def test_only_a_solo_sink_closes_with_its_viewer(kind: Any, solo: bool, freed: Freed) -> None:
    sink = kind(Client().send, freed, PLAIN, solo=solo)
    sink.remove("another")
    assert not sink.closed
    sink.viewers.append("viewer")
    sink.remove("viewer")
    assert (sink.viewers, sink.closed) == ([], solo)


# One kind alone


async def test_an_inline_push_is_sent_before_it_returns(freed: Freed) -> None:
    client = Client()
    sink = InlineSink(client.send, freed, PLAIN)
    sink.try_push(ONE + TWO)
    assert (numbers(client), sink.busy) == ([1, 2], False)


async def test_ready_bytes_pass_send_where_the_transport_takes_them(freed: Freed) -> None:
    client, written, takes = Client(), list[bytes](), [True]

    def write(data: bytes) -> bool:
        if takes[0]:
            written.append(data)
        return takes[0]

    sink = InlineSink(client.send, freed, PLAIN, writer=write)
    ready = ({**ONE[0], "ready": b"1"},)
    sink.try_push(ready)
    assert (written, client.got) == ([b"1"], [])
    takes[0] = False
    sink.try_push(ready)
    sink.try_push(ONE)
    takes[0] = True
    sink.try_push(ready + ready)
    assert (written, numbers(client)) == ([b"1"], [1, 1, 1, 1])


async def test_a_cancelled_send_is_cancelled_inside(freed: Freed) -> None:
    seen: list[str] = []
    never = asyncio.Event()

    async def send(_: Any) -> None:
        try:
            await never.wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    sink = InlineSink(send, freed, PLAIN)
    sink.try_push(ONE)
    await idle()
    (task,) = asyncio.all_tasks() - {asyncio.current_task()}
    task.cancel()
    await idle()
    assert (seen, sink.busy) == (["cancelled"], False)


async def test_a_task_sink_gives_other_middleware_a_copy_of_its_own(freed: Freed) -> None:
    shared = {"body": b"x", "ready": b"y"}
    got: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        got.append(message)
        message["body"] = b"edited"

    sink = TaskSink(send, freed, PLAIN)
    sink.try_push((shared,))
    await idle()
    assert got == [{"body": b"edited"}]
    assert shared == {"body": b"x", "ready": b"y"}
