"""A running server is backed up, and another server takes its place from the backup."""

from __future__ import annotations

from pathlib import Path

from tests.copies.places import Place
from tests.copies.test_served import ADMIN, FILM, client, state, work
from tests.support.objects import ObjectStore
from tests.support.postgres import Postgres
from tests.support.server import Server


def goes_on(place: Place, was: object, key: str, cursor: str) -> None:
    """Clients see the same jobs, but begin again, and workers go on where they were."""
    with Server(place.data, env=place.env) as server, client(server, key) as worker:
        assert state(worker) == was
        assert worker.get("/v1/jobs/done/files/out.mp4").content == FILM
        with worker.stream("GET", f"/v1/jobs/going/events?since={cursor}") as stream:
            named = (line for line in stream.iter_lines() if line.startswith("event:"))
            assert next(named) == "event: reset"
        skipped = {"type": "succeed", "producer": "w", "n": 1}
        worker.post("/v1/jobs/going/reports", json=skipped).raise_for_status()
        assert worker.get("/v1/jobs/going").json()["status"] == "succeeded"
        server.stop()


def test_a_restored_server_goes_on_as_the_old_one(
    postgres: Postgres, objects: ObjectStore, tmp_path: Path
) -> None:
    old, second, third = (Place(tmp_path / name) for name in ("old", "second", "third"))
    second.env |= objects.environment | {
        "LIVEJOBS_DATABASE": postgres.database("served"),
        "LIVEJOBS_FILES": objects.files,
    }
    vault = str(tmp_path / "vault")
    with Server(old.data, env=ADMIN) as server:
        with client(server, ADMIN["LIVEJOBS_ADMIN_KEY"]) as admin:
            key = work(admin)
        server.restart()  # it writes its last download counts
        with client(server, key) as worker:
            cursor = worker.get("/v1/jobs/going").json()["cursor"]
            was = state(worker)
            ended = old.run("backup", vault)
            assert ended.exit_code == 0, ended.stderr
            late = {"type": "log", "message": "after the backup"}
            worker.post("/v1/jobs/going/reports", json=late).raise_for_status()
    for place in (second, third):
        ended = place.run("restore", vault)
        assert ended.exit_code == 0, ended.stderr
    goes_on(third, was, key, cursor)
    with Server(second.data, env=second.env):
        busy = second.run("restore", vault)
        assert "Another livejobs uses the database" in busy.stderr
        ended = second.run("backup", str(tmp_path / "again"))  # of PostgreSQL and S3, as it runs
        assert ended.exit_code == 0, ended.stderr
    fourth = Place(tmp_path / "fourth")
    assert fourth.run("restore", str(tmp_path / "again")).exit_code == 0
    goes_on(fourth, was, key, cursor)
