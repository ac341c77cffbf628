"""Where the bytes of files are kept. tests/files/test_area.py holds every area to this page."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from livejobs.core.errors import NotFound

KEY: Final = re.compile(r"[0-9a-f]{32}\Z", re.ASCII)
MARKER: Final = ".livejobs-area"  # the name of the marker, in every area
SETTLED: Final = timedelta(days=1)  # after that, no server can still be about to give it to a job

# Sends `count` bytes of a descriptor from an offset, or fewer if the future is done first. Returns
# how many bytes it sent.
FileSender: TypeAlias = Callable[[int, int, int, Any], Awaitable[int]]


class Marker(NamedTuple):
    """What tells areas apart. A copy of an area has its id, but gets none of its later beats."""

    id: str
    beats: int = 0


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
        """All keys, some at a time, without those that another node may still be uploading."""

    async def marker(self) -> Marker | None:
        """The area's marker; None if it has none. A marker is no file and has no key."""

    async def mark(self, id: str) -> None:
        """Give the area a marker with this id, unless it has one."""

    async def unmark(self) -> None:
        """Remove the marker, if there is one."""

    async def beat(self) -> None:
        """Add a beat to the marker, if the medium can be copied behind our back."""


def gone() -> NotFound:
    return NotFound("The bytes of this file are gone.", code="no_file")
