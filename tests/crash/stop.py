"""Drill: pause the server, and stop it, with every kind of stream open."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

from tests.crash.checker import integrity
from tests.crash.client import PATIENCE, Client, Lost
from tests.crash.kill import check, rest
from tests.crash.ledger import Book, Ledger, Report, Voice
from tests.crash.load import NDJSON, Load
from tests.support.server import Server

IN_TIME: Final = 10.0  # seconds a stop may take, whatever is open
SPEAKERS: Final = 8  # workers whose request never ends
LISTENERS: Final = 8  # of each kind

Stream: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def drill(
    rounds: int,
    data: Path,
    seed: int,
    say: Callable[[str], None],
    *,
    in_time: float = IN_TIME,
    gap: float = 0,
) -> None:
    ledger = Ledger()
    chance = random.Random(seed)
    with Server(data) as server:
        load = Load(ledger, server.port, seed, gap=gap)
        for at in range(1, rounds + 1):
            said = await _pause(server, load, chance)
            said += await _stop(server, load, chance, at, in_time)
            integrity(data)
            server.restart()
            ledger.restarted()
            jobs, _ = await check(ledger, server)
            say(f"round {at}/{rounds}: {said}; {jobs} jobs checked")
        await rest(load)
        jobs, seconds = await check(ledger, server, everything=True)
    say(
        f"{rounds} rounds: {ledger.acknowledged} reports acknowledged, all there exactly once; "
        f"all {jobs} jobs checked in {seconds:.1f} s"
    )


async def _pause(server: Server, load: Load, chance: random.Random) -> str:
    """SIGSTOP, SIGCONT: clients may only notice a delay."""
    running = asyncio.create_task(load.run())
    await asyncio.wait([running], timeout=chance.uniform(0.2, 0.6))
    server.signal(signal.SIGSTOP)
    seconds = chance.uniform(0.1, 2)
    await asyncio.sleep(seconds)
    server.signal(signal.SIGCONT)
    before = load.ledger.acknowledged
    await asyncio.wait([running], timeout=0.3)
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while not running.done() and load.ledger.acknowledged <= before:
                await asyncio.wait([running], timeout=0.05)
    load.ledger.expect(not running.done(), "all workers ended during a pause")
    load.ledger.expect(
        load.ledger.acknowledged > before, "no report was acknowledged after a pause"
    )
    load.enough.set()
    await running
    return f"paused for {seconds:.2f} s; "


async def _stop(server: Server, load: Load, chance: random.Random, at: int, in_time: float) -> str:
    ledger = load.ledger
    speakers = [Speaker(ledger, server.port, f"s{n}", f"stop-{at}") for n in range(SPEAKERS)]
    speaking = [asyncio.create_task(speaker.run()) for speaker in speakers]
    await _until_heard(speakers, server.port, ledger)
    job = speakers[0].book.id
    asked = [
        await ask(server.port, path, headers)
        for path, headers in {
            f"/v1/jobs/{job}/events?logs=1": "",
            "/v1/events": "",
            f"/v1/jobs/{job}/logs?follow=1": "accept: text/plain\r\n",
            f"/v1/jobs/{job}?until=finished": "prefer: wait=60\r\n",
        }.items()
        for _ in range(LISTENERS)
    ]
    listening = [asyncio.create_task(listen(*one)) for one in asked]
    halves = LISTENERS * (at % 2)  # a stop waits for these; without them it is quick
    stuck = [await _say_half(server.port) for _ in range(halves)]
    running = asyncio.create_task(load.run())
    await asyncio.wait([running], timeout=chance.uniform(0.2, 1))
    how = chance.choice((signal.SIGTERM, signal.SIGINT))
    begin = time.monotonic()
    server.signal(how)
    code = await asyncio.to_thread(server.wait)
    took = time.monotonic() - begin
    ledger.expect(code == 0, f"{how.name}: exit {code}\n{server.stderr}")
    ledger.expect(took < in_time, f"{how.name}: took {took:.1f} s")
    ledger.expect("Traceback" not in server.stderr, server.stderr)
    await running
    await asyncio.gather(*speaking)
    ends = await asyncio.gather(*listening)
    for writer in stuck:
        writer.close()
    _check_ends(ledger, ends)
    unanswered = [speaker.book.title for speaker in speakers if not speaker.answered]
    ledger.expect(not unanswered, f"requests of lines got no answer: {unanswered}")
    return (
        f"{how.name} with {len(ends) + SPEAKERS} streams and {halves} requests half sent: "
        f"exit {code} after {took:.2f} s"
    )


def _check_ends(ledger: Ledger, ends: list[bytes]) -> None:
    events, feeds, lines, _polls = (ends[n : n + LISTENERS] for n in range(0, 4 * LISTENERS, 8))
    for end in (*events, *feeds):
        ledger.expect(b"event: bye" in end, f"a stream ended without a bye: {end[-200:]!r}")
    for end in lines:
        ledger.expect(end.endswith(b"0\r\n\r\n"), f"lines were cut: {end[-200:]!r}")


class Speaker:
    """A worker whose single request lasts as long as the worker."""

    def __init__(self, ledger: Ledger, port: int, name: str, round: str) -> None:
        self.ledger = ledger
        self.client = Client(port)
        title = f"{round}-{name}"
        self.book = Book(title=title, project="default", type=round, how="put", id=title)
        self.voice = self.book.voices[name] = Voice(name, whole=False)
        self.answered = False

    async def run(self) -> None:
        try:
            await self._make()
            await self._speak()
        except Lost:
            pass
        finally:
            self.client.close()

    async def _make(self) -> None:
        self.ledger.open(self.book)
        body = json.dumps({"title": self.book.title, "type": self.book.type}).encode()
        answer = await self.client.call("PUT", f"/v1/jobs/{self.book.id}", body)
        self.ledger.expect(answer.status == 201, f"{self.book.title}: {answer}")
        self.book.born = True

    async def _speak(self) -> None:
        path = f"/v1/jobs/{self.book.id}/reports"
        answer = await self.client.stream(path, self._lines(), content_type=NDJSON)
        self.ledger.expect(answer.status == 503, f"{self.book.title}: {answer}")
        self.answered = True
        self.voice.answered(
            answer.json()["kept"]
        )  # lines that the server did not read are not kept
        self.ledger.acknowledged += self.voice.acked

    async def _lines(self) -> AsyncIterator[bytes]:
        while True:
            n = len(self.voice.said) + 1
            text = f"{self.voice.name}:{n}"
            report: Report = {"type": "log", "message": text, "producer": self.voice.name, "n": n}
            self.voice.said.append(report)
            yield json.dumps(report).encode() + b"\n"
            await asyncio.sleep(0.01)


async def _until_heard(speakers: list[Speaker], port: int, ledger: Ledger) -> None:
    """Wait until a viewer has seen lines of each worker. From then on they must be kept."""
    client = Client(port)
    async with asyncio.timeout(PATIENCE):
        for speaker in speakers:
            total = 0
            while total < 5:
                answer = await client.get(f"/v1/jobs/{speaker.book.id}")
                if answer.status == 200:
                    ledger.saw("until heard", answer.json())
                    total = answer.json()["logs_total"]
    client.close()


async def ask(port: int, path: str, headers: str) -> Stream:
    """Send a request and wait for the head of its answer: a stream must have begun before the stop.
    A long poll has no head before its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}\r\n".encode())
    if "wait=" not in headers:
        async with asyncio.timeout(PATIENCE):
            await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Everything that the server sends until it closes."""
    try:
        return await reader.read()
    except ConnectionError as error:
        return repr(error).encode()
    finally:
        writer.close()


async def _say_half(port: int) -> asyncio.StreamWriter:
    """A request whose body never ends."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "POST /v1/jobs HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n"
    writer.write(f'{head}content-type: application/json\r\n\r\n{{"title": "'.encode())
    return writer
