"""Log in with a key on a page, stay logged in, and log out; and what a shared link may do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.cookies import Morsel, SimpleCookie
from typing import Any

import httpx2 as httpx
import pytest

from tests.support.api import problem
from tests.support.keyed import ADMIN, KEYED, claims, client, make_key, make_token
from tests.support.server import Server

Client = httpx.Client


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), env=KEYED) as server:
        yield server


@pytest.fixture(scope="module")
def admin(closed: Server) -> Iterator[Client]:
    with client(closed) as admin:
        yield admin


def cookie(answer: httpx.Response) -> Morsel[str]:
    [header] = answer.headers.get_list("set-cookie")
    found = SimpleCookie(header)
    assert list(found) == ["livejobs_token"]
    return found["livejobs_token"]


def log_in(server: Server, key: str, **headers: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} | headers
    answer = httpx.post(f"{server.url}/v1/session", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def browser(server: Server, token: str, **headers: str) -> Client:
    """It sends the cookie with every request, and its origin."""
    own = {"cookie": f"livejobs_token={token}", "origin": server.url}
    return Client(base_url=server.url, headers=own | headers)


def test_a_key_gives_a_cookie_that_scripts_and_other_sites_can_t_use(closed: Server) -> None:
    answer = log_in(closed, ADMIN)
    one = cookie(answer)
    assert (one["httponly"], one["samesite"], one["path"]) == (True, "lax", "/")
    assert not one["secure"]
    assert 86_000 < int(one["max-age"]) <= 86_400
    assert ADMIN not in answer.text + str(answer.headers)
    assert answer.headers["cache-control"] == "no-store"
    assert cookie(log_in(closed, ADMIN, origin="https://jobs.example"))["secure"]


def test_the_cookie_has_the_rights_of_its_key(closed: Server, admin: Client) -> None:
    key = make_key(admin, "films", "report", projects=["films"])["key"]
    with browser(closed, cookie(log_in(closed, key)).value) as page:
        mine = page.get("/v1/session").json()
        assert (mine["name"], mine["open"]) == ("key:films", False)
        assert mine["scopes"] == ["view", "cancel", "report"]
        assert (mine["projects"], mine["default_project"]) == (["films"], "films")
        assert {"create", "cancel", "view"} <= {*mine["may"]}
        assert {"keys", "delete", "metrics"}.isdisjoint(mine["may"])
        assert page.post("/v1/jobs", json={}).json()["project"] == "films"
        problem(page.get("/v1/keys"), 403, "missing_scope")


def test_a_login_is_renewed_but_not_for_ever(closed: Server, admin: Client) -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    for key, days in ((ADMIN, 30), (make_key(admin, "soon", expires_at=soon)["key"], 0)):
        first = log_in(closed, key)
        with browser(closed, cookie(first).value) as page:
            again = page.post("/v1/session")
        assert cookie(again).value != cookie(first).value
        assert again.json()["session_until"] == first.json()["session_until"]
        left = datetime.fromisoformat(again.json()["session_until"]) - datetime.now(UTC)
        assert round(left / timedelta(days=1)) == days
        assert again.json()["expires_at"] <= again.json()["session_until"]


def test_a_login_ends_with_its_key(closed: Server, admin: Client) -> None:
    made = make_key(admin, "leaver")
    with browser(closed, cookie(log_in(closed, made["key"])).value) as page:
        assert page.get("/v1/session").status_code == 200
        admin.delete(f"/v1/keys/{made['id']}")
        problem(page.get("/v1/session"), 401, "expired")
        problem(page.post("/v1/session"), 401, "expired")


def test_logging_out_removes_the_cookie_also_one_that_has_ended(closed: Server) -> None:
    for headers in ({}, {"cookie": "livejobs_token=ended"}):
        answer = httpx.delete(f"{closed.url}/v1/session", headers=headers)
        one = cookie(answer)
        assert (answer.status_code, one.value, one["max-age"]) == (204, "", "0")


def test_a_stranger_s_page_can_t_log_in_or_act(closed: Server, admin: Client) -> None:
    token = make_token(admin)
    answer = httpx.post(f"{closed.url}/v1/session?token={token}")
    problem(answer, 403, "key_required")
    assert "set-cookie" not in answer.headers
    with browser(
        closed, cookie(log_in(closed, ADMIN)).value, origin="https://evil.example"
    ) as page:
        problem(page.post("/v1/session"), 403, "foreign_origin")
        problem(page.post("/v1/jobs", json={}), 403, "foreign_origin")


@pytest.mark.parametrize("sent", ["lj_wrong", "a.b.c", "é" * 9, "x" * 40_000])
def test_a_wrong_key_gives_no_cookie(closed: Server, sent: str) -> None:
    answer = httpx.post(f"{closed.url}/v1/session", headers=[(b"x-api-key", sent.encode())])
    assert answer.status_code in (401, 431)
    assert "set-cookie" not in answer.headers


def test_an_admin_s_login_manages_keys_but_creates_them_only_with_the_key(
    closed: Server, admin: Client
) -> None:
    made = make_key(admin, "old")
    new = {"name": "new", "scopes": ["view"]}
    with browser(closed, cookie(log_in(closed, ADMIN)).value) as page:
        assert made["id"] in page.get("/v1/keys").text
        assert page.delete(f"/v1/keys/{made['id']}").status_code == 204
        problem(page.post("/v1/keys", json=new), 403, "key_required")
        assert page.post("/v1/keys", json=new, headers={"x-api-key": ADMIN}).status_code == 201


def test_a_login_made_with_a_token_has_no_more_than_the_token(
    closed: Server, admin: Client
) -> None:
    admin.put("/v1/jobs/shared")
    token = make_token(admin, jobs=["shared"], ttl_seconds=60)
    answer = log_in(closed, token)
    until = claims(token)["exp"]
    assert claims(cookie(answer).value)["exp"] <= until
    assert (answer.json()["scopes"], answer.json()["jobs"]) == (["view"], ["shared"])


def test_an_open_server_needs_no_login(server: Server) -> None:
    for method in ("GET", "POST"):
        answer = httpx.request(method, f"{server.url}/v1/session")
        mine: dict[str, Any] = answer.json()
        assert (mine["open"], mine["name"], mine["expires_at"]) == (True, "anonymous", None)
        assert "keys" in mine["may"]
        assert "set-cookie" not in answer.headers


def test_sharing_is_recorded_once_a_job_and_not_what_a_guest_passes_on(
    closed: Server, admin: Client
) -> None:
    admin.put("/v1/jobs/passed")
    asked = {"jobs": ["passed"] * 100}
    with browser(closed, cookie(log_in(closed, ADMIN)).value) as page:
        token = page.post("/v1/tokens", json=asked).json()["token"]
    assert claims(token)["jobs"] == ["passed"]
    with browser(closed, token) as guest:
        assert guest.post("/v1/tokens", json=asked).status_code == 201
    acts = admin.get("/v1/jobs/passed/audit").json()["acts"]
    assert [act["action"] for act in acts] == ["share", "create"]


def test_a_shared_link_shows_one_job_only(closed: Server, admin: Client) -> None:
    admin.put("/v1/jobs/a")
    admin.put("/v1/jobs/b")
    token = make_token(admin, jobs=["a"], ttl_seconds=60)
    with Client(base_url=closed.url, params={"token": token}) as guest:
        assert guest.get("/v1/jobs/a").json()["id"] == "a"
        problem(guest.get("/v1/jobs/b"), 404, "job_not_found")
        assert [it["id"] for it in guest.get("/v1/jobs").json()["jobs"]] == ["a"]
        problem(guest.post("/v1/jobs/a/cancel"), 403, "missing_scope")
        assert guest.get("/v1/session").json()["may"] == ["view", "token"]
