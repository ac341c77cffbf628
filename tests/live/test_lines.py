"""Log lines as plain text: a wire like any other."""

from __future__ import annotations

import pytest

from livejobs.live.catchup import RESET
from livejobs.live.frames import PING, Message, Op
from livejobs.live.hub import BYE
from livejobs.web.streams.lines import TEXT
from tests.live.by_hand import advance
from tests.live.world import Client, World

LOGS = Message("logs", b'[{"n":1,"message":"one"},{"n":2,"message":"a\\u001b[2Jb"}]', "e.1")


def test_a_message_of_lines_is_their_text() -> None:
    (piece,) = TEXT.encode([LOGS, LOGS])
    assert piece["body"] == b"one\na\\x1b[2Jb\n" * 2
    assert piece["more_body"] is True
    assert piece["ready"] == b"1c\r\n" + piece["body"] + b"\r\n"


@pytest.mark.parametrize("message", [PING, RESET])
def test_other_messages_send_nothing(message: Message) -> None:
    assert TEXT.encode([message]) == ()


@pytest.mark.parametrize("op", ["end", "bye", "unwelcome"])
def test_the_last_message_ends_the_text(op: Op) -> None:
    for messages, text in (([Message(op, b"{}")], b""), ([LOGS, BYE], b"one\na\\x1b[2Jb\n")):
        assert TEXT.encode(messages) == (
            {"type": "http.response.body", "body": text, "more_body": False},
        )


async def test_clients_of_one_log_share_a_channel_however_they_begin(world: World) -> None:
    slot = await world.create()
    await world.log(slot, "1", "2", "3")
    clients: list[Client] = []
    for since, first in ((0, 0), (None, 2), (slot.seq, 0)):
        client, _ = await world.watch(slot, view="logs", since=since, first=first)
        clients.append(client)
    assert world.hub.statistics()["channels"] == 1
    await advance(1)
    await world.log(slot, "4")
    assert [len(client.pushes) for client in clients] == [2, 2, 1]
