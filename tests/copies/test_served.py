"""A server is moved: from SQLite and a folder to PostgreSQL and an object store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2 as httpx
from standardwebhooks import Webhook

from tests.copies.places import Place
from tests.support.desk import eventually
from tests.support.objects import ObjectStore
from tests.support.postgres import Postgres
from tests.support.receiver import Receiver
from tests.support.server import Server

REACHED = {"LIVEJOBS_WEBHOOK_ALLOW_PRIVATE": "127.0.0.1"}
ADMIN = {"LIVEJOBS_ADMIN_KEY": "a-first-admin-key-of-tests", **REACHED}
FILM = bytes(range(256)) * 5000


def client(server: Server, key: str) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {key}"})


def work(admin: httpx.Client) -> str:
    """Jobs in several states. Returns the key of their worker."""
    made = admin.post("/v1/keys", json={"name": "ci", "scopes": ["report"], "projects": ["films"]})
    key = str(made.json()["key"])
    with httpx.Client(base_url=admin.base_url, headers={"x-api-key": key}) as worker:
        worker.put("/v1/jobs/done", json={"type": "render", "total": 10, "tags": ["nightly"]})
        worker.put("/v1/jobs/done/files/out.mp4", content=FILM)
        reports: list[dict[str, Any]] = [
            {"type": "progress", "current": 3},
            {"type": "log", "message": "a\0b \u2028", "level": "warning"},
            {"type": "retry", "error": "again"},
            {"type": "result", "value": {"scene": 7}},
            {"type": "error", "message": "frame 3", "item": 3},
            {"type": "count", "counters": {"frames": 2}, "producer": "w", "n": 1},
            {"type": "succeed", "result": {"path": "out.mp4"}},
        ]
        worker.post("/v1/jobs/done/reports", json=reports).raise_for_status()
        assert worker.get("/v1/jobs/done/files/out.mp4").content == FILM
        worker.put("/v1/jobs/going", json={"parent": "done"})
        ask = [{"type": "ask", "prompt": "Publish?"}, {"type": "log", "message": "x"}]
        worker.post("/v1/jobs/going/reports", json=ask).raise_for_status()
    return key


def hooked(admin: httpx.Client, receiver: Receiver) -> Webhook:
    """What verifies the messages of a new webhook."""
    body = {"url": receiver.url, "events": ["finished"], "project": "films"}
    return Webhook(admin.post("/v1/webhooks", json=body).raise_for_status().json()["secret"])


def state(http: httpx.Client) -> dict[str, Any]:
    """What clients see, except the cursor, which a move changes."""
    jobs = [http.get(f"/v1/jobs/{id}").raise_for_status().json() for id in ("done", "going")]
    assert all(job.pop("cursor") for job in jobs)
    counts = http.get("/v1/stats?range=week").json()
    return {
        "jobs": jobs,
        "list": [job["id"] for job in http.get("/v1/jobs").json()["jobs"]],
        "logs": http.get("/v1/jobs/done/logs").json(),
        "files": http.get("/v1/jobs/done/files").json(),
        "ended": sum(point["succeeded"] for point in counts["points"]),
    }


def test_a_server_on_an_import_goes_on_as_the_old_one(postgres: Postgres, tmp_path: Path) -> None:
    old = Place(tmp_path / "old")
    new = Place(tmp_path / "new", postgres.database("moved"))
    with Receiver() as receiver, ObjectStore() as objects, Server(old.data, env=ADMIN) as server:
        new.env |= objects.environment | {"LIVEJOBS_FILES": objects.files, **REACHED}
        with client(server, ADMIN["LIVEJOBS_ADMIN_KEY"]) as admin:
            key = work(admin)
            webhook = hooked(admin, receiver)
        with client(server, key) as worker:
            eventually(lambda: state(worker)["files"]["files"][0]["downloads"] == 1)
            cursor = worker.get("/v1/jobs/going").json()["cursor"]
            was = state(worker)
        assert old.run("export", str(tmp_path / "export")).exit_code == 0
        server.stop()  # it writes its last download counts
        assert old.run("export", str(tmp_path / "export")).exit_code == 0
        assert new.run("import", str(tmp_path / "export")).exit_code == 0
        with Server(new.data, env=new.env) as moved, client(moved, key) as worker:
            assert state(worker) == was
            says = new.run("import", str(tmp_path / "export")).stderr
            assert "Another livejobs uses the database, or was killed" in says
            url = "/v1/jobs/done/files/out.mp4"
            assert worker.get(url, headers={"range": "bytes=250-260"}).content == FILM[250:261]
            assert worker.get(url).content == FILM
            with worker.stream("GET", f"/v1/jobs/going/events?since={cursor}") as stream:
                named = (line for line in stream.iter_lines() if line.startswith("event:"))
                assert next(named) == "event: reset"
            skipped = {"type": "succeed", "producer": "w", "n": 1}
            worker.post("/v1/jobs/going/reports", json=skipped).raise_for_status()
            assert worker.get("/v1/jobs/going").json()["status"] == "succeeded"
            [got] = receiver.until_event("finished")
            assert webhook.verify(got.body, dict(got.headers))["data"]["id"] == "going"
        again(new, tmp_path, objects)


def again(place: Place, tmp_path: Path, objects: ObjectStore) -> None:
    """From there to a third server, with the files or without them."""
    folder = tmp_path / "again"
    assert place.run("export", str(folder)).exit_code == 0
    assert [it.read_bytes() for it in (folder / "files").glob("*/*")] == [FILM]
    there = objects.objects()
    assert place.run("export", str(tmp_path / "left"), "--leave-files").exit_code == 0
    assert not (tmp_path / "left" / "files").exists()
    third = Place(tmp_path / "third")
    ended = third.run("import", str(tmp_path / "left"))
    assert ended.exit_code == 1
    assert "The file area does not have 'out.mp4', and the export was made with" in ended.stderr
    third.env |= place.env | {"LIVEJOBS_DATA": str(third.data)}
    del third.env["LIVEJOBS_DATABASE"]
    assert third.run("import", str(tmp_path / "left")).exit_code == 0
    assert objects.objects() == there
    assert third.everything()["jobs"] == place.everything()["jobs"]
