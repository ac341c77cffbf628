"""A credential is identified by an id, never by a name that can be used again. And the rights that
no credential may pass on."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from websockets.sync.client import connect

from livejobs.store.base import Idempotency
from livejobs.store.sqlite.sql import MIGRATIONS
from livejobs.store.sqlite.store import SqliteStore
from tests.cli.read.shell import Shell
from tests.support.api import Socket, hear, problem
from tests.support.desk import eventually
from tests.support.keyed import ADMIN, KEYED, claims, client, make_key, make_token
from tests.support.server import Server

Client = httpx.Client


# Names


@pytest.mark.parametrize("name", ["admin", "Admin", "anonymous", "anyone", "operator", "livejobs"])
def test_a_key_can_t_have_the_name_of_a_built_in_identity(admin: Client, name: str) -> None:
    answer = admin.post("/v1/keys", json={"name": name, "scopes": ["view"]})
    problem(answer, 422, "invalid", "/name")


def command(*args: str) -> subprocess.CompletedProcess[str]:
    return Shell("http://no.server").run(*args)


@pytest.mark.parametrize("name", ["admin", "a b", "a\nb", ""])
def test_the_command_line_refuses_the_names_that_the_server_refuses(
    tmp_path: Path, name: str
) -> None:
    done = command("key", "create", "--name", name, "--scope", "view", "--data", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("livejobs: ")
    assert len(done.stderr.splitlines()) == 1


def test_only_admins_who_see_a_key_learn_that_its_name_is_in_use(
    closed: Server, admin: Client
) -> None:
    make_key(admin, "theirs", projects=["theirs"])
    make_key(admin, "all")
    mine = make_key(admin, "mine", "admin", projects=["mine"])
    with client(closed, mine["key"]) as holder:
        for name in ("theirs", "all"):
            made = holder.post("/v1/keys", json={"name": name, "scopes": ["view"]})
            assert (made.status_code, made.json()["projects"]) == (201, ["mine"])
        problem(
            holder.post("/v1/keys", json={"name": "mine", "scopes": ["view"]}), 409, "key_exists"
        )
    problem(admin.post("/v1/keys", json={"name": "theirs", "scopes": ["view"]}), 409, "key_exists")


def test_the_command_line_revokes_no_key_by_a_name_that_two_keys_have(
    closed: Server, admin: Client
) -> None:
    first = make_key(admin, "ci", projects=["theirs"])
    mine = make_key(admin, "mine", "admin", projects=["mine"])
    with client(closed, mine["key"]) as holder:
        second = make_key(holder, "ci")
    where = ("--url", closed.url, "--key", ADMIN)
    done = command("key", "revoke", "ci", *where)
    assert done.returncode == 1
    assert first["id"] in done.stderr
    assert second["id"] in done.stderr
    assert command("key", "revoke", second["id"], *where).returncode == 0
    assert command("key", "revoke", "ci", *where).returncode == 0  # now the name is unique
    assert [key["name"] for key in admin.get("/v1/keys").json()["keys"]] == ["mine"]


# Identity


def test_a_key_inherits_nothing_from_a_revoked_key_of_the_same_name(
    closed: Server, admin: Client
) -> None:
    again = {"idempotency-key": "k"}
    jobs = []
    for _ in range(2):
        made = make_key(admin, "ci")
        with client(closed, made["key"]) as ci:
            answer = ci.post("/v1/jobs", headers=again)
            assert answer.status_code == 201
            assert ci.post("/v1/jobs", headers=again).json()["id"] == answer.json()["id"]
            jobs.append(answer.json()["id"])
        admin.delete(f"/v1/keys/{made['id']}")
    assert jobs[0] != jobs[1]


def test_two_keys_with_one_name_share_no_idempotency_keys(closed: Server, admin: Client) -> None:
    first = make_key(admin, "ci", projects=["a", "b"])
    boss = make_key(admin, "boss", "admin", projects=["a"])
    with client(closed, boss["key"]) as holder:
        second = make_key(holder, "ci")
    made = []
    for key in (first, second):
        with client(closed, key["key"]) as ci:
            answer = ci.post("/v1/jobs", json={"project": "a"}, headers={"idempotency-key": "k"})
            made.append(answer.json()["id"])
    assert len(set(made)) == 2


def test_the_audit_names_the_key_s_id_beside_its_name(closed: Server, admin: Client) -> None:
    made = make_key(admin, "ci")
    with client(closed, made["key"]) as ci:
        ci.put("/v1/jobs/j")
        ci.put("/v1/jobs/j/files/f", content=b"f")
        ci.get("/v1/jobs/j/files/f")
        with client(closed, make_token(ci, scopes=["cancel"])) as page:  # it depends on the key
            page.post("/v1/jobs/j/cancel?force=1")

    def by_action() -> dict[str, Any]:
        acts = admin.get("/v1/audit").json()["acts"]
        return {act["action"]: act for act in reversed(acts)}  # the newest of each

    eventually(lambda: by_action().get("download", {}).get("by_id") == made["id"])
    newest = by_action()
    for action in ("download", "cancel"):
        assert (newest[action]["by"], newest[action]["by_id"]) == ("key:ci", made["id"])
    created = newest["key.create"]
    assert created["by"] == "key:admin"
    assert created["by_id"].startswith("admin-")
    assert created["detail"] == {"key": made["id"], "name": "ci"}


def test_the_claims_of_a_token_reveal_nothing_about_the_admin_key(tmp_path: Path) -> None:
    """From a digest in a token, a weak key could be guessed offline."""
    told = set()
    for name in ("a", "b"):
        with Server(tmp_path / name, env=KEYED) as server, client(server) as admin:
            told.add(claims(make_token(admin))["key"])
    assert len(told) == 2


async def test_idempotency_keys_stored_by_name_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "livejobs.db"
    old = SqliteStore(path, migrations=MIGRATIONS[:3])
    await old.open()
    await old._write.run(
        lambda db: db.execute(
            "INSERT INTO idempotency VALUES ('key:ci', 'k', x'00', 'j', 9000000000000)"
        ).fetchall()
    )
    assert isinstance(await old.repeated("key:ci", "k", 0), Idempotency)
    await old.close()
    new = SqliteStore(path)
    await new.open()
    assert await new.repeated("key:ci", "k", 0) is None
    await new.close()


# What no credential may pass on


def test_a_token_cannot_create_keys(closed: Server, admin: Client) -> None:
    with client(closed, make_token(admin, scopes=["admin"], ttl_seconds=60)) as holder:
        assert holder.get("/v1/keys").status_code == 200
        answer = holder.post("/v1/keys", json={"name": "lasting", "scopes": ["admin"]})
        problem(answer, 403, "key_required")
    assert admin.get("/v1/keys").json()["keys"] == []


def test_a_key_that_expires_creates_none_that_last_longer(closed: Server, admin: Client) -> None:
    ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    later = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    mine = make_key(admin, "mine", "admin", expires_at=ends)
    with client(closed, mine["key"]) as holder:
        for name, asked in (("a", {}), ("b", {"expires_at": later})):
            assert make_key(holder, name, **asked)["expires_at"] == mine["expires_at"]
        sooner = make_key(
            holder, "c", expires_at=(datetime.now(UTC) + timedelta(60e-5)).isoformat()
        )
        assert sooner["expires_at"] < mine["expires_at"]


def test_only_an_admin_of_all_projects_sees_the_metrics(closed: Server, admin: Client) -> None:
    mine = make_key(admin, "mine", "admin", projects=["mine"])
    with client(closed, mine["key"]) as holder:
        problem(holder.get("/metrics"), 403, "foreign_project")
        with client(closed, make_token(holder, scopes=["admin"])) as page:
            problem(page.get("/metrics"), 403, "foreign_project")
    assert admin.get("/metrics").status_code == 200


def test_put_and_post_refuse_alike_a_job_outside_the_token(closed: Server, admin: Client) -> None:
    for id in ("mine", "other"):
        admin.put(f"/v1/jobs/{id}")
    with client(closed, make_token(admin, scopes=["report"], jobs=["mine"])) as holder:
        for id in ("other", "none"):
            problem(holder.put(f"/v1/jobs/{id}"), 403, "foreign_job")
            problem(holder.post("/v1/jobs", json={"id": id}), 403, "foreign_job")
        assert holder.put("/v1/jobs/mine").status_code == 200


def test_an_idempotency_key_does_not_reveal_a_job_outside_the_token(
    closed: Server, admin: Client
) -> None:
    again = {"idempotency-key": "k"}
    made = admin.post("/v1/jobs", headers=again).json()["id"]
    admin.put("/v1/jobs/mine")
    with client(closed, make_token(admin, scopes=["report"], jobs=["mine"])) as holder:
        error = problem(holder.post("/v1/jobs", headers=again), 403, "foreign_job")
        assert made not in json.dumps(error)
    with client(closed, make_token(admin, scopes=["report"], project="p")) as holder:
        error = problem(holder.post("/v1/jobs", headers=again), 422, "idempotency_mismatch")
        assert made not in json.dumps(error)


# Empty is not absent


def test_a_feed_for_no_jobs_has_none(closed: Server, admin: Client) -> None:
    admin.put("/v1/jobs/j")
    with admin.stream("GET", "/v1/events?jobs=") as feed:
        assert next(line for line in feed.iter_lines() if "event" in line) == "event: ready"
    own = {"authorization": f"Bearer {ADMIN}"}
    with connect(closed.url.replace("http", "ws") + "/v1/ws", additional_headers=own) as ws:
        for id, jobs in ((1, []), (2, "")):
            ws.send(json.dumps({"op": "subscribe", "id": id, "feed": {"jobs": jobs}}))
            assert [hear(ws)["op"] for _ in range(2)] == ["ack", "ready"]
        ws.send(json.dumps({"op": "subscribe", "id": 3, "feed": {}}))
        assert [hear(ws)["op"] for _ in range(2)] == ["ack", "snapshot"]


def test_a_token_for_no_jobs_is_refused(admin: Client) -> None:
    problem(admin.post("/v1/tokens", json={"jobs": []}), 422, "invalid", "/jobs")


# Downloads


SIZE = 64 << 20


@pytest.mark.parametrize("path", ["files/large", "files.zip"])
def test_a_download_ends_with_its_credential(
    closed: Server, admin: Client, tmp_path: Path, path: str
) -> None:
    with (tmp_path / "large").open("wb") as large:
        large.truncate(SIZE)
    admin.put("/v1/jobs/j")
    admin.post("/v1/jobs/j/files", json={"path": str(tmp_path / "large")})
    admin.post("/v1/jobs/j/reports", json={"type": "start"})
    made = make_key(admin, "ci", "view")
    with Socket(closed.url) as raw:
        request = f"GET /v1/jobs/j/{path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {made['key']}"
        raw.send(request, "\r\n\r\n")
        assert raw.head()[0] == 200
        admin.delete(f"/v1/keys/{made['id']}")
        assert _rest(raw, admin) < SIZE


def _rest(raw: Socket, admin: Client) -> int:
    """Bytes that still arrive, when they are read at some MiB per second."""
    size, wait = 0, {"prefer": "wait=1", "if-none-match": "*"}
    try:
        while size < SIZE and (piece := raw.file.read(4 << 20)):
            size += len(piece)
            admin.get("/v1/jobs/j", headers=wait)  # which takes a second
    except ConnectionResetError:
        pass
    return size
