"""Bare connections over real sockets: what is written arrives, once, and only there."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from livejobs.server.admission import Admission
from livejobs.server.bare.connection import Home
from livejobs.server.bare.poller import Poller
from livejobs.server.bare.stream import UNASKED, BareStream
from tests.support.examples import examples
from tests.support.server import LONG_ENOUGH

CLIENT = ("192.0.2.1", 1)


class Owner:
    """What a connection told its sink."""

    def __init__(self) -> None:
        self.resumptions = 0
        self.farewells = 0

    def resumed(self) -> None:
        self.resumptions += 1

    def gone(self) -> None:
        self.farewells += 1


class Pair:
    """A bare connection and its client, which reads only when the test calls `read`."""

    def __init__(self, home: Home) -> None:
        ours, self.client = socket.socketpair()
        self.client.setblocking(False)
        ours.setblocking(False)
        self.bare = BareStream(ours.detach(), CLIENT, home)
        self.bare.owner = self.owner = Owner()
        home.admission.enter(CLIENT, len(home.connections))
        home.connections.add(self.bare)
        home.poller.add(self.bare)
        self.sent = b""  # pushed, and taken
        self.got = b""

    def push(self, data: bytes, *, last: bool = False) -> bool:
        body = {"type": "http.response.body", "body": data, "more_body": not last}
        taken = self.bare.push(({**body, "ready": data} if not last else body,))
        self.sent += data
        return taken

    def read(self) -> bytes:
        try:
            while data := self.client.recv(1 << 16):
                self.got += data
        except (BlockingIOError, ConnectionError):
            pass
        return self.got

    def close(self) -> None:
        self.bare.close()
        self.client.close()


@pytest.fixture
async def home() -> AsyncIterator[Home]:
    home = Home(Poller(), Admission(100, 100), set())
    yield home
    home.poller.close()


@pytest.fixture
async def pair(home: Home) -> AsyncIterator[Pair]:
    pair = Pair(home)
    yield pair
    pair.close()
    await turns()


async def turns() -> None:
    """Let the poller handle what has happened."""
    for _ in range(4):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  the kernel has no event for it
            await asyncio.sleep(0)


def fill(pair: Pair) -> bytes:
    """Push until the socket is full."""
    number = 0
    while pair.push(b"<%06d>" % number * 1000):
        number += 1
    return pair.sent


async def test_a_full_socket_gets_the_rest_of_one_message_later(pair: Pair) -> None:
    sent = fill(pair)
    await until(lambda: pair.read() == sent)
    await until(lambda: pair.owner.resumptions)
    assert pair.push(b"next")
    await until(lambda: pair.read() == sent + b"next")


async def test_who_waits_is_woken_when_everything_was_sent(pair: Pair) -> None:
    fill(pair)
    waiting = asyncio.ensure_future(pair.bare.flushed())
    await turns()
    assert not waiting.done()
    await until(lambda: pair.read() and waiting.done())
    await waiting


async def test_who_waits_learns_that_the_client_has_gone(pair: Pair) -> None:
    fill(pair)
    waiting = asyncio.ensure_future(pair.bare.flushed())
    await turns()
    pair.client.close()
    with pytest.raises(ConnectionResetError):
        await waiting
    assert pair.owner.farewells == 1


async def test_a_client_that_goes_between_an_event_and_its_handling_is_noticed(pair: Pair) -> None:
    fill(pair)
    pair.client.close()
    pair.bare.take_event(select.EPOLLOUT)  # as of a batch that was read before
    assert pair.owner.farewells == 1


async def test_send_notices_that_the_client_goes_meanwhile(pair: Pair) -> None:
    pair.client.close()
    body = {"type": "http.response.body", "body": b"x", "more_body": True}
    with pytest.raises(ConnectionResetError):
        await pair.bare.send(body)


async def test_a_client_that_hangs_up_is_counted_out_once(home: Home) -> None:
    pair = Pair(home)
    assert home.admission.addresses.total() == 1
    pair.client.close()
    await until(lambda: pair.owner.farewells)
    pair.close()
    assert not home.connections
    assert not home.admission.addresses
    assert pair.owner.farewells == 1
    assert pair.push(b"nobody waits")


async def test_a_client_that_ends_its_side_has_gone(pair: Pair) -> None:
    pair.client.shutdown(socket.SHUT_WR)
    await until(lambda: pair.owner.farewells)


async def test_the_last_message_closes_after_it_was_sent(pair: Pair) -> None:
    sent = fill(pair)
    pair.push(b"end", last=True)
    assert pair.owner.farewells == 0
    ended = sent + b"3\r\nend\r\n0\r\n\r\n"
    await until(lambda: pair.read() == ended)
    await until(lambda: pair.owner.farewells)
    await turns()
    assert pair.client.recv(1) == b""


async def test_unasked_bytes_are_dropped_and_do_not_cost_the_last_message(pair: Pair) -> None:
    pair.client.send(b"GET /again HTTP/1.1\r\n\r\n")
    await turns()
    pair.push(b"end", last=True)
    await until(lambda: pair.read().endswith(b"0\r\n\r\n"))


async def test_a_client_that_sends_without_end_is_cut_off(pair: Pair) -> None:
    pair.client.setblocking(True)
    pair.client.settimeout(LONG_ENOUGH)
    with pytest.raises(ConnectionError):
        await asyncio.to_thread(pair.client.sendall, bytes(100 * UNASKED))
    assert pair.owner.farewells == 1


async def test_an_event_of_a_closed_connection_does_not_reach_the_next_one(home: Home) -> None:
    first, second = Pair(home), Pair(home)
    number = second.bare.fd
    first.owner.gone = second.close  # type: ignore[method-assign]  # it happens in between
    # Both events come in one batch, and the first one ends the second connection.
    first.client.close()
    second.client.close()
    await until(lambda: second.bare.fd < 0)
    await turns()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    third = Pair(home)
    assert third.bare.fd in {number, *range(number)}  # the number is in use again
    await turns()
    assert third.owner.farewells == 0
    assert third.push(b"alive")
    await until(lambda: third.read() == b"alive")
    third.close()
    await turns()


class Traffic(RuleBasedStateMachine):
    """Connections open, send, block, hang up and end, in any order and in the same turn. Numbers of
    descriptors are used again all the time."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.home = Home(Poller(), Admission(1000, 1000), set())
        self.pairs: list[Pair] = []
        self.all: list[Pair] = []

    def run(self, act: Callable[[], object], *, turn: bool) -> None:
        async def acted() -> None:
            act()
            if turn:
                await turns()

        self.loop.run_until_complete(acted())

    @rule(turn=st.booleans())
    def open(self, turn: bool) -> None:
        def add() -> None:
            pair = Pair(self.home)
            self.pairs.append(pair)
            self.all.append(pair)

        self.run(add, turn=turn)

    @precondition(lambda self: self.pairs)
    @rule(data=st.data(), size=st.sampled_from([1, 100, 300_000]), turn=st.booleans())
    def push(self, data: st.DataObject, size: int, turn: bool) -> None:
        """Also to one that has ended, whose number another one may have now."""
        at = data.draw(st.integers(0, len(self.all) - 1))
        pair, closed = self.all[at], self.all[at].bare.fd < 0
        if pair.bare.rest is None:
            sent = pair.sent
            self.run(lambda: pair.push((b"%d." % at) * size), turn=turn)
            pair.sent = sent if closed else pair.sent

    @precondition(lambda self: self.pairs)
    @rule(data=st.data(), turn=st.booleans())
    def read(self, data: st.DataObject, turn: bool) -> None:
        pair = data.draw(st.sampled_from(self.pairs))
        self.run(pair.read, turn=turn)

    @precondition(lambda self: self.pairs)
    @rule(data=st.data(), replace=st.booleans(), turn=st.booleans())
    def hang_up(self, data: st.DataObject, replace: bool, turn: bool) -> None:
        """The client closes; another one may open in the same turn."""
        pair = self.pairs.pop(data.draw(st.integers(0, len(self.pairs) - 1)))
        pair.read()

        def act() -> None:
            pair.client.close()
            if replace:
                self.pairs.append(Pair(self.home))
                self.all.append(self.pairs[-1])

        self.run(act, turn=turn)

    @precondition(lambda self: self.pairs)
    @rule(data=st.data(), replace=st.booleans(), turn=st.booleans())
    def end(self, data: st.DataObject, replace: bool, turn: bool) -> None:
        """The server closes; another one may open in the same turn."""
        pair = self.pairs.pop(data.draw(st.integers(0, len(self.pairs) - 1)))

        def act() -> None:
            pair.bare.close()
            if replace:
                self.pairs.append(Pair(self.home))
                self.all.append(self.pairs[-1])

        self.run(act, turn=turn)
        pair.read()
        pair.client.close()

    @invariant()
    def each_client_has_only_its_own_bytes_in_order(self) -> None:
        for pair in self.all:
            assert pair.sent.startswith(pair.got)

    @invariant()
    def the_open_connections_are_counted(self) -> None:
        open = {pair.bare for pair in self.all if pair.bare.fd >= 0}
        assert self.home.connections == open
        assert self.home.admission.addresses.total() == len(open)

    def teardown(self) -> None:
        self.run(lambda: None, turn=True)
        for pair in self.pairs:
            self.run(pair.read, turn=True)
            if pair.bare.fd >= 0 and pair.bare.rest is None:
                pair.read()
                assert pair.got == pair.sent
        for pair in self.all:
            assert pair.owner.farewells == (pair.bare.fd < 0)
            self.run(pair.close, turn=False)
        self.run(lambda: None, turn=True)
        self.run(self.home.poller.close, turn=False)
        self.loop.close()
        asyncio.set_event_loop(None)


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=examples(40), stateful_step_count=30, deadline=None)
