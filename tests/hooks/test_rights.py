"""Who sees and changes which webhooks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.hooks.conftest import ALLOW
from tests.support.api import problem
from tests.support.receiver import Receiver
from tests.support.server import LONG_ENOUGH, Server

ADMIN = "the-first-admin-key"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data: Path = tmp_path_factory.mktemp("rights") / "data"
    with Server(data, *ALLOW, env={"LIVEJOBS_ADMIN_KEY": ADMIN}) as running:
        yield running


def client(server: Server, credential: str) -> httpx.Client:
    headers = {"authorization": f"Bearer {credential}"}
    return httpx.Client(base_url=server.url, headers=headers, timeout=LONG_ENOUGH)


def key(server: Server, name: str, scope: str, *projects: str) -> str:
    with client(server, ADMIN) as admin:
        body = {"name": name, "scopes": [scope], "projects": projects or None}
        return str(admin.post("/v1/keys", json=body).json()["key"])


def test_an_admin_of_another_project_sees_and_changes_nothing(
    closed: Server, receiver: Receiver
) -> None:
    body = {"url": f"{receiver.url}/in", "events": ["created"], "project": "films"}
    with (
        client(closed, ADMIN) as admin,
        client(closed, key(closed, "o", "admin", "other")) as other,
    ):
        made = admin.post("/v1/webhooks", json=body).json()
        admin.post("/v1/jobs", json={"project": "films"})
        receiver.until(lambda got: len(got) == 1)
        path = f"/v1/webhooks/{made['id']}"
        problem(other.post("/v1/webhooks", json=body), 403, "foreign_project")
        problem(other.get("/v1/webhooks?project=films"), 403, "foreign_project")
        assert other.get("/v1/webhooks?project=*").json() == {"webhooks": []}
        for method, below in (
            ("GET", ""), ("DELETE", ""), ("POST", "/rotate"), ("POST", "/test"),
            ("GET", "/deliveries"), ("POST", "/deliveries/1/replay"),
        ):  # fmt: skip
            problem(other.request(method, path + below), 404, "webhook_not_found")
        assert admin.get(f"{path}/deliveries").json()["deliveries"]
        assert len(receiver.got) == 1


def test_a_worker_gives_its_job_webhooks_and_sees_no_others(
    closed: Server, receiver: Receiver
) -> None:
    hook = {"url": f"{receiver.url}/in", "events": ["finished"]}
    with client(closed, key(closed, "w", "report")) as worker, client(closed, ADMIN) as admin:
        made = worker.post("/v1/jobs", json={"webhooks": [hook]}).json()
        assert made["webhooks"][0]["secret"].startswith("whsec_")
        assert made["webhooks"][0]["created_by"] == "key:w"
        problem(worker.get("/v1/webhooks"), 403, "missing_scope")
        problem(worker.get(f"/v1/webhooks?job={made['id']}"), 403, "missing_scope")
        token = admin.post("/v1/tokens", json={"jobs": [made["id"]], "scopes": ["admin"]}).json()
        with client(closed, token["token"]) as limited:
            problem(limited.get("/v1/webhooks"), 403, "foreign_job")


def test_the_audit_trail_names_who_did_what_and_no_secret(
    closed: Server, receiver: Receiver
) -> None:
    hook = {"url": f"{receiver.url}/in?token=hidden", "events": ["created"], "project": "trail"}
    with client(closed, key(closed, "boss", "admin")) as boss:
        made = boss.post("/v1/webhooks", json=hook).json()
        rotated = boss.post(f"/v1/webhooks/{made['id']}/rotate").json()
        boss.delete(f"/v1/webhooks/{made['id']}")
        answer = boss.get("/v1/audit?limit=3")
        acts = answer.json()["acts"]
    assert [(it["action"], it["by"], it["project"]) for it in acts] == [
        (f"webhook.{it}", "key:boss", "trail") for it in ("delete", "rotate", "create")
    ]
    assert {it["detail"]["webhook"] for it in acts} == {made["id"]}
    assert "hidden" not in made["url"]
    for secret in (made["secret"], rotated["secret"], "hidden"):
        assert secret not in answer.text
        assert secret not in closed.stderr
