"""The folder of an export: its manifest, and where the files lie.

The manifest is replaced whole after each piece, so an interrupted export knows what it has. It says
`complete` only when everything that it names is on disk.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from livejobs import clock
from livejobs.copies.counts import Counts
from livejobs.copies.errors import CannotCopy, WrongPlace
from livejobs.copies.lines import Piece, new_file
from livejobs.private import FOLDER, make_folder

MANIFEST: Final = "manifest.json"
FILES: Final = "files"
VERSION: Final = 1
KIND: Final = "livejobs export"
OTHER: Final = "Give the path of another folder."


class Mark(Struct, frozen=True):
    """How far a project of the source was. The same marks mean the same jobs."""

    project: str
    epoch: str
    seq: int


class Manifest(Struct, frozen=True):
    marks: tuple[Mark, ...]
    counts: Counts
    kind: str = KIND
    version: int = VERSION
    livejobs: str = ""
    at: str = ""
    complete: bool = False
    files_left: bool = False  # their bytes are only in the file area of the source
    pieces: tuple[Piece, ...] = ()
    lost: tuple[str, ...] = ()  # keys of files whose bytes were gone at the source


class _Kind(Struct):
    """What even a later version says of itself."""

    kind: str
    version: int


def manifest_of(marks: tuple[Mark, ...], pieces: tuple[Piece, ...], *, left: bool) -> Manifest:
    """The manifest of an export that begins with these pieces."""
    at = clock.now().isoformat(timespec="seconds")
    return Manifest(marks, {}, livejobs=version("livejobs"), at=at, files_left=left, pieces=pieces)


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def to_write(self) -> Iterator[None]:
        """Make the folder, for us alone. Raise WrongPlace if it holds something else."""
        if self.path.exists() and not self.path.is_dir():
            raise WrongPlace(f"{self.path} is not a folder. {OTHER}")
        make_folder(self.path, FOLDER)
        with locked(self.path, fcntl.LOCK_EX):
            others = (it for it in self.path.iterdir() if it.suffix != ".part")
            if self.manifest() is None and any(others):
                raise WrongPlace(f"{self.path} is not empty, and holds no export. {OTHER}")
            yield

    @contextmanager
    def to_read(self) -> Iterator[Manifest]:
        if not self.path.is_dir():
            raise WrongPlace(f"There is no folder {self.path}. Give the folder of an export.")
        with locked(self.path, fcntl.LOCK_SH):
            manifest = self.manifest()
            if manifest is None:
                raise WrongPlace(f"{self.path} holds no export. Give the folder of an export.")
            if not manifest.complete:
                raise CannotCopy(
                    f"The export in {self.path} is not complete. Run `livejobs export` into this "
                    "folder again: it continues where it stopped."
                )
            yield manifest

    def manifest(self) -> Manifest | None:
        try:
            data = (self.path / MANIFEST).read_bytes()
        except FileNotFoundError:
            return None
        if _version(data) is None:
            raise WrongPlace(f"{self.path / MANIFEST} is not that of an export. {OTHER}")
        if _version(data) != VERSION:
            raise WrongPlace(
                f"The export in {self.path} was written by another version of livejobs. Use that "
                "version, or export again."
            )
        try:
            return msgspec.json.decode(data, type=Manifest)
        except msgspec.MsgspecError as error:
            raise CannotCopy(
                f"{self.path / MANIFEST} is damaged: {error}. Delete the folder, and export again."
            ) from None

    def write_manifest(self, manifest: Manifest) -> None:
        part = self.path / f"{MANIFEST}.part"
        with new_file(part) as file:
            file.write(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        part.rename(self.path / MANIFEST)
        sync(self.path)

    def place(self, key: str) -> Path:
        """Where the bytes of a file lie, as in the file area."""
        return self.path / FILES / key[-2:] / key

    def has(self, key: str, size: int | None) -> bool:
        try:
            return self.place(key).stat().st_size == size
        except FileNotFoundError:
            return False

    def sync_files(self) -> None:
        """Make the names of all files durable."""
        with suppress(FileNotFoundError):
            for folder in (self.path / FILES).iterdir():
                sync(folder)
            sync(self.path / FILES)

    def remove_others(self, pieces: tuple[Piece, ...]) -> None:
        """Remove the pieces of an earlier state of the source, and unfinished ones."""
        names = {piece.name for piece in pieces}
        for path in (*self.path.glob("*.ndjson"), *self.path.glob("*.part")):
            if path.name not in names:
                path.unlink()


@contextmanager
def locked(folder: Path, how: int) -> Iterator[None]:
    """A lock on the folder itself, which needs no file in it."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _locked(fd, how):
            raise WrongPlace(f"Another livejobs uses {folder}. Wait until it has ended.")
        yield
    finally:
        os.close(fd)


def _locked(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _version(data: bytes) -> int | None:
    """The version of the format; None: these are not the words of an export."""
    try:
        said = msgspec.json.decode(data, type=_Kind)
    except (msgspec.MsgspecError, ValueError):
        return None
    return said.version if said.kind == KIND else None


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
