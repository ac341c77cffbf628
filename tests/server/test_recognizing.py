"""A head that was parsed before is not parsed again, and every answer is as if it had been."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise, product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livejobs import clock
from livejobs.app import App
from livejobs.server.instant.heads import KEPT, LONGEST, Heads, Known
from livejobs.server.instant.offering import BODY_SECONDS
from livejobs.server.limited import ConnectionLimits
from tests.server.test_instant import (
    ADMIN,
    ENDS,
    KINDS,
    TAKEN,
    Place,
    Untouched,
    app_of,
    place_of,
    poll,
    report,
    request,
)
from tests.support.examples import examples
from tests.support.line import Line

JSON = b"Content-Type: application/json"


@pytest.fixture
async def place(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    monkeypatch.setattr(clock, "now_ms", lambda: 1_780_000_000_000)
    async with place_of() as place:
        yield place


async def known(app: App, *requests: bytes) -> Heads:
    """Make the heads known, as other connections would."""
    heads = Heads()
    for one in requests:
        await Line(app, heads).ask([one], 1)
    return heads


async def alike(place: Place, heads: Heads, *reads: bytes, answers: int = 1) -> Line:
    """The connection that got the reads and knows the heads. It has answered as the other way."""
    line = Line(place.fast, heads)
    assert await line.ask(reads, answers) == await Line(place.slow).ask(reads, answers)
    return line


def parsed(line: Line) -> bool:
    return line.connection.headers is not None  # uvicorn sets it when a request begins


async def test_a_known_head_is_answered_without_the_parser(place: Place) -> None:
    await place.settle(*TAKEN)
    heads = await known(place.fast, *TAKEN)
    assert not parsed(await alike(place, heads, *TAKEN, *TAKEN, answers=2 * len(TAKEN)))


async def test_another_length_is_the_same_head(place: Place) -> None:
    await place.settle(report(7), report(12_345))
    heads = await known(place.fast, report(7))
    assert not parsed(await alike(place, heads, report(12_345)))


async def test_a_known_head_is_recognized_between_other_requests(place: Place) -> None:
    await place.settle(*KINDS)
    heads = await known(place.fast, *KINDS)
    line = Line(place.fast, heads)
    reads = [one for kind in KINDS for one in (kind, report(1), poll())]
    answers = await line.ask(reads, len(reads))
    assert answers == await Line(place.slow).ask(reads, len(reads))


async def test_the_last_request_of_a_connection_is_answered_as_ever(place: Place) -> None:
    await place.settle(report(3))
    heads = await known(place.fast, report(3), poll())
    for packet in ENDS:
        lines = Line(place.fast, heads), Line(place.slow)
        for line in lines:
            line.send(packet)
            if not line.written:
                await line.answered(1)
        assert lines[0].take() == lines[1].take()


# Bodies that come later


def halves(packet: bytes) -> tuple[bytes, bytes]:
    head, end, body = packet.partition(b"\r\n\r\n")
    return head + end, body


async def test_the_body_may_come_in_the_next_read(place: Place) -> None:
    await place.settle(report(1))
    for first in ([report(1)], halves(report(1))):
        heads = Heads()
        await Line(place.fast, heads).ask(first, 1)
        assert not parsed(await alike(place, heads, *halves(report(1))))


async def test_a_known_request_may_be_cut_anywhere(place: Place) -> None:
    await place.settle(report(1))
    heads, packet = await known(place.fast, report(1), poll()), report(1)
    for at in range(1, len(packet)):
        await alike(place, heads, packet[:at], packet[at:] + poll(), answers=2)


async def test_a_body_that_does_not_come_soon_is_waited_for_as_ever(place: Place) -> None:
    await place.settle(report(1))
    heads = await known(place.fast, report(1))
    head, body = halves(report(1))
    line = Line(place.fast, heads)
    line.send(head)
    assert not parsed(line)
    async with asyncio.timeout(10):
        while not parsed(line):  # noqa: ASYNC110
            await asyncio.sleep(BODY_SECONDS)
    line.send(body[:9])
    line.send(body[9:])
    await line.answered(1)
    assert line.take() == await Line(place.slow).ask([report(1)], 1)


async def test_a_body_that_never_comes_is_refused_as_ever(place: Place) -> None:
    await place.settle(report(1))
    heads = await known(place.fast, report(1))
    line = Line(place.fast, heads)
    await line.ask([poll()], 1)
    line.send(halves(report(1))[0])
    for _ in range(31):
        line.connection.second_passed()
    assert b" 408 " in line.take()
    assert line.closed


async def test_a_stop_while_a_body_is_awaited_lets_it_come(place: Place) -> None:
    await place.settle(report(1))
    heads = await known(place.fast, report(1))
    head, body = halves(report(1))
    line = Line(place.fast, heads)
    line.send(head)
    line.connection.shutdown()
    assert not line.closed
    line.send(body)
    await line.answered(1)
    assert line.take().startswith(b"HTTP/1.1 200 ")
    assert line.closed


async def test_a_client_that_leaves_before_its_body_has_sent_nothing(place: Place) -> None:
    await place.settle(report(1))
    heads = await known(place.fast, report(1))
    place.taken.clear()
    line = Line(place.fast, heads)
    line.send(halves(report(1))[0])
    line.leave()
    await asyncio.sleep(2 * BODY_SECONDS)
    assert (place.taken, bytes(line.written)) == ([], b"")


# Bytes that only look like a known request


BEAT = b'{"type":"heartbeat"}'
REPORT = b"POST /v1/jobs/running/reports"
POLL = b"GET /v1/jobs/running"  # it may have a body too, which nobody reads


def sized(length: bytes, body: bytes, line: bytes = REPORT) -> bytes:
    length = b"Content-Length:" + length
    return line + b" HTTP/1.1\r\nhost: localhost\r\n" + length + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "length",
    [
        b" 20", b" 020", b"20", b"  20", b" 20 ", b" +20", b" -20", b" 2e1", b" ", b"", b" 0",
        b" 19", b" 21", b" 20\r\nContent-Length: 20", b" 20\r\nContent-Length: 1",
        b" 20\r\nTransfer-Encoding: chunked", b" 20\r\n x: y", b" 99999999999999999999",
    ],
)  # fmt: skip
async def test_a_length_is_read_as_the_parser_reads_it(place: Place, length: bytes) -> None:
    heads = await known(place.fast, sized(b" 20", BEAT), sized(b" 20", BEAT, POLL))
    for line, body in product((REPORT, POLL), (BEAT, b"")):
        await come_to_the_same(place, heads, sized(length, body, line), poll(), poll())


async def come_to_the_same(place: Place, heads: Heads, *reads: bytes) -> None:
    """As on a connection to which no head is known. Not every request may be answered."""
    lines = Line(place.fast, heads), Line(place.fast)
    for read in reads:
        for line in lines:
            line.send(read)
        for _ in range(20):
            await asyncio.sleep(0)
    assert lines[0].closed == lines[1].closed
    assert lines[0].take() == lines[1].take()


async def test_a_body_that_looks_like_a_known_request_is_a_body(place: Place) -> None:
    await place.settle(report(1))
    for inner in (poll(), report(1)):
        heads = await known(place.fast, inner)
        for line in (b"content-type: text/plain", JSON):
            # In time, or after the answer to the head alone; as one piece, or as one chunk.
            outer = request("POST", "/v1/jobs/running/reports", inner, line)
            await alike(place, heads, *halves(outer), poll(), answers=2)
            head, _ = halves(outer)
            chunked = head.replace(
                b"content-length: %d" % len(inner), b"transfer-encoding: chunked"
            )
            chunk = b"%x\r\n" % len(inner)
            await alike(place, heads, chunked + chunk, inner, b"\r\n0\r\n\r\n", poll(), answers=2)


PACKETS = [*KINDS, report(4), sized(b" 20", BEAT), request("POST", "/x", poll())]


@given(
    st.lists(st.tuples(st.sampled_from(PACKETS), st.booleans()), min_size=1, max_size=8),
    st.lists(st.integers(min_value=1, max_value=1200), max_size=4),
)
@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # sent again, nothing changes
)
async def test_reads_are_answered_alike_wherever_they_are_cut(
    place: Place, packets: list[tuple[bytes, bool]], cuts: list[int]
) -> None:
    await place.settle(*PACKETS)
    heads = await known(place.fast, *PACKETS)
    reads = cut([*packets, (poll(), True)], cuts)
    for _ in range(2):  # the second time it knows what the first has seen
        await alike(place, heads, *reads, answers=len(packets) + 1)


def cut(packets: Sequence[tuple[bytes, bool]], cuts: Sequence[int]) -> list[bytes]:
    """Reads that end where a cut is, and with a packet that says so."""
    whole, ends = b"".join(packet for packet, _ in packets), {0}
    at = 0
    for packet, alone in packets:
        at += len(packet)
        ends |= {at} if alone else set()
    places = sorted(ends | {at for at in cuts if at < len(whole)})
    return [whole[a:b] for a, b in pairwise(places)]


async def test_an_empty_line_is_no_head(place: Place) -> None:
    for lines in (b"\r\n", b"\r\n\r\n"):
        heads = await known(place.fast, lines + poll())
        await come_to_the_same(place, heads, lines, poll(), lines + poll())


async def test_a_head_is_not_taken_for_that_of_a_request_behind_it(place: Place) -> None:
    await place.settle(*KINDS)
    for kind in KINDS:
        heads = Heads()
        await Line(place.fast, heads).ask([kind + poll()], 2)
        await alike(place, heads, *halves(kind), poll(), answers=2)
        await alike(place, heads, kind, poll(), answers=2)


async def test_a_connection_of_known_heads_may_last(place: Place) -> None:
    heads = await known(place.fast, poll())
    line, times = Line(place.fast, heads), 2 * ConnectionLimits(1).head_bytes // len(poll())
    for _ in range(times):
        line.send(poll())
    await line.answered(times)
    assert line.take().count(b"HTTP/1.1 200 ") == times


# What else a head does not decide


async def test_a_known_head_does_not_outlive_its_credential(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clock, "now_ms", lambda: 1_780_000_000_000)
    async with place_of(admin_key=ADMIN) as place:
        own = b"authorization: Bearer " + ADMIN.encode()
        made = request("POST", "/v1/keys", b'{"name":"k","scopes":["view"]}', own)
        answer = await Line(place.slow).ask([made], 1)
        key = json.loads(answer.partition(b"\r\n\r\n")[2])
        theirs = poll("done", b"x-api-key: " + key["key"].encode())
        heads = await known(place.fast, theirs, theirs)
        assert not parsed(await alike(place, heads, theirs))
        await place.live.keyring.revoke(key["id"])
        line = await alike(place, heads, theirs)
        assert parsed(line)  # refusals are made in one place


async def test_a_known_head_of_a_deleted_job_is_404(place: Place) -> None:
    heads = await known(place.fast, poll("done"))
    await place.live.delete("done")
    await alike(place, heads, poll("done"))
    assert b" 404 " in await Line(place.fast, heads).ask([poll("done")], 1)


async def test_a_handed_back_request_has_a_list_of_headers_of_its_own(place: Place) -> None:
    ended = report(9, "done")
    heads = await known(place.fast, report(9), ended)
    for _ in range(2):
        await alike(place, heads, ended)
    app = await app_of(place.live)
    app.add_middleware(Untouched)
    assert b"x-seen: yes" in await Line(app, heads).ask([report(9)], 1)


# Their bound


def head_of(n: int) -> bytes:
    return b"GET /%d HTTP/1.1\r\n\r\n" % n


def test_the_heads_that_are_kept_are_bounded() -> None:
    heads, one = Heads(), Known("GET", b"/", (), {}, has_body=False)
    for n in range(KEPT + 5):
        heads.keep(head_of(n), one)
    there = [n for n in range(KEPT + 5) if heads.find(head_of(n)) is not None]
    assert there == [*range(5, KEPT + 5)]


async def test_a_long_head_is_parsed_each_time(place: Place) -> None:
    for size, expected in ((LONGEST // 2, False), (LONGEST, True)):
        long = poll("running", b"x: " + size * b"x")
        heads = await known(place.fast, long)
        assert parsed(await alike(place, heads, long)) is expected
