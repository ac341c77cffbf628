"""Messages of an MCP client, each sent to the server as a request of its own.

A request that waits, as `wait_for_job` does, delays no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

import httpx2

from livejobs.cli.mcp.answers import Answers
from livejobs.cli.mcp.message import INVALID_REQUEST, NO_ANSWER, Bad, Id, Message, failure, read
from livejobs.cli.reach import Server, sentence
from livejobs.cli.report.lines import Line
from livejobs.client.reader.asking import PATIENT, unreachable
from livejobs.client.reader.sse import Parser

MOST: Final = 256  # requests at once
GRACE: Final = 1.0  # seconds for open requests at the end of stdin: clients kill us after 2 s
ACCEPT: Final = "application/json, text/event-stream"
EVENTS: Final = "text/event-stream"

Put = Callable[[bytes], None]


class Proxy:
    """`put` writes one line to the client."""

    def __init__(self, server: Server, put: Put) -> None:
        self._url = server.url
        headers = {"accept": ACCEPT, "content-type": "application/json"}
        if server.key is not None:
            headers["authorization"] = f"Bearer {server.key}"
        self._http = httpx2.AsyncClient(
            base_url=server.url, headers=headers, timeout=PATIENT,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=8),
        )  # fmt: skip
        self._put = put
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()
        self._requests: dict[Id, asyncio.Task[None]] = {}
        self._agreed: str | None = None

    async def run(self, lines: AsyncIterator[Line]) -> None:
        """Until the lines end. What is open then has a moment to finish."""
        async with self._http, self._group:
            async for line in lines:
                if line.text.strip():
                    self._take(line)
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=GRACE)
            for task in self._tasks:
                task.cancel()

    def _take(self, line: Line) -> None:
        try:
            message = read(line)
        except Bad as bad:
            self._put(bad.answer)
            return
        if message.method == "notifications/cancelled":
            # Not sent on: the server sees the connection close. It can't tell whose id this is.
            self._cancel(message.cancelled)
        elif (refusal := self._refusal(message)) is not None:
            self._put(refusal)
        else:
            self._start(message)

    def _cancel(self, id: Id | None) -> None:
        task = None if id is None else self._requests.get(id)
        if task is not None:
            task.cancel()

    def _refusal(self, message: Message) -> bytes | None:
        if message.id in self._requests:
            return failure(message.id, INVALID_REQUEST, "A request with this id is still open.")
        if len(self._tasks) >= MOST:
            reason = f"{MOST} requests are open. Wait until some are answered, then send it again."
            return failure(message.id, NO_ANSWER, reason)
        return None

    def _start(self, message: Message) -> None:
        task = self._group.create_task(self._send(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if message.id is not None:
            id = message.id
            self._requests[id] = task
            task.add_done_callback(lambda _: self._requests.pop(id))

    async def _send(self, message: Message) -> None:
        answers = Answers(message, self._url)
        try:
            async with self._http.stream(
                "POST", "/mcp", content=message.text, headers=message.headers(self._agreed)
            ) as response:
                await self._receive(response, answers)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            self._print(answers.failed(sentence(unreachable(error), self._url)))
        except httpx2.RequestError:
            self._print(answers.over())

    async def _receive(self, response: httpx2.Response, answers: Answers) -> None:
        if response.headers.get("content-type", "").startswith(EVENTS):
            parser = Parser()
            async for chunk in response.aiter_bytes():
                for event in parser.feed(chunk):
                    self._print(answers.event(event.data))
            self._print(answers.over())
        else:
            self._print(answers.body(response.status_code, await response.aread()))
        self._agreed = answers.agreed or self._agreed

    def _print(self, line: bytes | None) -> None:
        if line is not None:
            self._put(line)
