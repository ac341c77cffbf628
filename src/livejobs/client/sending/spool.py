"""What the server has not received yet, on disk: one folder for each producer.

A folder holds `lock`, `job.json` (what the numbers belong to), `created` once the server knows the
job, and segments of NDJSON in the order of their numbers. Whoever holds the lock sends. A process
that dies lets go of the lock, and the next process takes the folder over. The key is never written.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from livejobs.client.sending.exchange import Record
from livejobs.client.settings import Target

HEADER: Final = "job.json"
SEGMENT: Final = 1024 * 1024  # bytes; read back as a whole
MOST: Final = 1024 * 1024 * 1024  # bytes on disk for one job; more is refused as by a full disk
OLD: Final = 7 * 86_400.0  # seconds after which nobody waits for a folder any more


class Full(OSError):
    """The spool has reached its bound."""


class Segment(NamedTuple):
    path: Path
    first: int
    last: int
    bytes: int


class Spool:
    """A folder whose lock this process holds."""

    def __init__(self, folder: Path, lock: int, header: Mapping[str, Any]) -> None:
        self.folder = folder
        self.header = header
        self._lock = lock
        self._segments: list[Segment] = []
        self._file: int | None = None
        self._made = 0
        self._whole = True  # a power cut cannot lose the folder itself
        self.synced = True

    @classmethod
    def create(cls, target: Target, header: Mapping[str, Any]) -> Spool:
        """Nobody sees the folder before it is locked and complete."""
        root = _root(target)
        root.mkdir(0o700, parents=True, exist_ok=True)
        producer = header["producer"]
        making = root / f".new-{producer}"
        making.mkdir(0o700)
        lock = _open(making / "lock")
        try:
            if not _locked(lock):
                raise BlockingIOError(f"{making} is locked by another process")
            _write(making / HEADER, json.dumps(header).encode())
            folder = root / f"{time.time_ns() // 1_000_000:013}-{producer}"
            making.rename(folder)
        except BaseException:  # whatever it was, nobody else would remove the folder
            os.close(lock)
            shutil.rmtree(making, ignore_errors=True)
            raise
        made = cls(folder, lock, header)
        made._whole = made.synced = False
        return made

    @classmethod
    def take_over(cls, folder: Path) -> Spool | None:
        """None: its process lives, or it is not ours, or not whole."""
        try:
            if not _ours(folder):
                return None
            lock = _open(folder / "lock", create=False)
        except OSError:
            return None
        try:
            # The folder may have been removed between opening the lock and holding it.
            if _locked(lock) and (folder / "lock").exists():
                spool = cls(folder, lock, json.loads((folder / HEADER).read_bytes()))
                spool._scan()
                return spool
        except (OSError, ValueError):
            pass
        os.close(lock)
        return None

    def _scan(self) -> None:
        for path in sorted(self.folder.glob("*.ndjson")):
            self._made = max(self._made, int(path.stem))
            if (ends := _ends(path)) is not None:
                self._segments.append(Segment(path, *ends, path.stat().st_size))

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last number; (1, 0) when it is empty."""
        return (self._segments[0].first, self._segments[-1].last) if self._segments else (1, 0)

    @property
    def bytes(self) -> int:
        return sum(segment.bytes for segment in self._segments)

    @property
    def exists(self) -> bool:
        return self.folder.exists()

    @property
    def created(self) -> bool:
        """Whether the server knows the job, so that it must not be created again."""
        return (self.folder / "created").exists()

    def note_created(self) -> None:
        with suppress(OSError):  # it would be created if absent, as it was the first time
            os.close(_open(self.folder / "created"))

    def append(self, records: Sequence[Record]) -> None:
        """All of the records, or OSError and none of them."""
        data = b"".join(record.body + b"\n" for record in records)
        if self.bytes + len(data) > MOST:
            raise Full(f"{self.folder} holds {self.bytes} bytes; {MOST} are allowed")
        file = self._writable()
        self.synced = False
        start = os.lseek(file, 0, os.SEEK_END)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(file, view) :]
        except OSError:
            self._cut(file, start)
            raise
        self._extend(records, start + len(data))

    def _extend(self, records: Sequence[Record], size: int) -> None:
        path = self._path()
        first = records[0].n
        if self._segments and self._segments[-1].path == path:
            first = self._segments.pop().first
        self._segments.append(Segment(path, first, records[-1].n, size))
        if size >= SEGMENT:
            self._close_segment()

    def _writable(self) -> int:
        if self._file is None:
            self._made += 1
            self._file = _open(self._path())
        return self._file

    def _path(self) -> Path:
        return self.folder / f"{self._made:09}.ndjson"

    def _cut(self, file: int, size: int) -> None:
        """Half a line at the end is ignored by readers, but nothing may follow it."""
        try:
            os.ftruncate(file, size)
        except OSError:
            os.close(file)
            self._file = None

    def _close_segment(self) -> None:
        """On disk before the next one begins: later lines never outlive earlier ones."""
        if self._file is not None:
            file, self._file = self._file, None
            try:
                os.fsync(file)
            finally:
                os.close(file)

    def sync(self) -> None:
        """What was appended survives a power cut."""
        if self.synced:
            return
        if self._file is not None:
            os.fsync(self._file)
        if not self._whole:
            sync_file(self.folder / HEADER)
        sync_folder(self.folder)
        if not self._whole:
            sync_folder(self.folder.parent)
        self._whole = self.synced = True

    def read(self, first: int) -> list[Record]:
        """Records from this number on: of one segment. Empty: there are none."""
        for segment in self._segments:
            if segment.last >= first:
                found = [record for record in _records(segment.path) if record.n >= first]
                if found:
                    return found
        return []

    def forget(self, acked: int) -> None:
        """The server has answered for all numbers up to this one."""
        while self._segments and self._segments[0].last <= acked:
            if self._segments[0].path == self._path():
                self._close_segment()
            self._segments.pop(0).path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Nothing in it is needed any more."""
        with suppress(OSError):
            self._close_segment()
        gone = self.folder.with_name(f".old-{self.header['producer']}")
        with suppress(OSError):  # a crash in between leaves no half folder to be taken over
            self.folder.rename(gone)
            self.folder = gone
        shutil.rmtree(self.folder, ignore_errors=True)
        self._let_go()

    def close(self) -> None:
        """Leave the folder to the next process. What was not synced before is not synced here."""
        self._let_go()

    def _let_go(self) -> None:
        # In a child made by fork too: closing its copy does not unlock for the parent.
        for file in (self._lock, self._file):
            if file is not None:
                with suppress(OSError):
                    os.close(file)
        self._lock, self._file = -1, None

    abandon = _let_go


def left_behind(target: Target) -> Iterator[Spool]:
    """Folders of processes that have gone, oldest first: locked for us. Old ones are removed."""
    root = _root(target)
    try:
        folders = sorted(path for path in root.iterdir() if path.is_dir())
    except OSError:
        return
    for folder in folders:
        spool = None if folder.name.startswith(".") else Spool.take_over(folder)
        if _is_old(folder) and (spool is not None or folder.name.startswith(".")):
            shutil.rmtree(folder, ignore_errors=True)
            if spool is not None:
                spool.close()
        elif spool is not None:
            yield spool


def _is_old(folder: Path) -> bool:
    try:
        return time.time() - folder.stat().st_mtime > OLD
    except OSError:
        return False


def _ours(folder: Path) -> bool:
    """Not planted by another user."""
    return not hasattr(os, "geteuid") or folder.stat().st_uid == os.geteuid()


def _root(target: Target) -> Path:
    return target.spool / sha256(target.url.encode()).hexdigest()[:16]


def _records(path: Path) -> Iterator[Record]:
    """The lines of a segment. A line that was cut ends it."""
    for line in _lines(path):
        record = _record(line)
        if record is None:
            return
        yield record


def _ends(path: Path) -> tuple[int, int] | None:
    """The first and the last number of a segment, without reading what is between."""
    lines = _lines(path)
    first = _record(lines[0]) if lines else None
    last = next(filter(None, map(_record, reversed(lines))), None)
    return (first.n, last.n) if first is not None and last is not None else None


def _lines(path: Path) -> list[bytes]:
    """All but what comes after the last line break, which is half a line."""
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except OSError:
        return []


def _record(line: bytes) -> Record | None:
    try:
        said = json.loads(line)
        return Record(int(said["n"]), str(said["type"]), line)
    except (ValueError, KeyError, TypeError):
        return None


def _write(path: Path, data: bytes) -> None:
    file = _open(path)
    try:
        os.write(file, data)
    finally:
        os.close(file)


def sync_file(path: Path) -> None:
    file = _open(path, create=False)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def sync_left(folder: Path) -> None:
    """The folder of a spool that was closed. The next process may have sent and removed it."""
    with suppress(OSError):
        for path in folder.iterdir():
            sync_file(path)
        sync_folder(folder)
        sync_folder(folder.parent)


def _open(path: Path, *, create: bool = True) -> int:
    flags = os.O_RDWR | (os.O_CREAT if create else 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)


def sync_folder(folder: Path) -> None:
    if sys.platform == "win32":  # it has no way to sync a folder
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


if sys.platform == "win32":
    import msvcrt

    def _locked(file: int) -> bool:
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _locked(file: int) -> bool:
        """Whether the lock is ours now. It goes with the last copy of the descriptor."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
