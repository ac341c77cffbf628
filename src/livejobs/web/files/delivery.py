"""Answer with a file, or parts of it (RFC 9110), from an open descriptor.

Threads do the reads, which are large. Behind our own runner the kernel copies the bytes instead
(see sendfile.py).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from asyncio import FIRST_COMPLETED
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from email.utils import formatdate
from functools import partial
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from livejobs.access.keyring import LOOK_EVERY
from livejobs.core.errors import LivejobsError
from livejobs.files.areas.area import FileSender, Opened
from livejobs.files.counting import Arriving
from livejobs.web.files.arrival import Arrival, arrival_of
from livejobs.web.files.ranges import Decision, Span, http_date
from livejobs.web.handover import as_it_is, hand_over
from livejobs.web.http import VARY

LEAST: Final = 64 << 10  # bytes worth handing to the kernel
BY_PATH: Final = "http.response.pathsend"  # what some servers offer (ASGI extensions)
LOOK_AGAIN: Final = 0.25  # seconds between reads of a growing file; nothing notifies us

# An uploaded file may hold anything, so it must not act as a page of ours.
HARMLESS: Final = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox; default-src 'none'",
}

log = logging.getLogger("livejobs.downloads")


class Shortened(Exception):
    """The file has become shorter since its answer began."""

    def __str__(self) -> str:
        return "it became shorter"


class Delivery(Response):
    """Sends an open file and closes it. `sent` is called with the number of bytes, the ranges, and
    whether the file's last byte was sent and arrived, or with the Arrival that will know."""

    def __init__(
        self,
        opened: Opened,
        decision: Decision,
        headers: Mapping[str, str],
        media_type: str,
        sent: Callable[[int, str | None, bool | Arriving], None],
        sender_of: Callable[[Send], FileSender | None],
        allowed: Callable[[], bool],
    ) -> None:
        self.status_code = decision.status  # for layers that read it
        self.background = None
        self._opened = opened
        self._decision = decision
        self._own = headers
        self._media_type = media_type
        self._sent = sent
        self._sender_of = sender_of
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        by_path = BY_PATH in (scope.get("extensions") or {})
        work = partial(self._send, scope["method"], by_path)
        self._own = {**as_it_is(scope), **self._own}
        await hand_over(work, scope, receive, send)

    async def _send(self, method: str, by_path: bool, receive: Receive, send: Send) -> None:
        try:
            await self._answer(method, by_path, receive, send)
        finally:
            await self._opened.close()

    async def _answer(self, method: str, by_path: bool, receive: Receive, send: Send) -> None:
        take_date_now(send)
        it, common = self._opened, self._common()
        if self.status_code == 304:
            await send_head(send, 304, common)
            await send({"type": "http.response.body", "body": b""})
            return
        body = Body(it, self._decision, self._media_type)
        headers = {**common, **HARMLESS, **self._own, **body.headers}
        await send_head(send, self.status_code, headers)
        if method == "HEAD":
            await send({"type": "http.response.body", "body": b""})
        elif by_path and it.path is not None and self.status_code == 200:
            await send({"type": BY_PATH, "path": str(it.path)})
            self._sent(it.size, None, True)
        else:
            await self._send_body(body, receive, send)

    def _common(self) -> dict[str, str]:
        return {
            "etag": self._opened.etag,
            "last-modified": http_date(self._opened.modified),
            "cache-control": "private, no-cache",
            "vary": VARY,
            "accept-ranges": "bytes",
        }

    @property
    def headers_of_all(self) -> dict[str, str]:
        """The headers for the file, whichever part of it is sent."""
        return {**self._common(), **HARMLESS, **self._own, "content-type": self._media_type}

    async def _send_body(self, body: Body, receive: Receive, send: Send) -> None:
        arrival = arrival_of(send)
        sender = Sender(self._opened, send, self._sender_of(send), arrival)
        try:
            async with watched(receive, self._allowed) as gone:
                complete = await sender.send(body, gone)
        except (Shortened, LivejobsError) as error:
            log.warning("a download was cut off: %s", error)
            complete = False
        except BaseException:  # whatever it was, nobody else would close its descriptor
            if arrival is not None:
                arrival.close()
            raise
        reached = complete and any(span.end == self._opened.size for span in body.spans)
        asked = ",".join(f"{span.first}-{span.end - 1}" for span in self._decision.spans)
        self._sent(sender.sent, asked or None, outcome(arrival, reached=reached))


def outcome(arrival: Arrival | None, *, reached: bool) -> bool | Arriving:
    """Whether the last byte arrived. Where that can't be known, a byte that was sent has."""
    if arrival is None:
        return reached
    arrived = reached and arrival.written()
    if arrived is None:
        return arrival
    arrival.close()
    return arrived


class Body:
    """The body of an answer: spans of the file, and the boundaries between several spans."""

    def __init__(self, opened: Opened, decision: Decision, media_type: str) -> None:
        size = opened.size
        self.spans = decision.spans or (Span(0, size),)
        self.partial = decision.status == 206
        self.before: list[bytes] = [b"" for _ in self.spans]
        self.after = b""
        self.headers = {"content-type": media_type}
        if len(self.spans) > 1:
            self._multiple(size, media_type)
        elif self.partial:
            self.headers["content-range"] = self.spans[0].content_range(size)
        length = sum(span.end - span.first for span in self.spans)
        length += sum(map(len, self.before)) + len(self.after)
        self.headers["content-length"] = str(length)

    def _multiple(self, size: int, media_type: str) -> None:
        boundary = secrets.token_hex(12)
        self.headers["content-type"] = f"multipart/byteranges; boundary={boundary}"
        for at, span in enumerate(self.spans):
            self.before[at] = (
                f"\r\n--{boundary}\r\ncontent-type: {media_type}\r\n"
                f"content-range: {span.content_range(size)}\r\n\r\n"
            ).encode("latin-1")
        self.after = f"\r\n--{boundary}--\r\n".encode()


