"""Drill: damaged databases. The server refuses each in one line, and does not change it.

The log of a killed server may repair a damage. Then the server must serve all acknowledged data.
"""

from __future__ import annotations

import os
import random
import shlex
import shutil
import sqlite3
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final

import httpx2

from tests.crash.checker import integrity
from tests.crash.full_disk import namespace
from tests.support.command import livejobs
from tests.support.server import DidNotStart, Server

JOBS: Final = 30
LINES: Final = 2
SERVED: Final = "served, with everything there"
PAGE: Final = 4096


def database(data: Path, *, killed: bool) -> None:
    """Create a used database: the server stops normally, or is killed with a log."""
    with Server(data) as server:
        with httpx2.Client(base_url=server.url) as client:
            for at in range(JOBS):
                client.put(f"/v1/jobs/job-{at}", json={"title": "x" * 500}).raise_for_status()
                lines = [{"type": "log", "message": "x" * 2000}] * LINES
                client.post(f"/v1/jobs/job-{at}/reports", json=lines).raise_for_status()
        if not killed:
            server.stop()


def served_or_refused(data: Path) -> str:
    """Check that the server serves all acknowledged data or refuses to start. Return which."""
    before = contents(data)
    try:
        with Server(data) as server, httpx2.Client(base_url=server.url) as client:
            for at in range(JOBS):
                job = client.get(f"/v1/jobs/job-{at}").raise_for_status().json()
                assert job["logs_total"] == LINES, job
            server.stop()
    except DidNotStart as error:
        said = str(error)
    else:
        integrity(data)
        return SERVED
    _first, *lines = said.splitlines()
    assert len(lines) == 1, said
    assert contents(data) == before, f"{contents(data)} was {before}"
    return lines[0]


def read_only(data: Path) -> list[str]:
    """A command's prefix that makes the folder read-only for it."""
    folder = shlex.quote(str(data))
    script = f'mount --bind {folder} {folder} && mount -o remount,ro,bind {folder} && exec "$@"'
    return [*namespace(), "sh", "-c", script, "sh"]


def refusal(data: Path, *before_command: str) -> str:
    """The server's refusal to start, after a check that it changed no file."""
    before = contents(data)
    done = livejobs("serve", "--port", "0", "--data", str(data), before=before_command)
    lines = done.stderr.splitlines()
    assert done.returncode == 1, f"exit {done.returncode}: {done.stderr}"
    assert done.stdout == ""
    assert len(lines) == 1, done.stderr
    assert contents(data) == before, f"{contents(data)} was {before}"
    return lines[0]


def contents(path: Path) -> dict[str, str]:
    """The content of each file, except the empty lock and the index of the log, which each
    connection creates again."""
    files = [path] if path.is_file() else sorted(path.glob("**/*")) if path.exists() else []
    return {
        file.name: sha256(file.read_bytes()).hexdigest() if file.is_file() else "a folder"
        for file in files
        if not file.name.endswith((".lock", "-shm")) and not _empty_log(file)
    }


def _empty_log(file: Path) -> bool:
    return file.name.endswith("-wal") and file.stat().st_size == 0


def _random_bytes(path: Path, at: int, count: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(random.Random(at).randbytes(count))


def _execute(path: Path, statement: str) -> None:
    """Damage the log, if there is one."""
    db = sqlite3.connect(path)
    db.execute(statement)
    db.commit()
    if Path(f"{path}-wal").exists():
        # As a kill would leave it: closed, the log would be gone.
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{path}{suffix}.kept")
        db.close()
        for suffix in ("", "-wal"):
            Path(f"{path}{suffix}.kept").replace(f"{path}{suffix}")
    else:
        db.close()


def header_gone(path: Path) -> None:
    _random_bytes(path, 0, 100)


def header_odd(path: Path) -> None:
    _random_bytes(path, 16, 84)


def page_gone(path: Path) -> None:
    _random_bytes(path, PAGE, PAGE)


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // PAGE * PAGE)


def cut_in_a_page(path: Path) -> None:
    os.truncate(path, path.stat().st_size - PAGE // 2)


def cut_in_the_header(path: Path) -> None:
    os.truncate(path, 50)


def newer(path: Path) -> None:
    _execute(path, "PRAGMA user_version = 99")


def of_another_program(path: Path) -> None:
    _execute(path, "PRAGMA application_id = 7")


def text(path: Path) -> None:
    path.write_text("my diary\n" * 1000)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def gone(path: Path) -> None:
    path.unlink()


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


# What is said, if the server was stopped in peace before.
DAMAGES: Final[dict[Callable[[Path], None], str]] = {
    header_gone: "is not a database",
    header_odd: "",
    page_gone: "damaged",
    cut_in_half: "",
    cut_in_a_page: "is cut short",
    cut_in_the_header: "",
    empty: "is empty",
    newer: "newer livejobs (schema 99",
    of_another_program: "is not a livejobs database",
    text: "is not a database",
    a_folder: "",
}
# The same, if it was killed, so that its log is there.
WITH_LOG: Final = (*DAMAGES, gone)


def damaged(whole: Path, folder: Path, damage: Callable[[Path], None]) -> Path:
    data = folder / f"{whole.name}-{damage.__name__}"
    shutil.copytree(whole, data)
    damage(data / "livejobs.db")
    return data


def drill(folder: Path, say: Callable[[str], None]) -> None:
    stopped, killed = folder / "stopped", folder / "killed"
    database(stopped, killed=False)
    database(killed, killed=True)
    say(f"second server: {second_server(stopped)}")
    say(f"read-only: {refusal(stopped, *read_only(stopped))}")
    for damage, said in DAMAGES.items():
        line = refusal(damaged(stopped, folder, damage))
        assert said in line, line
        say(f"stopped, then {damage.__name__}: {line}")
    for damage in WITH_LOG:
        say(f"killed, then {damage.__name__}: {served_or_refused(damaged(killed, folder, damage))}")


def second_server(data: Path) -> str:
    with Server(data) as first, httpx2.Client(base_url=first.url) as client:
        line = refusal(data)
        client.put("/v1/jobs/still-served").raise_for_status()
        first.stop()
    return line
