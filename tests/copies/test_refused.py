"""What can't be copied is refused with one line, and nothing is changed."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from livejobs.copies.folder import Folder
from livejobs.store.sqlite.opening import migrate
from livejobs.store.sqlite.sql import MIGRATIONS
from tests.copies.places import Place, done, file, job, logs
from tests.support.postgres import Postgres

ONE = file(1, b"film")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("source") / "data")
    place.fill([(done("a", files=(ONE,), logs_total=3), logs(3)), (job("b", project="films"), [])])
    place.keep(ONE.key, b"film")
    return place


@pytest.fixture(scope="module")
def whole(source: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "export"
    assert source.run("export", str(folder)).exit_code == 0
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    shutil.copytree(whole, tmp_path / "export")
    return tmp_path / "export"


def refused(place: Place, code: int, *args: str) -> str:
    """The one line with which a command ends."""
    ended = place.run(*args)
    assert (ended.exit_code, ended.stdout, ended.stderr.count("\n")) == (code, "", 1), ended.stderr
    return ended.stderr.removeprefix("livejobs: ")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def change(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"xxxx", b"yyyy"))


def lose(path: Path) -> None:
    path.unlink()


PIECE, BYTES = "jobs-00001.ndjson", f"files/01/{ONE.key}"


@pytest.mark.parametrize(
    ("name", "damage", "says"),
    [
        (PIECE, cut, f"{PIECE} of the export is damaged at line 5: it has only 4 of 5 whole lines"),
        (PIECE, change, f"{PIECE} of the export is damaged: it has been changed since"),
        (PIECE, lose, f"{PIECE} of the export is damaged: it is missing"),
        ("keys.ndjson", lose, "keys.ndjson of the export is damaged: it is missing"),
        ("webhooks.ndjson", lose, "webhooks.ndjson of the export is damaged: it is missing"),
        (BYTES, cut, f"{BYTES} of the export is damaged: 'out.mp4' is missing there"),
        (BYTES, lose, f"{BYTES} of the export is damaged: 'out.mp4' is missing there"),
        ("manifest.json", cut, "manifest.json is not that of an export"),
        ("manifest.json", lose, "holds no export"),
    ],
)
def test_damage_is_named_and_nothing_is_imported(
    folder: Path, tmp_path: Path, name: str, damage: Callable[[Path], None], says: str
) -> None:
    damage(folder / name)
    target = Place(tmp_path / "target")
    code = 2 if name == "manifest.json" else 1
    for more in ((), ("--dry-run",)):
        assert says in refused(target, code, "import", str(folder), *more)
    assert target.everything()["jobs"] == []


def test_a_line_that_is_no_json_is_named(folder: Path, tmp_path: Path) -> None:
    lines = (folder / PIECE).read_bytes().splitlines(keepends=True)
    lines[2] = b"?" + lines[2][1:]
    (folder / PIECE).write_bytes(b"".join(lines))
    says = refused(Place(tmp_path / "target"), 1, "import", str(folder))
    assert f"{PIECE} of the export is damaged at line 3: JSON is malformed" in says


def test_bytes_with_a_wrong_digest_are_not_imported(folder: Path, tmp_path: Path) -> None:
    (folder / BYTES).write_bytes(b"FILM")
    target = Place(tmp_path / "target")
    assert f"{BYTES} of the export is damaged" in refused(target, 1, "import", str(folder))
    (folder / BYTES).write_bytes(b"film")
    assert target.run("import", str(folder)).exit_code == 0
    assert target.files() == {ONE.key: b"film"}


def test_an_export_mends_what_is_damaged(source: Place, folder: Path, tmp_path: Path) -> None:
    cut(folder / PIECE)
    lose(folder / BYTES)
    assert source.run("export", str(folder)).exit_code == 0
    target = Place(tmp_path / "target")
    assert target.run("import", str(folder)).exit_code == 0
    assert target.everything() == source.everything()


def test_a_key_or_an_id_never_leads_out_of_the_folders(folder: Path, tmp_path: Path) -> None:
    evil = json.loads((folder / PIECE).read_bytes().splitlines()[0])
    evil["head"]["files"][0]["key"] = "../../../x"
    (folder / PIECE).write_text(json.dumps(evil) + "\n" + "#" * 2000)
    says = refused(Place(tmp_path / "target"), 1, "import", str(folder))
    assert "damaged at line 1: it is not a job" in says


# The wrong place


def test_jobs_never_mix_unless_that_is_wanted(whole: Path, source: Place, tmp_path: Path) -> None:
    target = Place(tmp_path / "target")
    other = job("other", title="Mine")
    target.fill([(other, [])])
    says = refused(target, 2, "import", str(whole))
    assert "The database has jobs that the export does not have: 1." in says
    target.fill([(done("a", title="Mine"), [])])
    says = refused(target, 2, "import", str(whole), "--dry-run")
    assert "Some of these jobs are in the database in another state: a. Import into" in says
    assert target.run("import", str(whole), "--merge").exit_code == 0
    titles = {id: head.title for id, (head, _) in target.everything()["jobs"]}
    assert titles == {"a": "Mine", "other": "Mine", "b": None}
    assert target.files() == {}


@pytest.mark.parametrize("command", ["export", "import"])
def test_a_folder_with_something_else_is_refused(
    source: Place, tmp_path: Path, command: str
) -> None:
    (tmp_path / "notes").write_text("mine")
    assert "holds no export" in refused(source, 2, command, str(tmp_path))
    assert "notes is not a folder" in refused(source, 2, "export", str(tmp_path / "notes"))
    (tmp_path / "manifest.json").write_text('{"name": "A web app"}')
    assert "is not that of an export" in refused(source, 2, command, str(tmp_path))
    assert (tmp_path / "notes").read_text() == "mine"


def test_the_export_of_another_server_is_not_overwritten(folder: Path, tmp_path: Path) -> None:
    other, manifest = Place(tmp_path / "other"), (folder / "manifest.json").read_text()
    other.fill([(job("x"), [])])
    assert "holds the export of another database" in refused(other, 2, "export", str(folder))
    assert (folder / "manifest.json").read_text() == manifest


def test_a_place_without_a_database_is_named(postgres: Postgres, tmp_path: Path) -> None:
    nowhere = Place(tmp_path / "nowhere")
    assert "There is no database" in refused(nowhere, 2, "export", str(tmp_path / "export"))
    empty = Place(tmp_path / "nowhere", postgres.database("empty"))
    assert "has no jobs of livejobs" in refused(empty, 2, "export", str(tmp_path / "export"))
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("command", ["export", "import"])
def test_two_commands_never_use_a_folder_at_once(source: Place, folder: Path, command: str) -> None:
    with Folder(folder).to_write():
        says = refused(source, 2, command, str(folder))
    assert f"Another livejobs uses {folder}. Wait until it has ended." in says


def test_nobody_else_can_read_an_export(source: Place, tmp_path: Path) -> None:
    (tmp_path / "export").mkdir(mode=0o755)
    assert source.run("export", str(tmp_path / "export")).exit_code == 0
    modes = {it.name: it.stat().st_mode & 0o077 for it in (tmp_path / "export").iterdir()}
    assert modes == dict.fromkeys(modes, 0)


def test_a_database_of_an_older_version_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "data" / "livejobs.db"
    path.parent.mkdir()
    older = MIGRATIONS[:-1]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, older)
    says = refused(Place(path.parent), 1, "export", str(tmp_path / "export"))
    assert f"schema {len(older)}, and this livejobs knows {len(MIGRATIONS)}. Start and" in says


def test_a_full_disk_ends_the_export_and_later_it_continues(tmp_path: Path) -> None:
    source, folder = Place(tmp_path / "data"), tmp_path / "export"
    source.fill([(done("a", logs_total=300), logs(300, 1000))])
    small = ["prlimit", "--fsize=100000"]
    ended = source.process("export", str(folder), prefix=small)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
    assert "can't be used: File too large. Correct this, and run the command again" in ended.stderr
    assert source.run("export", str(folder)).exit_code == 0


# Dry runs


def test_a_dry_run_counts_and_writes_nothing(
    source: Place, whole: Path, postgres: Postgres, tmp_path: Path
) -> None:
    rows = [["default", *"00100", "3", "1", "4"], ["films", *"10000", "0", "0", "0"]]
    ended = source.run("export", str(tmp_path / "export"), "--dry-run")
    assert [line.split("\t") for line in sorted(ended.stdout.splitlines())] == rows
    assert ended.stderr == "Would export 2 jobs, 3 entries and 1 file (4 B).\n"
    database = postgres.database("dry")
    for target in (Place(tmp_path / "target"), Place(tmp_path / "target", database)):
        ended = target.run("import", str(whole), "--dry-run")
        assert [line.split("\t") for line in sorted(ended.stdout.splitlines())] == rows
        assert ended.stderr == "Would import 2 jobs, 3 entries and 1 file (4 B).\n"
    assert list(tmp_path.iterdir()) == []
    assert postgres.execute("SELECT to_regclass('livejobs.meta') IS NULL", database="dry") == "t"
