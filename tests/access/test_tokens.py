"""What a token allows, and how long it lives."""

from __future__ import annotations

import json
from typing import Any

import httpx2 as httpx
import jwt
import pytest

from tests.support.keyed import Client, claims, client, events, make_key, make_token
from tests.support.server import Server


def test_a_token_has_no_more_rights_than_its_creator(closed: Server, admin: Client) -> None:
    admin.put("/v1/jobs/theirs", json={"project": "theirs"})
    key = make_key(admin, "ci", "view", projects=["mine"])["key"]
    with client(closed, key) as viewer:
        assert viewer.post("/v1/tokens", json={"scopes": ["report"]}).status_code == 403
        assert viewer.post("/v1/tokens", json={"project": "theirs"}).status_code == 403
        assert viewer.post("/v1/tokens", json={"jobs": ["theirs"]}).status_code == 404


def test_a_token_for_one_job_shows_only_that_job(closed: Server, admin: Client) -> None:
    admin.put("/v1/jobs/a")
    admin.put("/v1/jobs/b")
    with client(closed, make_token(admin, jobs=["a"])) as viewer:
        assert viewer.get("/v1/jobs/a").status_code == 200
        assert viewer.get("/v1/jobs/b").status_code == 404
        assert [job["id"] for job in viewer.get("/v1/jobs").json()["jobs"]] == ["a"]
        with viewer.stream("GET", "/v1/events", params={"jobs": "b"}) as feed:
            assert next(events(feed))["event"] == "ready"  # with no event before it
        with viewer.stream("GET", "/v1/events") as feed:
            assert json.loads(next(events(feed))["data"])["id"] == "a"


@pytest.mark.parametrize(
    "forged",
    [
        lambda good: jwt.encode(claims(good), "x" * 32, "HS256"),
        lambda good: jwt.encode(claims(good), "", "none"),
        lambda good: good[:-4] + "AAAA",
        lambda good: ".".join([good.split(".")[0], jwt.encode({}, "k" * 32).split(".")[1], "x"]),
        lambda good: "a.b.c",
        lambda good: "..",
    ],
)
def test_a_forged_token_is_refused(closed: Server, admin: Client, forged: Any) -> None:
    answer = httpx.get(f"{closed.url}/v1/jobs", params={"token": forged(make_token(admin))})
    assert answer.status_code == 401
    assert answer.json()["code"] == "bad_credential"


def test_tokens_outlive_a_restart_but_not_their_key(closed: Server, admin: Client) -> None:
    made = make_key(admin, "ci")
    with client(closed, made["key"]) as ci:
        token = make_token(ci)
    closed.restart()
    assert httpx.get(f"{closed.url}/v1/jobs?token={token}").is_success
    admin.delete(f"/v1/keys/{made['id']}")
    assert httpx.get(f"{closed.url}/v1/jobs?token={token}").status_code == 401


def test_the_creator_of_a_job_gets_a_view_link_for_a_browser(closed: Server, admin: Client) -> None:
    view = admin.post("/v1/jobs", json={"id": "j"}).json()["view"]
    assert view["url"] == f"/jobs/j?token={view['token']}"
    with client(closed, view["token"]) as viewer:
        assert viewer.get("/v1/jobs/j").is_success
        assert viewer.post("/v1/jobs/j/cancel").status_code == 403


def test_only_an_admin_names_another_owner(closed: Server, admin: Client) -> None:
    key = make_key(admin, "ci")["key"]
    with client(closed, key) as ci:
        assert ci.post("/v1/jobs", json={"owner": "somebody"}).status_code == 403
        assert ci.post("/v1/jobs").json()["owner"] == "key:ci"
    assert admin.post("/v1/jobs", json={"owner": "somebody"}).json()["owner"] == "somebody"


def test_a_job_that_the_caller_may_not_see_is_404(closed: Server, admin: Client) -> None:
    admin.put("/v1/jobs/theirs", json={"project": "theirs"})
    with client(closed, make_key(admin, "ci", projects=["mine"])["key"]) as ci:
        hidden, absent = ci.get("/v1/jobs/theirs").json(), ci.get("/v1/jobs/none").json()
    assert hidden == {**absent, "detail": absent["detail"].replace("none", "theirs")}


def test_a_token_for_some_jobs_allows_nothing_else(closed: Server, admin: Client) -> None:
    admin.put("/v1/jobs/a")
    token = make_token(admin, scopes=["admin"], jobs=["a"])
    with client(closed, token) as holder:
        for method, path, body in (
            ("GET", "/v1/keys", None),
            ("POST", "/v1/keys", {"name": "more", "scopes": ["admin"]}),
            ("GET", "/v1/audit", None),
            ("GET", "/metrics", None),
            ("POST", "/v1/jobs", {}),
            ("PUT", "/v1/jobs/c", None),
        ):
            answer = holder.request(method, path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (403, "foreign_job"), path
        assert holder.put("/v1/jobs/a").status_code == 200


def test_a_token_for_some_jobs_makes_no_child_of_another(closed: Server, admin: Client) -> None:
    for id in ("a", "b"):
        admin.put(f"/v1/jobs/{id}")
    with client(closed, make_token(admin, scopes=["admin"], jobs=["a"])) as holder:
        holder.post("/v1/jobs/a/cancel")
        holder.delete("/v1/jobs/a")
        for parent in ("b", "none"):
            answer = holder.put("/v1/jobs/a", json={"parent": parent})
            assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/parent")
        assert holder.put("/v1/jobs/a").status_code == 201
    assert admin.get("/v1/jobs/b").json()["children"]["total"] == 0


def test_an_admin_of_some_projects_sees_only_their_keys(closed: Server, admin: Client) -> None:
    make_key(admin, "theirs", projects=["theirs"])
    mine = make_key(admin, "mine", "admin", projects=["mine"])
    with client(closed, mine["key"]) as holder:
        assert [key["name"] for key in holder.get("/v1/keys").json()["keys"]] == ["mine"]
