"""`livejobs serve --database` and its neighbours, as processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.support.command import livejobs
from tests.support.desk import eventually
from tests.support.postgres import Postgres
from tests.support.server import Server


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> str:
    return postgres.database("served")


@pytest.fixture(scope="module")
def server(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("first") / "data"
    with Server(data, env={"LIVEJOBS_DATABASE": url}) as running:
        yield running


def test_an_unusable_database_ends_the_start_with_one_line(
    postgres: Postgres, tmp_path: Path
) -> None:
    wrong = postgres.url_of("nowhere").replace("postgres@", "postgres:hunter2@")
    data = str(tmp_path / "data")
    done = livejobs("serve", "--port", "0", "--data", data, LIVEJOBS_DATABASE=wrong)
    shown = postgres.url_of("nowhere").replace("postgres@", "")
    line = f"livejobs: database ({shown}): there is no such database. Create it\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


def test_a_password_in_the_flag_is_warned_of_and_never_shown(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    address = "postgresql://me:hunter2@127.0.0.1:1/x"
    done = livejobs("serve", "--port", "0", "--data", data, "--database", address)
    assert done.returncode == 2
    assert "Use LIVEJOBS_DATABASE" in done.stderr
    assert "hunter2" not in done.stderr
    done = livejobs("serve", "--database", "mysql://me:hunter2@localhost/x")
    takes = 'livejobs: database (--database): takes "postgresql://user@host/name"'
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, takes)


def test_jobs_outlive_the_server_and_its_folder(server: Server, url: str, tmp_path: Path) -> None:
    job = httpx.put(f"{server.url}/v1/jobs/a", json={"title": "Teaser"}).json()
    server.stop()
    with Server(tmp_path / "another", "--database", url) as second:
        again = httpx.get(f"{second.url}/v1/jobs/a").json()
        assert (again["title"], again["cursor"]) == ("Teaser", job["cursor"])
        assert second.stop() == 0
        assert "Traceback" not in second.stderr
    assert not (server.data / "livejobs.db").exists()
    server.restart()


def test_keys_are_kept_in_the_database(server: Server, url: str, tmp_path: Path) -> None:
    how = ("key", "create", "--name", "ci", "--scope", "view", "--data", str(tmp_path / "data"))
    created = livejobs(*how, LIVEJOBS_DATABASE=url)
    assert created.returncode == 0, created.stderr
    headers = {"authorization": f"Bearer {created.stdout.strip()}"}
    eventually(lambda: httpx.get(f"{server.url}/v1/jobs").status_code == 401)
    assert httpx.get(f"{server.url}/v1/jobs", headers=headers).status_code == 200
    server.restart()
    assert httpx.get(f"{server.url}/v1/jobs").status_code == 401


def test_the_driver_is_loaded_only_for_a_database() -> None:
    code = (
        "import livejobs.cli.operator.serve, livejobs.cli.operator.keys, sys; "
        "sys.exit('asyncpg' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
