"""Where backups are kept: a folder, or a place in an object store.

Each backup has its own documents. The bytes of files are kept once for all backups, under their
keys. A backup exists when its manifest is there, which is written last and removed first.
tests/backups/test_vaults.py holds both kinds of vault to this page.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import unquote

import msgspec

from livejobs.backups.folder import FolderVault
from livejobs.config import FOLDER, read_store
from livejobs.copies.errors import WrongPlace
from livejobs.files.areas.area import Area
from livejobs.files.threads import Threads


class Vault(Protocol):
    where: str  # shows in messages
    area: Area  # of the bytes of files
    spool: Path  # a folder from which `area` takes files

    async def __aenter__(self) -> Self:
        """Raise WrongPlace if the place can't be used, or holds something else."""

    async def __aexit__(self, *exc: object) -> None: ...

    async def names(self) -> Mapping[str, bool]:
        """Return the backups, oldest first, and whether each has its manifest."""

    async def manifest(self, name: str) -> bytes:
        """Return the manifest of a backup that has one."""

    async def publish(self, name: str, folder: Path) -> None:
        """Keep what is in the folder as a backup. It may move away from there."""

    async def fetch(self, name: str, document: str, to: Path) -> None:
        """Copy a document to a path. Raise NotFound if it is missing."""

    async def drop(self, name: str) -> None:
        """Remove a backup, or what is left of it. The bytes of files stay."""

    async def held(self) -> Mapping[str, int]:
        """Return the size of each file, by key."""


def vault_of(target: str, threads: Threads, spool: Path, *, write: bool) -> Vault:
    """The vault at a path or a URL. `spool`: a local folder, for an object store."""
    if target.startswith(FOLDER) or "://" not in target:
        return FolderVault(Path(unquote(target.removeprefix(FOLDER))), threads, write=write)
    try:
        url = read_store(target)
    except msgspec.ValidationError:
        raise WrongPlace(
            f"{target.partition('://')[0]}:// is no place for backups. Give the path of a folder, "
            "or a URL with s3://, gs:// or az://."
        ) from None
    try:
        from livejobs.backups.objects import ObjectVault  # noqa: PLC0415 - only then its extra
    except ImportError:
        wrong = "needs an extra: pip install 'livejobs[objects]'"
        raise WrongPlace(f"{url} {wrong}") from None
    return ObjectVault(url, threads, spool)
