"""Where the bytes of files lie. tests/contract/test_area.py holds every area to this."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from livejobs.core.errors import NotFound

# Sends so many bytes of a descriptor from an offset, unless the future is done before; says how
# many went out.
FileSender: TypeAlias = Callable[[int, int, int, Any], Awaitable[int]]


class Opened(Protocol):
    """A file as it was when it was opened. Removed since, it still reads the same, or, where the
    medium can't do that, it is NotFound `no_file`; it never reads otherwise."""

    size: int
    modified: int  # milliseconds since 1970, UTC
    etag: str  # strong, in its quotes
    path: Path | None  # where it stays for as long as it is open, for a server that sends by path
    piece: int  # bytes worth reading at once

    async def read(self, offset: int, length: int) -> bytes:
        """As many bytes, or fewer at the end of what there is."""

    def fileno(self) -> int | None:
        """A descriptor to send from, where there is one."""

    async def close(self) -> None:
        """Let go of it. Safe to call twice."""


class Area(Protocol):
    """Files by key. A key is 32 hexadecimal digits, and no two files ever have the same."""

    async def open(self) -> None:
        """Get ready."""

    async def close(self) -> None:
        """Let go of everything. Safe to call twice."""

    async def keep(self, key: str, path: Path, name: str, media_type: str) -> None:
        """Take the file at `path`, which is gone from there afterwards. On return it is durable.
        `name` and `media_type` are for who fetches it by a link. If the medium refuses:
        StorageUnavailable, and nothing is kept."""

    async def find(self, key: str) -> Opened:
        """The file, for reading; NotFound `no_file` if it is not there."""

    async def link(self, key: str) -> str | None:
        """An address from where a client may fetch it by itself for a while, to be saved under its
        name, if there is one."""

    async def remove(self, keys: Sequence[str]) -> None:
        """They are gone on return, or were not there."""

    def keys(self) -> AsyncIterator[Sequence[str]]:
        """All of them, some at a time; of uploads that another server may not have finished,
        none."""


def gone() -> NotFound:
    return NotFound("The bytes of this file are no longer there.", code="no_file")
