"""A copy that is killed continues where it stopped."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from msgspec import Raw

from livejobs.core.model import Entry
from livejobs.store.base import Store
from livejobs.store.files import Tally
from tests.copies.places import T0, Place, done, file, logs
from tests.support.server import LONG_ENOUGH

JOBS = 20
LINES = 10_000
MIB = Raw(b'"' + b"x" * (1 << 20) + b'"')


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Several pieces, and a job that takes many commits."""
    place = Place(tmp_path_factory.mktemp("large") / "data")
    files = [file(n, b"%d" % n) for n in range(JOBS)]
    result = Entry("results", 1, 0, MIB)
    jobs = [(done(f"j{n}", results_total=1, files=(files[n],)), [result]) for n in range(JOBS)]
    place.fill([*jobs, (done("long", logs_total=LINES), logs(LINES, 1000))])
    for n, it in enumerate(files):
        place.keep(it.key, b"%d" % n)
    return place


def kill_when(place: Place, command: str, folder: Path, reached: Callable[[], object]) -> None:
    process = place.start(command, str(folder))
    end = time.monotonic() + LONG_ENOUGH
    try:
        while not reached() and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.001)  # leave the processor to the process
    finally:
        process.kill()
        process.wait()


def text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def finish(place: Place, command: str, folder: Path) -> None:
    ended = place.run(command, str(folder))
    assert ended.exit_code == 0, ended.stderr


def test_killed_copies_continue(large: Place, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    target = Place(tmp_path / "target")
    first, manifest = folder / "jobs-00001.ndjson", folder / "manifest.json"
    kill_when(large, "export", folder, lambda: first.name in text(manifest))
    assert "is not complete" in target.run("import", str(folder)).stderr
    written = first.stat().st_ino
    kill_when(large, "export", folder, (folder / "files").exists)
    finish(large, "export", folder)
    assert first.stat().st_ino == written, "a complete piece is not written again"

    kill_when(target, "import", folder, lambda: jobs_in(target) > JOBS)  # in the long one
    finish(target, "import", folder)
    assert target.everything() == large.everything()
    again = target.run("import", str(folder))
    assert f"had {JOBS + 1} of the jobs already" in again.stderr
    assert target.everything() == large.everything()


def jobs_in(place: Place) -> int:
    path = place.data / "livejobs.db"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM jobs").fetchone()[0])


def test_after_a_change_the_jobs_are_read_again_and_only_new_files_are_copied(
    tmp_path: Path,
) -> None:
    source, target, folder = Place(tmp_path / "a"), Place(tmp_path / "b"), tmp_path / "export"
    one, two = file(1, b"one"), file(2, b"two")
    source.fill([(done("a", files=(one,)), [])])
    source.keep(one.key, b"one")
    finish(source, "export", folder)
    copied = (folder / "files" / one.key[-2:] / one.key).stat()
    source.fill([(done("b", files=(two,)), [])])
    source.keep(two.key, b"two")
    finish(source, "export", folder)
    source.use(partial(download, one.key))  # no job has changed since
    finish(source, "export", folder)
    assert (folder / "files" / one.key[-2:] / one.key).stat() == copied
    finish(target, "import", folder)
    assert target.everything() == source.everything()


async def download(key: str, store: Store) -> None:
    await store.downloaded({key: Tally(2, T0)}, [])
