"""A backup or a restore that is killed, or whose files go away meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import httpx2
from msgspec import Raw

from livejobs.backups import backing, restoring
from livejobs.copies.counts import Counts
from livejobs.core.model import Entry
from tests.copies.places import Place, Unwatched, done, file
from tests.support.server import LONG_ENOUGH, Server

FILES = 16
LARGE = b"x" * 1_000_000


def kill_when(place: Place, command: str, vault: Path, reached: Callable[[], object]) -> None:
    process = place.start(command, str(vault))
    end = time.monotonic() + LONG_ENOUGH
    try:
        while not reached() and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.001)  # leave the processor to the process
    finally:
        process.kill()
        process.wait()


def copied(folder: Path) -> dict[str, int]:
    """The files that are there whole, and their inodes."""
    return {path.name: path.stat().st_ino for path in (folder / "files").glob("??/*")}


def finish(place: Place, command: str, vault: Path) -> None:
    ended = place.run(command, str(vault))
    assert ended.exit_code == 0, ended.stderr


def test_what_is_killed_leaves_the_earlier_backup_and_continues(tmp_path: Path) -> None:
    source, target, vault = Place(tmp_path / "a"), Place(tmp_path / "b"), tmp_path / "vault"
    source.fill([(done("first"), [])])
    finish(source, "backup", vault)
    for n in range(FILES):
        it = file(n, LARGE)
        source.fill([(done(f"j{n}", files=(it,), results_total=1), [result()])])
        source.keep(it.key, LARGE)

    kill_when(source, "backup", vault, lambda: copied(vault))
    names = [it.name for it in restoring.names(source.settings, str(vault))]
    assert len(names) == 1
    there = copied(vault)
    assert there
    early = Place(tmp_path / "early")
    finish(early, "restore", vault)
    assert list(early.jobs()) == ["first"]
    finish(source, "backup", vault)
    assert there.items() <= copied(vault).items(), "a file was copied again"
    assert not list((vault / "incoming").glob("*"))

    kill_when(target, "restore", vault, lambda: copied(target.data))
    assert not (target.data / "livejobs.db").exists()
    there = copied(target.data)
    assert there
    finish(target, "restore", vault)
    assert there.items() <= copied(target.data).items(), "a file was copied again"
    assert target.everything() == source.everything()
    assert not (target.data / "restore-staging").exists()


def result() -> Entry:
    return Entry("results", 1, 0, Raw(b'"x"'))


class Busy(Unwatched):
    """Deletes the newest job of a server each time that its database has been copied. With `more`
    there is another job then."""

    def __init__(self, server: Server, *, more: bool) -> None:
        self.warnings: list[str] = []
        self._client = httpx2.Client(base_url=server.url)
        self._files = server.data / "files"
        self._more = more
        self._jobs = 0
        self._newest: str | None = None
        for _ in range(2):
            self._make()

    def _make(self) -> None:
        self._newest = id = f"j{self._jobs}"
        self._jobs += 1
        self._client.put(f"/v1/jobs/{id}").raise_for_status()
        self._client.put(f"/v1/jobs/{id}/files/x.txt", content=id.encode()).raise_for_status()
        self._client.post(f"/v1/jobs/{id}/reports", json={"type": "succeed"}).raise_for_status()

    def close(self) -> None:
        self._client.close()

    def begin(self, counts: Counts) -> None:
        if self._newest is None:
            return
        id, self._newest = self._newest, None
        self._client.delete(f"/v1/jobs/{id}").raise_for_status()
        end = time.monotonic() + LONG_ENOUGH
        while any(path.read_bytes() == id.encode() for path in self._files.glob("??/*")):
            assert time.monotonic() < end
            time.sleep(0.01)  # leave the processor to the server

    def bytes(self, n: int) -> None:
        if self._newest is None and self._more:
            self._make()

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def restored(vault: Path, folder: Path) -> dict[str, bytes]:
    """The jobs and their files, as a server on the restored backup gives them."""
    finish(Place(folder), "restore", vault)
    with Server(folder) as server, httpx2.Client(base_url=server.url) as client:
        jobs = client.get("/v1/jobs").json()["jobs"]
        found: dict[str, bytes] = {}
        for job in jobs:
            file = client.get(f"/v1/jobs/{job['id']}/files/x.txt")
            found[job["id"]] = file.content if file.status_code == 200 else b""
        server.stop()
    return found


def test_a_job_that_is_deleted_meanwhile_is_not_in_the_backup(tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    with Server(tmp_path / "data") as server:
        with closing(Busy(server, more=False)) as watch:
            manifest = backing.backup(Place(server.data).settings, str(vault), watch, keep=None)
        assert (watch.warnings, manifest.lost) == ([], ())
    assert restored(vault, tmp_path / "target") == {"j0": b"j0"}


def test_files_that_are_deleted_all_the_time_are_left_out_with_a_note(tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    with Server(tmp_path / "data") as server:
        with closing(Busy(server, more=True)) as watch:
            manifest = backing.backup(Place(server.data).settings, str(vault), watch, keep=None)
        assert len(manifest.lost) == 1
        (warning,) = watch.warnings
        assert "was deleted while the backup ran, and was left out" in warning
    last = f"j{backing.TRIES}"
    assert restored(vault, tmp_path / "target") == {"j0": b"j0", last: b""}


def test_two_backups_at_once_do_not_mix(tmp_path: Path) -> None:
    source, vault = Place(tmp_path / "a"), tmp_path / "vault"
    source.fill([(done("a", files=(it := file(1, LARGE),)), [])])
    source.keep(it.key, LARGE)
    processes = [source.start("backup", str(vault)) for _ in range(2)]
    codes = sorted(process.wait() for process in processes)
    assert codes in ([0, 0], [0, 2])
    with suppress(FileNotFoundError):
        assert not list((vault / "incoming").iterdir())
    target = Place(tmp_path / "b")
    finish(target, "restore", vault)
    assert target.everything() == source.everything()
