"""A viewer of a stream that reconnects with its last cursor, as browsers do.

It must receive every entry of a job exactly once and in order, over all its connections and all the
server's deaths.
"""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any, Final

from tests.crash.client import Lost
from tests.crash.ledger import KINDS, Job, Ledger

LARGEST: Final = 1 << 24  # bytes in an event
AT_LEAST: Final = 0.5  # seconds between two looks whether it is to stop

Told = dict[str, list[dict[str, Any]]]


class Watcher:
    def __init__(self, ledger: Ledger, name: str, chance: random.Random) -> None:
        self.ledger = ledger
        self.name = name
        self.chance = chance
        self.told = 0  # entries, of all jobs
        self._id: str | None = None
        self._forget()

    def _forget(self) -> None:
        self._cursor: str | None = None
        self._job: Job = {}
        self._last = dict.fromkeys(KINDS, 0)  # the n of the last entry of each kind

    def start(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def step(self) -> None:
        """One event, or a timeout without any."""
        try:
            if self._reader is None:
                self._reader = await self._connect()
            if self._reader is not None:
                await self._event(self._reader)
        except TimeoutError:
            pass
        except (OSError, EOFError) as error:
            raise Lost(repr(error)) from error

    async def _connect(self) -> asyncio.StreamReader | None:
        if self._id is None:
            await asyncio.sleep(0.02)
            self._choose()
        if self._id is None:
            return None
        since = f"last-event-id: {self._cursor}\r\n" if self._cursor else ""
        path = f"/v1/jobs/{self._id}/events?view=delta&logs=1&tail=1000"
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=LARGEST)
        # HTTP/1.0, so that the body comes without the marks of its chunks
        self._writer.write(f"GET {path} HTTP/1.0\r\nhost: 127.0.0.1\r\n{since}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        return reader if self._is_stream(int(head.split()[1])) else None

    def _choose(self) -> None:
        there = [book for book in self.ledger.books.values() if book.born and not book.gone]
        if there:
            self._id = self.chance.choice(there[-20:]).id
            self._forget()

    def _is_stream(self, status: int) -> bool:
        if status == 200:
            return True
        # 204: nothing more will come after what it has seen. 404: deleted.
        self.ledger.expect(status in (204, 404), f"{self.name}, {self._id}: answered {status}")
        if status == 204:
            self._check_complete()
        self._leave()
        return False

    def _leave(self) -> None:
        self.close()
        self._id = None

    async def _event(self, reader: asyncio.StreamReader) -> None:
        async with asyncio.timeout(AT_LEAST):
            block = await reader.readuntil(b"\n\n")
        lines = (line.partition(": ") for line in block.decode().splitlines() if line)
        fields = {name: value for name, _, value in lines}
        getattr(self, "_on_" + fields.get("event", "message"))(json.loads(fields.get("data", "{}")))
        self._cursor = fields.get("id", self._cursor)

    # One method an event

    def _on_message(self, data: Any) -> None:
        """Whether the event has only `retry:`, which is for browsers."""

    def _on_ping(self, data: Any) -> None:
        pass

    def _on_snapshot(self, job: dict[str, Any]) -> None:
        self.ledger.expect(self._cursor is None, f"{self.name}, {self._id}: begun anew")
        self._told({"logs": job.pop("logs")}, job["logs_total"])
        self._last |= {kind: job[f"{kind}_total"] for kind in ("results", "errors")}
        self._job = job
        self._saw()

    def _on_delta(self, delta: dict[str, Any]) -> None:
        self._told(delta["append"])
        self._job = {**self._job, **delta["set"]}
        self._saw()

    def _on_end(self, data: Any) -> None:
        self._check_complete()
        self._leave()

    def _on_gone(self, data: Any) -> None:
        self._leave()

    def _on_bye(self, data: Any) -> None:
        raise Lost("bye")

    def _on_reset(self, data: Any) -> None:
        self.ledger.complain(f"{self.name}, {self._id}: reset at {self._cursor}")

    def _told(self, entries: Told, total: int | None = None) -> None:
        """Entries of one message. `total` of those before the first it tells of a job."""
        for kind, some in entries.items():
            numbers = [entry["n"] for entry in some]
            first = self._last[kind] + 1 if total is None else max(1, total - 1000 + 1)
            good = numbers == list(range(first, first + len(numbers)))
            self.ledger.expect(good, f"{self.name}, {self._id}: {kind} {first}… were {numbers}")
            self._last[kind] = first + len(numbers) - 1
            self.told += len(numbers)

    def _saw(self) -> None:
        self.ledger.saw(self.name, self._job)

    def _check_complete(self) -> None:
        totals = {kind: self._job[f"{kind}_total"] for kind in KINDS}
        self.ledger.expect(
            totals == self._last, f"{self.name}, {self._id}: told {self._last} of {totals}"
        )
