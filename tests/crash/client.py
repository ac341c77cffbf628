"""A client that returns whole answers. If a connection ends early, it raises Lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, Mapping
from typing import Any, Final, NamedTuple

PATIENCE: Final = 60.0  # seconds; reached only when something is broken


class Lost(Exception):
    """The connection ended before the answer: the request may have had its effect, or not."""


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection, kept alive, one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.call("GET", path, b"", **headers)

    async def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """Keywords are headers: `content_type="…"`. The default for a body is JSON."""
        if body:
            headers.setdefault("content_type", "application/json")
        headers["content_length"] = str(len(body))
        return await self._send(method, path, headers, _once(body))

    async def stream(self, path: str, chunks: AsyncIterable[bytes], **headers: str) -> Answer:
        """POST a body in chunks. An early answer ends it."""
        headers["transfer_encoding"] = "chunked"
        return await self._send("POST", path, headers, _chunked(chunks))

    async def _send(
        self, method: str, path: str, headers: Mapping[str, str], pieces: AsyncIterable[bytes]
    ) -> Answer:
        fields = {"host": "127.0.0.1", **{k.replace("_", "-"): v for k, v in headers.items()}}
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items())
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._exchange(head.encode() + b"\r\n", pieces)
        except (OSError, EOFError) as error:  # TimeoutError and IncompleteReadError too
            self.close()
            raise Lost(f"{method} {path}: {error!r}") from error

    async def _exchange(self, head: bytes, pieces: AsyncIterable[bytes]) -> Answer:
        reader, writer = await self._connection()
        answering = asyncio.create_task(_answer(reader))
        try:
            writer.write(head)
            poured = await _pour(pieces, writer, answering)
            answer = await answering
        finally:
            answering.cancel()
        if not poured or answer.headers.get("connection") == "close":
            self.close()
        return answer

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self._reader, self._writer

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def _pour(
    pieces: AsyncIterable[bytes], writer: asyncio.StreamWriter, answering: asyncio.Task[Answer]
) -> bool:
    """Send until the end of the body or an early answer. Return whether the body was sent whole.
    After an error of writing, an answer may still arrive."""
    try:
        async for piece in pieces:
            if answering.done():
                return False
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        await asyncio.wait([answering])
        return False
    return True


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(first.split()[1]), headers, body)


async def _once(body: bytes) -> AsyncIterable[bytes]:
    yield body


async def _chunked(pieces: AsyncIterable[bytes]) -> AsyncIterable[bytes]:
    async for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"
