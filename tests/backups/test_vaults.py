"""Both kinds of vault keep backups as vault.py says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from livejobs.backups.vault import Vault, vault_of
from livejobs.copies.errors import WrongPlace
from livejobs.core.errors import NotFound
from livejobs.files.threads import Threads

OLD, NEW = "20260101T000000000Z-aaaaaa", "20260102T000000000Z-aaaaaa"
LARGE = "jobs " * 5_000_000
KEY = "0" * 31 + "1"


@pytest.fixture(params=["folder", "objects"])
async def vault(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Vault]:
    target = str(tmp_path / "vault")
    if request.param == "objects":
        objects = request.getfixturevalue("objects")
        for name, value in objects.environment.items():
            monkeypatch.setenv(name, value)
        target = f"s3://bucket/{tmp_path.name}"
    (tmp_path / "spool").mkdir()
    async with vault_of(target, Threads(2, "test"), tmp_path / "spool", write=True) as opened:
        yield opened


def written(folder: Path, **documents: str) -> Path:
    folder.mkdir()
    for name, text in documents.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


async def test_backups_are_listed_read_and_removed(vault: Vault, tmp_path: Path) -> None:
    assert await vault.names() == {}
    await vault.publish(NEW, written(tmp_path / "two", backup_json="new", livejobs_db=LARGE))
    await vault.publish(OLD, written(tmp_path / "one", backup_json="old"))
    assert list((await vault.names()).items()) == [(OLD, True), (NEW, True)]
    assert await vault.manifest(NEW) == b"new"
    await vault.fetch(NEW, "livejobs.db", tmp_path / "got")
    assert (tmp_path / "got").read_text() == LARGE
    with pytest.raises(NotFound):
        await vault.fetch(NEW, "more.txt", tmp_path / "none")
    await vault.drop(OLD)
    assert await vault.names() == {NEW: True}


async def test_a_backup_without_its_manifest_is_none(vault: Vault, tmp_path: Path) -> None:
    await vault.publish(OLD, written(tmp_path / "half", livejobs_db="x"))
    assert await vault.names() == {OLD: False}
    await vault.drop(OLD)
    assert await vault.names() == {}


async def test_files_are_held_under_their_keys(vault: Vault, tmp_path: Path) -> None:
    assert await vault.held() == {}
    vault.spool.mkdir(exist_ok=True)
    path = vault.spool / "x"
    path.write_bytes(b"film")
    await vault.area.keep(KEY, path, "out.mp4", "video/mp4")
    assert await vault.held() == {KEY: 4}
    await vault.area.remove([KEY])
    assert await vault.held() == {}


def test_a_url_of_another_kind_is_refused(tmp_path: Path) -> None:
    for target in ("ftp://host/x", "postgresql://me:secret@host/x"):
        with pytest.raises(WrongPlace) as raised:
            vault_of(target, Threads(1, "test"), tmp_path, write=True)
        assert "no place for backups" in str(raised.value)
        assert "secret" not in str(raised.value)
