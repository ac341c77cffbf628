"""A hub over the in-memory store, and clients that keep what they are sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from livejobs import clock
from livejobs.access.keyring import Keyring
from livejobs.core.access import ANONYMOUS, Principal
from livejobs.core.cursor import parse
from livejobs.core.model import Head
from livejobs.core.reports import Bounds
from livejobs.core.trimming import NO_CAPS, Caps
from livejobs.jobs.changes.reporting import Reporting
from livejobs.jobs.commit.committer import Committer
from livejobs.jobs.commit.transaction import Transaction
from livejobs.jobs.lanes import Lanes
from livejobs.jobs.reader import Reader
from livejobs.jobs.state import Registry, Slot
from livejobs.live.channel import Viewer
from livejobs.live.frames import Message, Sendable
from livejobs.live.hub import Hub
from livejobs.live.options import Filter, Options
from livejobs.store.memory import MemoryStore
from tests.live.by_hand import idle


class Plain:
    """A wire that sends messages as they are, all of one push in one piece."""

    transport: Final = "sse"

    def encode(self, messages: Sequence[Message]) -> Sendable:
        return ({"messages": tuple(messages)},)


PLAIN = Plain()


class Client:
    """One connection: an ASGI `send`, and what it has taken."""

    def __init__(self) -> None:
        self.pushes: list[tuple[Message, ...]] = []
        self.takes = asyncio.Event()
        self.takes.set()
        self.broken = False

    async def send(self, message: Mapping[str, Any]) -> None:
        if self.broken:
            raise OSError("The connection is closed.")
        await self.takes.wait()
        self.pushes.append(message["messages"])

    @property
    def got(self) -> list[Message]:
        """Everything but pings."""
        sent = [message for push in self.pushes for message in push]
        return [message for message in sent if message.op != "ping"]

    @property
    def pings(self) -> int:
        return sum(message.op == "ping" for push in self.pushes for message in push)

    @property
    def ops(self) -> list[str]:
        return [message.op for message in self.got]

    @property
    def last(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.got[-1].data)
        return data

    def forget(self) -> None:
        self.pushes.clear()


class World:
    def __init__(
        self,
        *,
        inline: bool = True,
        store: MemoryStore | None = None,
        connections_each: int | None = None,
        admin_key: str | None = None,
        caps: Caps = NO_CAPS,
    ) -> None:
        self.store = store or MemoryStore()
        self.registry = Registry()
        self.committer = Committer(self.store, self.registry, Lanes(), "", caps)
        self.reader = Reader(self.store, self.registry, self.committer, "")
        self.keyring = Keyring(self.store, admin_key=admin_key)
        self.reporting = Reporting(self.committer, Bounds())
        self.hub = Hub(
            self.store,
            self.reader,
            self.committer,
            self.keyring,
            largest_batch=1000,
            connections_each=connections_each,
            inline=lambda _: inline,
        )

    async def __aenter__(self) -> World:
        project = await self.store.project("default")
        self.committer.epochs["default"], self.committer.seqs["default"] = project.epoch, 0
        self._task = asyncio.create_task(self.committer.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.committer.close()
        await self._task

    # Jobs

    async def create(self, id: str = "j", **fields: Any) -> Slot:
        now = clock.now_ms()
        head = Head(id, "default", "me", now, now, now, **fields)

        def operation(transaction: Transaction) -> Slot:
            return transaction.create(head, "")

        return (await self.committer.submit(operation)).value

    async def report(self, slot: Slot, *reports: Mapping[str, Any]) -> None:
        await self.reporting.apply(slot, self.reporting.check(reports))
        await idle()

    async def log(self, slot: Slot, *messages: str, level: str = "info") -> None:
        lines = [{"type": "log", "message": message, "level": level} for message in messages]
        await self.report(slot, *lines)

    async def start_log(self, slot: Slot, message: str) -> None:
        """Return as soon as the line is committed; other tasks have not run yet."""
        reports = self.reporting.check([{"type": "log", "message": message}])
        await self.reporting.apply(slot, reports)

    async def percent(self, slot: Slot, percent: int) -> None:
        await self.report(slot, {"type": "progress", "percent": percent})

    async def delete(self, slot: Slot) -> None:
        await self.committer.submit(lambda transaction: transaction.delete(slot))
        await idle()

    # Subscriptions

    async def watch(
        self,
        slot: Slot,
        *,
        client: Client | None = None,
        since: int | None = None,
        first: int = 100,
        solo: bool = False,
        by: Principal = ANONYMOUS,
        **options: Any,
    ) -> tuple[Client, Viewer]:
        client = client or Client()
        wanted = Options(**{"view": "delta", **options})
        sink = self.hub.open(client.send, PLAIN, by, solo=solo)
        viewer = self.hub.watch_job(sink, PLAIN, slot, wanted, since, first)
        sink.settle()
        await idle()
        return client, viewer

    async def feed(
        self, *, since: int | None = None, first: int = 100, view: Any = "delta", **filter: Any
    ) -> tuple[Client, Viewer]:
        client = Client()
        logs = filter.pop("logs", False)
        sink = self.hub.open(client.send, PLAIN)
        options = Options(view, logs)
        viewer = self.hub.watch_feed(
            sink, PLAIN, Filter("default", **filter), options, since, first
        )
        sink.settle()
        await idle()
        return client, viewer


def seq_of(message: Message) -> int:
    assert message.cursor is not None
    cursor = parse(message.cursor)
    assert cursor is not None
    return cursor.seq


def lines_of(messages: Sequence[Message]) -> list[str]:
    """Every log line, in the order in which a client gets them."""
    lines: list[str] = []
    for message in messages:
        data = json.loads(message.data)
        if message.op == "logs":
            lines += [line["message"] for line in data]
        elif message.op == "delta":
            lines += [line["message"] for line in data["append"].get("logs", ())]
        elif message.op == "snapshot":
            lines += [line["message"] for line in data.get("logs", ())]
    return lines
