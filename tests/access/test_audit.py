"""The audit names who did what, also for one job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from livejobs import LiveJobs, Settings, clock, create_app
from livejobs.store.memory import MemoryStore
from tests.support.api import problem
from tests.support.desk import eventually
from tests.support.keyed import ADMIN, KEYED, Client, client, make_key, make_token
from tests.support.server import Server


def test_the_audit_records_who_did_what(tmp_path: Path) -> None:
    with Server(tmp_path / "data", env=KEYED) as server, client(server) as admin:
        leave_traces(server, admin)
        server.kill()
        server.restart()
        acts = admin.get("/v1/audit").json()["acts"]
        first = admin.get("/v1/audit?limit=1").json()
        rest = admin.get(f"/v1/audit?before={first['next']}").json()["acts"]
    assert [(act["by"], act["action"], act["job"]) for act in acts] == [
        ("key:admin", "key.revoke", None),
        ("key:admin", "delete", "j"),
        ("key:ci", "cancel", "j"),
        ("key:admin", "key.create", None),
    ]
    assert first["acts"] + rest == acts


def leave_traces(server: Server, admin: Client) -> None:
    made = make_key(admin, "ci", projects=["mine"])
    with client(server, made["key"]) as ci:
        ci.put("/v1/jobs/j")
        ci.post("/v1/jobs/j/reports", json={"type": "start"})
        ci.post("/v1/jobs/j/cancel?force=1")
    admin.delete("/v1/jobs/j")
    admin.delete(f"/v1/keys/{made['id']}")


def acts_of(asker: Client, id: str, **query: Any) -> Any:
    answer = asker.get(f"/v1/jobs/{id}/audit", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def did(found: Any) -> list[tuple[str, str, Any]]:
    return [(act["by"], act["action"], act["detail"]) for act in found["acts"]]


def test_a_job_shows_who_did_what_to_it(closed: Server, admin: Client) -> None:
    ci, other = (make_key(admin, name)["key"] for name in ("ci", "other"))
    with client(closed, ci) as owner, client(closed, other) as guest:
        owner.put("/v1/jobs/j")
        owner.put("/v1/jobs/noise")
        owner.post("/v1/jobs/noise/cancel")
        owner.post("/v1/jobs/j/reports", json={"type": "start"})
        for one in (owner, guest):
            assert one.put("/v1/jobs/j/files/f", content=b"f").status_code < 300
        guest.post("/v1/jobs/j/cancel")
        admin.post("/v1/jobs/j/cancel?force=1")
        found = acts_of(owner, "j")
        assert did(found) == [
            ("key:admin", "cancel", {"force": True}),
            ("key:other", "cancel", {}),
            ("key:other", "upload", {"file": "f"}),
            ("key:ci", "create", {}),
        ]
        assert found["next"] is None
        assert {act["by_id"] for act in found["acts"]} == {None}
        assert acts_of(admin, "j")["acts"][0]["by_id"].startswith("admin-")
        paged: list[Any] = []
        before: dict[str, Any] = {}
        while True:
            page = acts_of(owner, "j", limit=1, **before)
            paged += page["acts"]
            if page["next"] is None:
                break
            before = {"before": page["next"]}
        assert paged == found["acts"]
        guest.get("/v1/jobs/j/files/f")
        eventually(lambda: acts_of(owner, "j")["acts"][0]["action"] == "download")
        token = make_token(admin, jobs=["j"])
        answer = httpx.get(f"{closed.url}/v1/jobs/j/audit?token={token}")
        problem(answer, 403, "foreign_job")


def test_acts_are_of_the_job_also_after_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = clock.now_ms
    app = create_app(LiveJobs(Settings(data=tmp_path), store=MemoryStore()))
    with TestClient(app, base_url="http://127.0.0.1") as asker:
        asker.put("/v1/jobs/j")
        monkeypatch.setattr(clock, "now_ms", lambda: real() - 3_600_000)
        asker.post("/v1/jobs/j/cancel")
        acts = asker.get("/v1/jobs/j/audit").json()["acts"]
    assert [act["action"] for act in acts] == ["cancel", "create"]


def test_acts_on_a_deleted_job_are_not_those_of_its_successor(
    closed: Server, admin: Client
) -> None:
    for owner in ("key:x", "key:admin", "key:y"):
        admin.put("/v1/jobs/again", json={"owner": owner})
        admin.post("/v1/jobs/again/cancel")
        found = acts_of(admin, "again", limit=2)
        assert [act["action"] for act in found["acts"]] == ["cancel", "create"]
        assert found["acts"][-1]["by"] == "key:admin"
        named = {} if owner == "key:admin" else {"owner": owner}
        assert found["acts"][-1]["detail"] == named
        assert admin.delete("/v1/jobs/again").status_code == 204


def test_a_link_that_a_person_shares_is_recorded(closed: Server, admin: Client) -> None:
    admin.put("/v1/jobs/j")
    make_token(admin, jobs=["j"])  # a program makes one for each of its pages
    cookie = httpx.post(f"{closed.url}/v1/session", headers={"x-api-key": ADMIN}).cookies
    own = {"origin": closed.url, "cookie": f"livejobs_token={cookie['livejobs_token']}"}
    with Client(base_url=closed.url, headers=own) as page:
        token = make_token(page, jobs=["j"], ttl_seconds=60)
        [share, created] = acts_of(page, "j")["acts"]
    assert (share["by"], share["action"], created["action"]) == ("key:admin", "share", "create")
    assert share["detail"]["scope"] == "view"
    assert token not in str(share)
