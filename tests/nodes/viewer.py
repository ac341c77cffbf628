"""A viewer of an SSE stream that reconnects to the next node with its last cursor."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any, NamedTuple, Self

import httpx2 as httpx

from tests.nodes.cluster import ADMIN
from tests.support.server import LONG_ENOUGH

NO_TLS = ssl.create_default_context()  # never used, but each client would make one: 10 ms


class Event(NamedTuple):
    name: str
    cursor: str | None
    data: Any


class Viewer:
    def __init__(
        self,
        urls: str | Sequence[str],
        path: str,
        *,
        since: str | None = None,
        key: str | None = ADMIN,
    ) -> None:
        self._urls = cycle([urls] if isinstance(urls, str) else urls)
        self._path = path
        self._headers = {"accept": "text/event-stream"}
        self._headers |= {} if key is None else {"authorization": f"Bearer {key}"}
        self.cursor = since
        self.events: list[Event] = []
        self.over = False  # the server ended it for good
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        async with httpx.AsyncClient(
            timeout=LONG_ENOUGH, headers=self._headers, verify=NO_TLS
        ) as http:
            while not self.over:
                try:
                    await self._connect(http, next(self._urls))
                except httpx.TransportError:
                    await asyncio.sleep(0.02)  # leave the processor to the servers
                self._news.set()

    async def _connect(self, http: httpx.AsyncClient, url: str) -> None:
        headers = {"last-event-id": self.cursor} if self.cursor else {}
        async with http.stream("GET", url + self._path, headers=headers) as answer:
            if answer.status_code != 200:
                self._take(Event(str(answer.status_code), None, None))
                self.over = answer.status_code not in (502, 503, 504)  # no node, for a proxy
                return
            fields: dict[str, str] = {}
            async for line in answer.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                else:
                    self._take_fields(fields)
                    fields = {}

    def _take_fields(self, fields: dict[str, str]) -> None:
        name = fields.get("event", "message")
        if "data" in fields and name != "ping":
            self.cursor = fields.get("id", self.cursor)
            self.over = self.over or name in ("end", "unwelcome")
            self._take(Event(name, fields.get("id"), json.loads(fields["data"])))

    def _take(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    async def until(self, good: Callable[[Self], object]) -> None:
        async with asyncio.timeout(LONG_ENOUGH):
            while not good(self):
                self._news.clear()
                await self._news.wait()

    async def until_told(self, *names: str) -> None:
        await self.until(lambda it: set(names) <= set(it.names))

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.events]

    @property
    def lines(self) -> list[str]:
        """Every log line, in the order in which it came."""
        return [
            entry["message"]
            for event in self.events
            if event.name in ("snapshot", "delta")
            for entry in (event.data.get("append") or event.data).get("logs", ())
        ]

    @property
    def seqs(self) -> list[int]:
        return [int(event.cursor.partition(".")[2]) for event in self.events if event.cursor]
