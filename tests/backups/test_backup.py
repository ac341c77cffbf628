"""A backup holds all jobs and files, and a restore makes the same of it, on any database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from msgspec.structs import replace

from livejobs.backups import backing, restoring
from livejobs.backups.manifest import decode, document_of, encode
from livejobs.copies.counts import Counts, total_jobs
from livejobs.copies.watch import Watch
from livejobs.store.audit import AuditRecord
from livejobs.store.base import Change, Store
from livejobs.store.files import Tally
from livejobs.store.keys import Key
from tests.copies.places import T0, Place, Unwatched, done, file, hook, job, logs
from tests.store.test_upgrades import older
from tests.support.objects import ObjectStore
from tests.support.postgres import Postgres

FILM, NOTES = b"film" * 50_000, b""


def ok(place: Place, *args: str) -> Result:
    ended = place.run(*args)
    assert ended.exit_code == 0, ended.stderr
    return ended


def fill(place: Place) -> None:
    files = (file(1, FILM), file(2, NOTES, "notes — ünïcode.txt"))
    place.fill(
        [
            (done("a", files=files, logs_total=3), logs(3)),
            (job("b", project="films", tags=("x",), parent="a", producers={"p": 7}), []),
        ]
    )
    place.keep(files[0].key, FILM)
    place.keep(files[1].key, NOTES)

    async def more(store: Store) -> None:
        await store.downloaded({files[0].key: Tally(3, T0)}, [])
        key = Key("k", "ci", b"\0\xff" * 16, ("view",), None, T0)
        await store.save_key(key, AuditRecord(T0, "operator", "key.create"))
        await store.save_hook(hook(1))

    place.use(more)


async def epochs(store: Store) -> set[str]:
    return {project.epoch for project in await store.projects()}


def test_jobs_go_from_sqlite_to_postgresql_and_back(postgres: Postgres, tmp_path: Path) -> None:
    first = Place(tmp_path / "first")
    second = Place(tmp_path / "second", postgres.database("restored"))
    third, fourth = Place(tmp_path / "third"), Place(tmp_path / "fourth")
    fill(first)
    was = first.everything()
    vault, again = str(tmp_path / "vault"), str(tmp_path / "again")
    ok(first, "backup", vault)
    ok(second, "restore", vault)
    ok(second, "restore", vault)  # nothing is missing, so nothing is done
    ok(second, "backup", again)
    ok(third, "restore", again)
    ok(fourth, "restore", vault)
    assert second.everything() == third.everything() == fourth.everything() == was
    assert len(was["files"]) == 2
    found = [place.use(epochs) for place in (first, second, third, fourth)]
    assert len(set.union(*found)) == sum(map(len, found)) == 8


def test_an_object_store_takes_backups_and_gives_them_back(
    objects: ObjectStore, tmp_path: Path
) -> None:
    source, target = Place(tmp_path / "source"), Place(tmp_path / "target")
    for place in (source, target):
        place.env |= objects.environment
    fill(source)
    vault = "s3://bucket/our/backups"
    ok(source, "backup", vault)
    ok(source, "backup", vault, "--keep", "1")
    assert len(ok(source, "restore", vault, "--list").stdout.splitlines()) == 1
    assert sum("/files/" in key for key in objects.objects()) == 2
    ok(target, "restore", vault, "--dry-run")
    assert not target.data.exists()
    ok(target, "restore", vault)
    assert target.everything() == source.everything()
    missing = target.run("restore", "s3://bucket/nothing", "--data", str(tmp_path / "x"))
    assert (missing.exit_code, "holds no backup" in missing.stderr) == (2, True)
    target.env["AWS_ENDPOINT"] = "http://127.0.0.1:9"
    away = target.run("backup", vault)
    assert (away.exit_code, "Traceback" in away.stderr) == (2, False), away.stderr


def test_each_backup_copies_only_new_files_and_can_be_restored(tmp_path: Path) -> None:
    source, vault = Place(tmp_path / "source"), tmp_path / "vault"
    old, new = file(1, b"old"), file(2, b"new")
    source.fill([(done("a", files=(old,)), [])])
    source.keep(old.key, b"old")
    ok(source, "backup", str(vault))
    copied = (vault / "files" / old.key[-2:] / old.key).stat()
    was = source.everything()

    async def replace_job(store: Store) -> None:
        found = await store.job("a")
        assert found is not None
        await store.commit([Change(found.head, None)])

    source.use(replace_job)
    source.fill([(done("b", files=(new,)), [])])
    source.keep(new.key, b"new")
    ok(source, "backup", str(vault))
    assert (vault / "files" / old.key[-2:] / old.key).stat() == copied

    first, second = sorted(path.name for path in (vault / "backups").iterdir())
    early = Place(tmp_path / "early")
    ok(early, "restore", str(vault), "--at", first)
    assert early.everything() == was
    ok(source, "backup", str(vault), "--keep", "2")
    assert (vault / "files" / old.key[-2:] / old.key).exists() is False
    assert min(path.name for path in (vault / "backups").iterdir()) == second
    late = Place(tmp_path / "late")
    ok(late, "restore", str(vault))
    assert late.jobs() == source.jobs()
    assert late.files() == {new.key: b"new"}


def test_missing_and_damaged_files_are_left_out_and_named(tmp_path: Path) -> None:
    source, target = Place(tmp_path / "source"), Place(tmp_path / "target")
    gone, whole, damaged = (file(n, b"bytes", f"{n}.mp4") for n in (1, 2, 3))
    source.fill([(done("a", files=(gone, whole, damaged)), [])])
    source.keep(whole.key, b"bytes")
    source.keep(damaged.key, b"BYTES")
    ended = source.run("backup", str(tmp_path / "vault"))
    assert ended.exit_code == 1
    assert f"The file '1.mp4' (key {gone.key}) has no bytes, and was left out" in ended.stderr
    assert "The file '3.mp4'" in ended.stderr
    assert "left out: 2. The rest of the backup is complete" in ended.stderr
    ok(target, "restore", str(tmp_path / "vault"))
    assert target.files() == {whole.key: b"bytes"}
    assert target.jobs() == source.jobs()


def test_nothing_is_removed_that_a_kept_backup_may_need(tmp_path: Path) -> None:
    source, vault = Place(tmp_path / "source"), tmp_path / "vault"
    source.fill([(done("a", files=(file(1, b"old"),)), [])])
    source.keep(file(1, b"").key, b"old")
    for _ in range(3):
        ok(source, "backup", str(vault))
    names = sorted(path.name for path in (vault / "backups").iterdir())
    (vault / "backups" / names[-1] / "files.txt").write_text("")
    ended = source.run("backup", str(vault), "--keep", "2")
    assert (ended.exit_code, "So no backup was removed" in ended.stderr) == (1, True)
    assert len(list((vault / "backups").iterdir())) == 4
    assert [it.name for it in (vault / "files").glob("??/*")] == [file(1, b"").key]
    future = f"9{names[0][1:]}"  # the clock was ahead
    (vault / "backups" / names[-1]).rename(vault / "backups" / future)
    (vault / "backups" / future / "files.txt").write_text(f"{file(1, b'').key}\n")
    made = ok(source, "backup", str(vault), "--keep", "1").stderr.split()[2].rstrip(":")
    assert sorted(path.name for path in (vault / "backups").iterdir()) == [made, future]


def damage_of(vault: Path) -> dict[str, Any]:
    (folder,) = (vault / "backups").iterdir()
    (kept,) = (path for path in (vault / "files").glob("*/*") if path.stat().st_size)
    manifest = json.loads((folder / "backup.json").read_text())
    manifest["documents"][0]["name"] = "../../../evil.txt"
    return {
        "livejobs.db has been changed": (folder / "livejobs.db", b"x" * 5000),
        "livejobs.db is missing": (folder / "livejobs.db", None),
        "files.txt has been changed": (folder / "files.txt", b""),
        "'out.mp4' (key 00000000000000000000000000000001) is damaged": (kept, b"y" * len(FILM)),
        "'out.mp4' (key 00000000000000000000000000000001) is missing": (kept, None),
        "is damaged: JSON": (folder / "backup.json", b"{\xff"),
        "of another version of livejobs": (
            folder / "backup.json",
            b'{"kind": "livejobs backup", "version": 2}',
        ),
        "was renamed": (
            folder / "backup.json",
            (folder / "backup.json").read_bytes().replace(folder.name.encode(), b"../evil"),
        ),
        "names files that no backup has": (
            folder / "backup.json",
            json.dumps(manifest).encode(),
        ),
    }


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("filled") / "source")
    fill(place)
    return place


def test_a_damaged_backup_is_refused_before_there_is_a_database(
    filled: Place, tmp_path: Path
) -> None:
    vault = tmp_path / "vault"
    ok(filled, "backup", str(vault))
    target = Place(tmp_path / "target")
    for said, (path, data) in damage_of(vault).items():
        was = path.read_bytes()
        path.unlink() if data is None else path.write_bytes(data)
        for options in ([], ["--dry-run"]):
            ended = target.run("restore", str(vault), *options)
            assert ended.exit_code in (1, 2), ended.stderr
            assert said in ended.stderr, ended.stderr
            assert len(ended.stderr.splitlines()) == 1
        path.write_bytes(was)
        assert not (target.data / "livejobs.db").exists()
    assert not (tmp_path / "evil.txt").exists()
    ok(target, "restore", str(vault))
    assert target.everything() == filled.everything()
    assert (target.data / "livejobs.db").stat().st_mode & 0o077 == 0


def test_a_restore_replaces_nothing(filled: Place, postgres: Postgres, tmp_path: Path) -> None:
    vault = str(tmp_path / "vault")
    ok(filled, "backup", vault)
    for name, database in (("a", None), ("b", postgres.database("taken"))):
        place = Place(tmp_path / name, database)
        place.fill([(done("mine"), [])])
        was = place.everything()
        ended = place.run("restore", vault)
        assert (ended.exit_code, "a restore replaces nothing" in ended.stderr) == (2, True)
        assert place.everything() == was


def test_a_wrong_place_is_refused_in_one_sentence(filled: Place, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "diary.txt").write_text("mine")
    nothing = Place(tmp_path / "nothing")
    own = str(filled.data / "files" / "backups")
    for place, args, said in (
        (filled, ("backup", str(other)), "holds other files than backups"),
        (filled, ("backup", str(other / "diary.txt")), "is not a folder"),
        (filled, ("backup", own), "one inside the other"),
        (filled, ("backup", str(filled.data)), "one inside the other"),
        (filled, ("backup", "s3://b", "--files", "s3://b/files"), "one inside the other"),
        (filled, ("backup", f"file://{own}"), "one inside the other"),
        (filled, ("backup", "ftp://host/x"), "is no place for backups"),
        (filled, ("backup", str(tmp_path / "v"), "--keep", "0"), "--keep"),
        (nothing, ("backup", str(tmp_path / "vault")), "There is no database"),
        (nothing, ("restore", str(tmp_path / "vault")), "holds no backup"),
        (nothing, ("restore", str(other), "--list"), "holds no backup"),
    ):
        ended = place.run(*args)
        assert (ended.exit_code, said in ended.stderr) == (2, True), ended.stderr
    assert not (tmp_path / "vault").exists()
    assert not nothing.data.exists()
    ok(filled, "backup", str(tmp_path / "good"))
    wrong = nothing.run("restore", str(tmp_path / "good"), "--at", "../../x")
    assert (wrong.exit_code, "has no backup" in wrong.stderr) == (2, True)


def test_a_damaged_database_is_not_backed_up(tmp_path: Path) -> None:
    source, vault = Place(tmp_path / "source"), tmp_path / "vault"
    source.fill([(done("a", logs_total=500), logs(500, 1000))])
    ok(source, "backup", str(vault))
    path = source.data / "livejobs.db"
    with path.open("r+b") as damaged:
        damaged.seek(4096)
        damaged.write(b"\xff" * 4096)
    ended = source.run("backup", str(vault))
    assert (ended.exit_code, "damaged" in ended.stderr) == (1, True), ended.stderr
    assert len(list((vault / "backups").iterdir())) == 1
    path.rename(tmp_path / "evidence")
    (source.data / "livejobs.db-wal").unlink(missing_ok=True)
    ok(source, "restore", str(vault))
    assert len(source.jobs()) == 1


def test_a_backup_of_another_schema_is_migrated_or_refused(
    filled: Place, postgres: Postgres, tmp_path: Path
) -> None:
    vault = tmp_path / "vault"
    ok(filled, "backup", str(vault))
    (folder,) = (vault / "backups").iterdir()
    path, manifest = folder / "livejobs.db", folder / "backup.json"
    path.rename(tmp_path / "newest.db")
    older(path, tmp_path / "newest.db", 1)
    sign(manifest, path)
    for target in (Place(tmp_path / "a"), Place(tmp_path / "b", postgres.database("older"))):
        ok(target, "restore", str(vault), "--dry-run")
        ok(target, "restore", str(vault))
        assert target.jobs() == filled.jobs()
        assert target.files() == filled.files()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    sign(manifest, path)
    ended = Place(tmp_path / "c").run("restore", str(vault))
    assert (ended.exit_code, "was written by a newer livejobs" in ended.stderr) == (1, True)
    assert not (tmp_path / "c" / "livejobs.db").exists()


def sign(manifest: Path, document: Path) -> None:
    """Let the manifest name the document as it is now."""
    was = decode(manifest.read_bytes(), "the backup")
    others = [it for it in was.documents if it.name != document.name]
    manifest.write_bytes(encode(replace(was, documents=(*others, document_of(document)))))


class Counting(Unwatched):
    def __init__(self) -> None:
        self.total = self.seen = 0

    def begin(self, counts: Counts) -> None:
        self.total = total_jobs(counts)

    def jobs(self, n: int = 1) -> None:
        self.seen += n


def test_a_watcher_hears_of_all_jobs(filled: Place, postgres: Postgres, tmp_path: Path) -> None:
    """Also where a database is copied as a whole."""
    vault = str(tmp_path / "vault")
    targets = Place(tmp_path / "a"), Place(tmp_path / "b", postgres.database("watched"))
    runs: list[Callable[[Watch], object]] = [
        partial(backing.backup, filled.settings, vault, keep=None),
        partial(restoring.verify, targets[0].settings, vault, name=None),
        *(partial(restoring.restore, place.settings, vault, name=None) for place in targets),
    ]
    for run in runs:
        watch = Counting()
        run(watch)
        assert (watch.seen, watch.total) == (2, 2)
