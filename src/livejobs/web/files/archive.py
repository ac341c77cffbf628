"""All files of a job as one zip, made while it is sent and stored nowhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import IO, Final
from zipfile import ZipFile, ZipInfo

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from livejobs.core.errors import LivejobsError
from livejobs.core.model import File
from livejobs.files.areas.area import Opened
from livejobs.files.filing import Files
from livejobs.web.files.delivery import Shortened, send_head, watched

SMALL: Final = 64 * 1024

log = logging.getLogger("livejobs.downloads")


class Archive(Response):
    """Files as a zip. If a file is gone when its turn comes, the answer ends early, so that no
    client takes it for complete."""

    def __init__(
        self,
        files: tuple[File, ...],
        at: Files,
        headers: Mapping[str, str],
        sent: Callable[[File, int], None],
        allowed: Callable[[], bool],
    ) -> None:
        self.status_code = 200
        self.background = None
        self._own = {**headers, "content-type": "application/zip"}
        self._zipped = zipped(files, at, sent)
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_head(send, 200, self._own)
        if scope["method"] != "HEAD":
            try:
                async with (
                    watched(receive, self._allowed) as gone,
                    aclosing(self._zipped) as pieces,
                ):
                    async for piece in pieces:
                        await send(_body(piece, more=True))
                        if gone.done():
                            return
            except (Shortened, LivejobsError) as error:
                log.warning("a file could not be read while it was zipped: %s", error)
                return
        await send(_body(b"", more=False))


def _body(piece: bytes, *, more: bool) -> dict[str, object]:
    return {"type": "http.response.body", "body": piece, "more_body": more}


class Pieces:
    """A file for the zip to be written to, and taken from piece by piece. It can't seek, so sizes
    and checksums follow each file instead of preceding it."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(self._pieces[-1])

    def flush(self) -> None:
        """Nothing is buffered."""

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


async def zipped(
    files: tuple[File, ...], at: Files, sent: Callable[[File, int], None]
) -> AsyncGenerator[bytes]:
    """Stored, not compressed: large files usually are compressed already."""
    written = Pieces()
    with ZipFile(written, "w") as archive:  # type: ignore[call-overload]  # it only writes
        for file in files:
            if file.url is not None:
                archive.writestr(_entry(file, ".url"), f"[InternetShortcut]\r\nURL={file.url}\r\n")
                continue
            opened = await at.open(file)
            try:
                offset = 0
                with archive.open(_entry(file), "w", force_zip64=True) as entry:
                    while offset < opened.size and (piece := await _next(opened, offset)):
                        await _written(entry, piece)
                        offset += len(piece)
                        yield written.take()
            finally:
                await opened.close()
            if offset < opened.size:
                raise Shortened
            sent(file, offset)
    yield written.take()


async def _written(entry: IO[bytes], piece: bytes) -> None:
    """Writing computes a checksum. For a small piece a thread would cost more than that."""
    if len(piece) <= SMALL:
        entry.write(piece)
    else:
        await asyncio.to_thread(entry.write, piece)


async def _next(opened: Opened, offset: int) -> bytes:
    return await opened.read(offset, min(opened.piece, opened.size - offset))


def _entry(file: File, more: str = "") -> ZipInfo:
    at = datetime.fromtimestamp(max(file.at, 315_532_800_000) / 1000, UTC)  # zips begin in 1980
    return ZipInfo(file.name + more, at.timetuple()[:6])
