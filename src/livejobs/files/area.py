"""Where the bytes of files are kept. tests/files/test_area.py holds every area to this page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from livejobs.core.errors import NotFound

# Sends `count` bytes of a descriptor from an offset, or fewer if the future is done first. Returns
# how many bytes it sent.
FileSender: TypeAlias = Callable[[int, int, int, Any], Awaitable[int]]


class Opened(Protocol):
    """A file as it was when it was opened. If it is removed meanwhile, reads still return the same
    bytes or, where the medium can't do that, raise NotFound `no_file`."""

    size: int
    modified: int  # milliseconds since 1970, UTC
    etag: str  # strong, in its quotes
    path: Path | None  # valid while it is open, for servers that send a file by its path
    piece: int  # a good number of bytes for one read

    async def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, or fewer at the end of the file."""

    def fileno(self) -> int | None:
        """A descriptor to send from, or None."""

    async def close(self) -> None:
        """Release the file. Safe to call twice."""


class Area(Protocol):
    """Files by key. A key is 32 hexadecimal digits and is never used for a second file."""

    async def open(self) -> None:
        """Prepare the area, or raise SettingError or StorageUnavailable if it can't be used."""

    async def close(self) -> None:
        """Release everything. Safe to call twice."""

    async def keep(self, key: str, path: Path, name: str, media_type: str) -> None:
        """Move the file at `path` into the area. On return it is durable. Clients that follow a
        link get `name` and `media_type`. If the medium refuses, raise StorageUnavailable and keep
        nothing."""

    async def find(self, key: str) -> Opened:
        """Open the file for reading. Raise NotFound `no_file` if it is not there."""

    async def link(self, key: str) -> str | None:
        """A URL at which a client may download the file for a limited time, saved under its name;
        None if the area has no such links."""

    async def remove(self, keys: Sequence[str]) -> None:
        """Remove the files. A key without a file is no error."""

    def keys(self) -> AsyncIterator[Sequence[str]]:
        """All keys, some at a time, without those that another server may still be uploading."""


def gone() -> NotFound:
    return NotFound("The bytes of this file are gone.", code="no_file")
