"""The blocks of `sh` run, as a reader would type them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.docs.blocks import texts
from tests.docs.stage import Stage
from tests.support.api import Api
from tests.support.server import Server

ADMIN = "the-first-admin-key"
HERE = "http://127.0.0.1:8000"
DATA = "livejobs-data"  # of the docs


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with a job and a file, whose server has stopped."""
    data = tmp_path_factory.mktemp("kept") / DATA
    with Server(data) as server:
        httpx2.put(f"{server.url}/v1/jobs/teaser/files/out.mp4", content=b"film")
        httpx2.put(f"{server.url}/v1/jobs/teaser", json={"title": "Teaser"})
        httpx2.put(f"{server.url}/v1/jobs/teaser/files/out.mp4", content=b"film")
        server.stop()
        yield data


def test_access(stage: Stage) -> None:
    keys, token = texts("docs/access.md", "sh")
    create, export, manage = re.split(r"(?m)^(export .*\n)", keys)
    assert "ci" in stage.run(create)
    with Server(stage.folder / DATA, env={"LIVEJOBS_ADMIN_KEY": ADMIN}) as server:
        listed = stage.run(export + manage, {"KEY=…": f"KEY={ADMIN}", HERE: server.url})
        assert re.search(r"\bci\b.*\breport\b.*\bfilms\b", listed), listed
        stage.environment |= {"LIVEJOBS_KEY": ADMIN, "LIVEJOBS_URL": server.url}
        assert stage.run(token).count(".") == 2


def test_backups(stage: Stage, kept: Path) -> None:
    commands, timer, check = texts("docs/backup.md", "sh")
    at = {"/backup/jobs": f"{stage.folder}/jobs", f"./{DATA}": str(kept)}
    bucket = {"s3://bucket": f"file://{stage.folder}/bucket"}
    said = stage.run(commands, at | bucket)
    assert said.count("1 job") >= 3, said
    assert (stage.folder / "new-data" / "livejobs.db").exists()
    assert stage.run(check, {"/backup/jobs": f"{stage.folder}/jobs"})
    when, user, command = timer.split("  ")
    assert (when, user) == ("0 3 * * *", "livejobs")
    stage.run(command, {**bucket, "/var/lib/livejobs": str(kept)})
    assert len(list(stage.folder.glob("bucket/backups/backups/*"))) == 2


def test_copies(stage: Stage, kept: Path) -> None:
    move, count, left = texts("docs/copies.md", "sh")
    files = stage.folder / "files"
    files.mkdir()
    bucket = {"s3://bucket/jobs": f"file://{files}"}
    database = "LIVEJOBS_DATABASE=postgresql://livejobs:secret@db.example.com/livejobs"
    elsewhere = {database: f"LIVEJOBS_DATA={stage.folder}/new"}
    at = {"/backup/jobs": f"{stage.folder}/jobs", f"./{DATA}": str(kept)}
    said = stage.run(move, {**at, **elsewhere, **bucket})
    assert [path.read_bytes() for path in files.glob("??/*")] == [b"film"]
    stage.environment["LIVEJOBS_DATA"] = f"{stage.folder}/new"
    assert "Would import" in stage.run(count, {"PATH": f"{stage.folder}/jobs"})
    stage.run(left, {"PATH": f"{stage.folder}/left", **bucket})
    assert "Imported" in said


def test_doctor(stage: Stage) -> None:
    (command,) = texts("docs/doctor.md", "sh")
    with Server(stage.folder / DATA) as server:
        said = stage.run(command, {"https://jobs.example.com": server.url})
    assert "database" in said, said


@pytest.mark.parametrize("page", ["docs/operations.md", "docs/start/operator.md"])
def test_a_server_starts(stage: Stage, page: str) -> None:
    (text,) = texts(page, "sh")
    assert "livejobs ready on " in stage.run(text)
    assert (stage.folder / DATA / "livejobs.db").exists()


def test_a_command_runs_as_a_job(stage: Stage, shared: Server) -> None:
    run, _, completion = texts("docs/terminal.md", "sh")
    (stage.folder / "Makefile").write_text("all:\n\tmkdir dist && echo made > dist/package.whl\n")
    stage.environment["LIVEJOBS_URL"] = shared.url
    stage.run(run)
    with Api(shared.url) as api:
        (job,) = api.get("/v1/jobs?q=Nightly build").json()["jobs"]
        assert [file["name"] for file in api.job(job["id"])["files"]] == ["package.whl"]
    assert "livejobs" in stage.run(f"{completion.strip()}; complete -p livejobs")


def test_jobs_are_watched_in_the_terminal(stage: Stage, shared: Server) -> None:
    _, commands, _ = texts("docs/terminal.md", "sh")
    stage.environment["LIVEJOBS_URL"] = shared.url
    with Api(shared.url) as api:
        done, asked, going = (api.create(title=it) for it in ("done", "asked", "going"))
        api.put(f"/v1/jobs/{done}/files/out.mp4", content=b"film").raise_for_status()
        api.report(done, {"type": "log", "message": "Frame 7"}, {"type": "succeed"})
        api.report(asked, {"type": "ask", "prompt": "Publish?", "schema": {"type": "boolean"}})
        api.report(going, {"type": "start"})
        for command in commands.splitlines():
            name = re.findall(r"livejobs (\w+)", command)[0]
            of = {"answer": asked, "cancel": going, "report": going}.get(name, done)
            stage.run(command.replace("JOB", of))
        assert api.job(asked)["status"] == "running"
        assert api.job(going)["cancel_requested"] or api.job(going)["completed_at"]
        assert api.job(going)["logs_total"] == 1
    assert (stage.folder / "out").exists()
