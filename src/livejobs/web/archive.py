"""All files of a job as one zip, made while it is sent: nothing of it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Final
from zipfile import ZipFile, ZipInfo

from livejobs.core.model import File
from livejobs.files.filing import Files

PIECE: Final = 1 << 20


class Sink:
    """Where the zip is written to, and taken from piece by piece. It can't seek, so sizes and
    sums follow each file instead of going before it."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(self._pieces[-1])

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


async def zipped(
    files: tuple[File, ...], at: Files, sent: Callable[[File, int], None]
) -> AsyncIterator[bytes]:
    """Stored, not compressed: what is large is compressed already."""
    sink = Sink()
    with ZipFile(sink, "w") as archive:  # type: ignore[call-overload]  # it only writes
        for file in files:
            if file.url is not None:
                archive.writestr(_entry(file, ".url"), f"[InternetShortcut]\r\nURL={file.url}\r\n")
                continue
            opened = await at.open(file)
            try:
                offset = 0
                with archive.open(_entry(file), "w", force_zip64=True) as entry:
                    while piece := await opened.read(offset, min(PIECE, opened.size - offset)):
                        await asyncio.to_thread(entry.write, piece)  # it sums up what it is given
                        offset += len(piece)
                        yield sink.take()
            finally:
                await opened.close()
            sent(file, offset)
    yield sink.take()


def _entry(file: File, more: str = "") -> ZipInfo:
    at = datetime.fromtimestamp(max(file.at, 315_532_800_000) / 1000, UTC)  # zips begin in 1980
    return ZipInfo(file.name + more, at.timetuple()[:6])