class Sender:
    """Sends the bytes of one answer."""

    def __init__(
        self, opened: Opened, send: Send, past: FileSender | None, arrival: Arrival | None
    ) -> None:
        self.sent = 0  # of the file
        self._opened = opened
        self._send = send
        self._descriptor = opened.fileno()
        self._past = past  # sends from the descriptor, past `send`
        self._arrival = arrival

    async def send(self, body: Body, gone: asyncio.Task[None]) -> bool:
        """Whether all of it was written. The client may disconnect at once: it has its bytes."""
        for before, span in zip(body.before, body.spans, strict=True):
            if before and not await self._out(before):
                return False
            if not await self._span(span, gone):
                return False
        await self._out(body.after, more=False)
        return True

    async def _span(self, span: Span, gone: asyncio.Task[None]) -> bool:
        at = span.first
        while at < span.end and not gone.done():
            sent = await self._piece(at, span.end - at, gone)
            if sent is None:
                return False
            if not sent and not gone.done():
                raise Shortened
            at += sent
            self.sent += sent
        return at == span.end

    async def _piece(self, at: int, left: int, gone: asyncio.Task[None]) -> int | None:
        """How many bytes were sent; None: the client has disconnected."""
        if self._past is not None and self._descriptor is not None and left >= LEAST:
            return await self._past(self._descriptor, at, left, gone)
        piece = await self._opened.read(at, min(self._opened.piece, left))
        return len(piece) if not piece or await self._out(piece) else None

    async def _out(self, data: bytes, *, more: bool = True) -> bool:
        """Whether it was written. Some servers raise if the client has disconnected (ASGI 2.4)."""
        try:
            await self._send({"type": "http.response.body", "body": data, "more_body": more})
        except OSError:
            return False
        return self._arrival is None or not self._arrival.dropped


class Following(Response):
    """Sends a file and what is appended to it, until `over` is true and all is sent. Closes it."""

    def __init__(
        self,
        opened: Opened,
        headers: Mapping[str, str],
        media_type: str,
        changed: Callable[[], asyncio.Future[None]],
        over: Callable[[], bool],
    ) -> None:
        self.status_code = 200
        self.background = None
        self._opened = opened
        self._own = {**HARMLESS, **headers, "content-type": media_type}
        self._changed = changed
        self._over = over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {
            "cache-control": "no-store", "vary": VARY, "x-accel-buffering": "no",
            **as_it_is(scope), **self._own,
        }  # fmt: skip
        try:
            await send_head(send, 200, headers)
            if scope["method"] != "HEAD":
                # Some servers and layers send the head with the first piece.
                await send({"type": "http.response.body", "body": b"", "more_body": True})
                async with watched(receive, lambda: True) as gone:  # `_follow` calls `over`
                    await self._follow(send, gone)
            await send({"type": "http.response.body", "body": b""})
        finally:
            await self._opened.close()

    async def _follow(self, send: Send, gone: asyncio.Task[None]) -> None:
        at, changed = 0, self._changed()
        try:
            while not gone.done():
                if changed.done():
                    changed = self._changed()
                over = self._over()  # as of before reading
                piece = await self._opened.read(at, self._opened.piece)
                if piece:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    at += len(piece)
                elif over:
                    return
                else:
                    either = {gone, changed}
                    await asyncio.wait(either, timeout=LOOK_AGAIN, return_when=FIRST_COMPLETED)
        finally:
            changed.cancel()  # or a job at rest would remember each of its viewers


@asynccontextmanager
async def watched(
    receive: Receive, allowed: Callable[[], bool]
) -> AsyncIterator[asyncio.Task[None]]:
    """A task that is done when the client has disconnected, which `send` does not report, or when
    its credential is no longer valid: a large file may take hours."""

    async def until_gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def until_over() -> None:
        while allowed() and not left.done():
            await asyncio.wait({left}, timeout=LOOK_EVERY)
        if not left.done():
            log.info("a download was cut off: its credential is no longer valid")

    left = asyncio.create_task(until_gone())
    over = asyncio.create_task(until_over())
    try:
        yield over
    finally:
        left.cancel()
        over.cancel()


def take_date_now(send: Send) -> None:
    """uvicorn updates the Date of its answers once a second. Last-Modified must not be later than
    Date (RFC 9110, 8.8.2.1), as that of a file written within this second would be."""
    exchange: Any = getattr(send, "__self__", None)
    headers: Sequence[tuple[bytes, bytes]] = getattr(exchange, "default_headers", ())
    if any(name == b"date" for name, _ in headers):
        rest = [header for header in headers if header[0] != b"date"]
        exchange.default_headers = [(b"date", formatdate(usegmt=True).encode()), *rest]


async def send_head(send: Send, status: int, headers: Mapping[str, Any]) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
