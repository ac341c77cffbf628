"""The file area in an object store: S3 and all that speak as it does, Google's, Azure's.

One object a key. A large one is sent in parts, some at a time, and read in pieces, some of them
ahead: a store answers late but takes many questions at once.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from livejobs import clock
from livejobs.config import SettingError
from livejobs.core.errors import NotFound, StorageUnavailable
from livejobs.files.area import Opened, gone
from livejobs.files.names import disposition

PART: Final = 8 << 20  # of an upload
PARTS: Final = 9_000  # S3 takes 10,000
PARTS_AT_ONCE: Final = 4
AHEAD: Final = 3  # pieces asked for before they are wanted
LISTED_AT_ONCE: Final = 1_000
SETTLED: Final = timedelta(days=1)  # after that, no server is still about to say whose it is
LINK_LASTS: Final = timedelta(hours=1)
RETRIES: Final[Any] = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}
CLIENT: Final[Any] = {
    "timeout": timedelta(minutes=2),
    "connect_timeout": timedelta(seconds=5),
    "allow_http": True,  # of an address that somebody set; those of the clouds are https
}

_KEY: Final = re.compile(r"[0-9a-f]{32}\Z")

log = logging.getLogger("livejobs.files")


class Piece(NamedTuple):
    offset: int
    length: int
    data: asyncio.Task[bytes]


class ObjectFile:
    """An object that is not replaced, as no two have the same key. Who reads it from front to
    back gets it ahead."""

    def __init__(self, store: Any, key: str, size: int, modified: datetime) -> None:
        self.size = size
        self.modified = int(modified.timestamp() * 1000)
        self.etag = f'"{key}"'
        self.path: Path | None = None
        self.piece = 1 << 20
        self._store = store
        self._key = key
        self._ahead: deque[Piece] = deque()
        self._read_to = -1  # where the last piece ended

    async def read(self, offset: int, length: int) -> bytes:
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        goes_on, self._read_to = offset == self._read_to, offset + length
        if not (
            self._ahead and self._ahead[0].offset == offset and self._ahead[0].length >= length
        ):
            self._forget_ahead()
            self._ask(offset, length)
        if goes_on:
            self._ask_ahead(length)
        data = await self._ahead.popleft().data
        return data[:length]

    def _ask_ahead(self, length: int) -> None:
        while len(self._ahead) <= AHEAD:
            last = self._ahead[-1]
            offset = last.offset + last.length
            if offset >= self.size:
                return
            self._ask(offset, min(length, self.size - offset))

    def _ask(self, offset: int, length: int) -> None:
        task = asyncio.create_task(self._fetch(offset, length))
        task.add_done_callback(_heard)
        self._ahead.append(Piece(offset, length, task))

    async def _fetch(self, offset: int, length: int) -> bytes:
        with refusals():
            data = await obstore.get_range_async(
                self._store, self._key, start=offset, length=length
            )
        if len(data) != length:
            raise gone()
        return bytes(data)

    def _forget_ahead(self) -> None:
        while self._ahead:
            self._ahead.popleft().data.cancel()

    def fileno(self) -> int | None:
        return None

    async def close(self) -> None:
        self._forget_ahead()


def _heard(task: asyncio.Task[bytes]) -> None:
    """What went wrong with a piece that nobody came to want is not reported."""
    if not task.cancelled():
        task.exception()


class ObjectArea:
    def __init__(self, url: str, threads: Executor, settled: timedelta = SETTLED) -> None:
        self._url = url
        self._settled = settled
        self._threads = threads
        try:
            self._store: Any = from_url(url, retry_config=RETRIES, client_options=CLIENT)
        except (BaseError, ValueError) as error:
            raise self._unusable(error) from None

    async def open(self) -> None:
        """One look, so that a wrong name or credential is found now and not by an upload."""
        try:
            async for _ in obstore.list(self._store, chunk_size=1):
                return
        except (BaseError, OSError, ValueError) as error:
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> SettingError:
        return SettingError("files", self._url, f"can't be used: {shortly(error)}")

    async def close(self) -> None:
        """Nothing is held."""

    async def keep(self, key: str, path: Path, name: str, media_type: str) -> None:
        loop = asyncio.get_running_loop()
        size = (await loop.run_in_executor(self._threads, path.stat)).st_size
        with refusals():
            await obstore.put_async(
                self._store,
                key,
                path,
                attributes={"Content-Type": media_type, "Content-Disposition": disposition(name)},
                chunk_size=max(PART, size // PARTS),
                max_concurrency=PARTS_AT_ONCE,
            )
        await loop.run_in_executor(self._threads, path.unlink)

    async def find(self, key: str) -> Opened:
        with refusals():
            there = await obstore.head_async(self._store, key)
        return ObjectFile(self._store, key, there["size"], there["last_modified"])

    async def link(self, key: str) -> str | None:
        with refusals():
            return await obstore.sign_async(self._store, "GET", key, LINK_LASTS)

    async def remove(self, keys: Sequence[str]) -> None:
        try:
            with refusals():
                await obstore.delete_async(self._store, list(keys))
        except NotFound:  # some stores tell of one that was not there, and stop
            for key in keys:
                await self._remove(key)

    async def _remove(self, key: str) -> None:
        try:
            with refusals():
                await obstore.delete_async(self._store, key)
        except NotFound:
            return

    async def keys(self) -> AsyncIterator[Sequence[str]]:
        before = clock.now() - self._settled
        with refusals():
            async for some in obstore.list(self._store, chunk_size=LISTED_AT_ONCE):
                old = [it["path"] for it in some if it["last_modified"] < before]
                yield [key for key in old if _KEY.match(key)]


@contextmanager
def refusals() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise gone() from None
    except (BaseError, OSError, ValueError) as error:
        log.warning("the object store refused: %s", shortly(error))
        raise StorageUnavailable(
            "The store of the files can't be used just now. Try again later."
        ) from error


def shortly(error: Exception) -> str:
    """The first line, without the store's own page: the rest is how the library sees itself."""
    return (str(error).splitlines() or [type(error).__name__])[0].partition(": <?xml")[0][:300]
