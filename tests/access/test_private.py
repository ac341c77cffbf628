"""Other users of the machine can read none of the server's data, and no key."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from livejobs.store.sqlite.store import SqliteStore
from tests.support.keyed import ADMIN, KEYED
from tests.support.server import DidNotStart, Server


@pytest.fixture(autouse=True)
def usual_mask() -> Iterator[None]:
    """The usual umask: other users may read new files."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def open_to_others(folder: Path) -> list[Path]:
    """The folder of the files is closed, so its content is too."""
    return [path for path in (folder, *folder.iterdir()) if mode(path) & 0o077]


def use(server: Server) -> None:
    """Files, an unfinished upload, and an upload that is being sent."""
    tus = {"tus-resumable": "1.0.0", "upload-length": "9", "upload-metadata": "filename YQ=="}
    with httpx.Client(base_url=server.url) as api:
        api.put("/v1/jobs/j")
        assert api.put("/v1/jobs/j/files/f", content=b"data").status_code == 201
        assert api.post("/v1/jobs/j/uploads", headers=tus).status_code == 201


def test_other_users_can_read_none_of_the_data(tmp_path: Path) -> None:
    data = tmp_path / "not" / "there" / "data"
    with Server(data) as server:
        use(server)
        names = {path.name for path in data.iterdir()}
        assert {"livejobs.db", "livejobs.db-wal", "livejobs.db-shm", "files"} <= names
        assert open_to_others(data) == []


def test_data_of_an_earlier_version_is_closed_to_other_users(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Server(data) as server:
        use(server)
        server.kill()  # so that the log stays
        for path in (data, data / "files", data / "files" / "incoming"):
            path.chmod(0o755)
        for name in ("livejobs.db", "livejobs.db-wal", "livejobs.db-shm"):
            (data / name).chmod(0o644)
        server.restart()
        opened = [path for path in data.iterdir() if mode(path) & 0o077]
        assert opened == []
        assert mode(data) == 0o755  # it may contain other files


async def test_permissions_that_the_owner_gave_a_group_stay(tmp_path: Path) -> None:
    """For example, for a backup user."""
    path = tmp_path / "livejobs.db"
    for _ in range(2):
        store = SqliteStore(path)
        await store.open()
        await store.close()
        await asyncio.to_thread(path.chmod, 0o640)
    assert mode(path) == 0o640


def test_a_web_server_in_the_group_can_read_the_files_that_it_sends(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Server(data, "--sendfile", "x-sendfile") as server:
        use(server)
        answer = httpx.get(f"{server.url}/v1/jobs/j/files/f")
        file = Path(answer.headers["x-sendfile"])
        folders = [file.parent, data / "files", data]
        assert [mode(it) for it in (file, *folders)] == [0o640, 0o750, 0o750, 0o750]
        assert mode(data / "livejobs.db") == 0o600


# The admin key


def test_the_admin_key_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f"{ADMIN}\n")
    with Server(tmp_path / "data", "--admin-key-file", str(path), fresh=True) as server:
        jobs = server.url + "/v1/jobs"
        assert httpx.get(jobs, headers={"x-api-key": ADMIN}).status_code == 200
        assert httpx.get(jobs).status_code == 401
        assert ADMIN not in Path(f"/proc/{server.process.pid}/cmdline").read_text()
        assert "process list" not in server.stderr


def test_the_admin_key_as_a_flag_works_with_a_warning(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--admin-key", ADMIN) as server:
        assert httpx.get(server.url + "/v1/jobs", headers={"x-api-key": ADMIN}).is_success
        assert "--admin-key-file" in server.stderr
        assert ADMIN not in server.stderr
    with Server(tmp_path / "data", env=KEYED) as server:
        assert "process list" not in server.stderr


@pytest.mark.parametrize("text", [None, "", "\n", "two\nlines", "\x00"])
def test_a_file_without_a_key_stops_the_start(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "key"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DidNotStart, match="admin_key_file"):
        Server(tmp_path / "data", "--admin-key-file", str(path))


def test_two_admin_keys_stop_the_start(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(ADMIN)
    with pytest.raises(DidNotStart, match="admin_key"):
        Server(tmp_path / "data", "--admin-key-file", str(path), env=KEYED)
