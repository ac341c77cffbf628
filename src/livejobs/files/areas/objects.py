"""The file area in an object store: S3 and compatible stores, Google Cloud Storage, Azure Blob.

One object for each key. Large objects are sent in parts, several at once, and read in pieces, some
of them ahead: a store has a high latency but takes many requests at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import from_url

from livejobs import clock
from livejobs.config import SettingError
from livejobs.core.errors import NotFound, StorageUnavailable
from livejobs.files.areas.area import KEY, MARKER, SETTLED, Marker, Opened, gone
from livejobs.files.names import disposition

PART: Final = 8 << 20  # of an upload
PARTS: Final = 9_000  # S3 allows 10,000
PARTS_AT_ONCE: Final = 4
AHEAD: Final = 3  # pieces requested before they are needed
LISTED_AT_ONCE: Final = 1_000
LINK_LASTS: Final = timedelta(hours=1)
RETRIES: Final[Any] = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}
CLIENT: Final[Any] = {
    "timeout": timedelta(minutes=2),
    "connect_timeout": timedelta(seconds=5),
    "allow_http": True,  # for an endpoint that somebody sets; the clouds' own are https
}

log = logging.getLogger("livejobs.files")


class Piece(NamedTuple):
    offset: int
    length: int
    data: asyncio.Task[bytes]


class ObjectFile:
    """An object, which is never replaced, as no two have the same key. A reader that goes from
    front to back gets pieces ahead."""

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
        sequential, self._read_to = offset == self._read_to, offset + length
        if not (
            self._ahead and self._ahead[0].offset == offset and self._ahead[0].length >= length
        ):
            self._forget_ahead()
            self._ask(offset, length)
        if sequential:
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
        task.add_done_callback(_ignore)
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


def _ignore(task: asyncio.Task[bytes]) -> None:
    """The error of a piece that was never needed is not reported."""
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
        """List once, so that a wrong name or credential is found now and not by an upload."""
        try:
            async for _ in obstore.list(self._store, chunk_size=1):
                return
        except (BaseError, OSError, ValueError) as error:
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> SettingError:
        return SettingError("files", self._url, f"can't be used: {shortly(error)}")

    async def close(self) -> None:
        """Nothing to release."""

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
        except NotFound:  # some stores stop at a key that is not there
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
                yield [key for key in old if KEY.match(key)]

    async def marker(self) -> Marker | None:
        try:
            found = await obstore.get_async(self._store, MARKER)
            return Marker(bytes(await found.bytes_async()).decode("latin-1"))
        except FileNotFoundError:
            return None
        except (BaseError, OSError, ValueError) as error:
            raise self._unusable(error) from None

    async def mark(self, id: str) -> None:
        try:
            await self._create(id.encode())
        except (BaseError, OSError, ValueError) as error:
            raise self._unusable(error) from None

    async def _create(self, marker: bytes) -> None:
        try:
            await obstore.put_async(self._store, MARKER, marker, mode="create")
        except AlreadyExistsError:
            return
        except BaseError:  # some stores have no such mode
            if await self.marker() is None:
                await obstore.put_async(self._store, MARKER, marker)

    async def unmark(self) -> None:
        await self.remove([MARKER])

    async def beat(self) -> None:
        """Not needed: nodes that use the same address reach the same objects."""


@contextmanager
def refusals() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise gone() from None
    except (BaseError, OSError, ValueError) as error:
        log.warning("the object store refused: %s", shortly(error))
        raise StorageUnavailable(
            "The object store for files can't be reached or refused. Try again later."
        ) from error


def shortly(error: Exception) -> str:
    """The first line, without the store's XML. The rest is about the library's internals."""
    return (str(error).splitlines() or [type(error).__name__])[0].partition(": <?xml")[0][:300]
