"""Where a worker reports, and where it keeps what it could not."""

from __future__ import annotations

from pathlib import Path

import pytest

import livejobs
from livejobs.client.settings import spool_folder, state_folder, target
from tests.support.server import Server


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEJOBS_URL", "http://there:8000/")
    monkeypatch.setenv("LIVEJOBS_KEY", " key \n")
    monkeypatch.setenv("LIVEJOBS_SPOOL", "/spool")
    assert target() == ("http://there:8000", "key", Path("/spool"))
    assert target("https://here/base/", "mine", "/mine") == (
        "https://here/base",
        "mine",
        Path("/mine"),
    )
    monkeypatch.delenv("LIVEJOBS_URL")
    assert target() is None


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "http://x:port"])
def test_what_is_no_url_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        target(url)


def test_the_spool_is_in_the_users_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIVEJOBS_SPOOL", raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert spool_folder() == Path("/state/livejobs/spool")
    home = Path("/home/me")
    assert state_folder("linux", {"XDG_STATE_HOME": "relative"}) == home / ".local/state"
    assert state_folder("darwin", {}) == home / "Library/Application Support"
    assert state_folder("win32", {"LOCALAPPDATA": "/local"}) == Path("/local")


def test_the_page_of_a_job_opens_without_the_key_where_there_is_one(tmp_path: Path) -> None:
    key = "admin-key-of-tests"
    with (
        Server(tmp_path / "data", env={"LIVEJOBS_ADMIN_KEY": key}) as server,
        livejobs.job("render", url=server.url, key=key, spool=tmp_path) as job,
    ):
        job.flush()
        assert job.page is not None
        assert job.page.startswith(f"{server.url}/jobs/{job.id}?token=")
        assert key not in job.page
