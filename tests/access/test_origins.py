"""What a page of a foreign origin can't do."""

from __future__ import annotations

from pathlib import Path

import httpx2 as httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.support.keyed import Client, client, make_token, socket
from tests.support.server import Server


def test_a_foreign_page_cannot_change_an_open_server(shared: Server) -> None:
    foreign = {"origin": "https://evil.example"}
    with client(shared, None) as anyone:
        assert anyone.put("/v1/jobs/j", headers=foreign).json()["code"] == "foreign_origin"
        assert anyone.put("/v1/jobs/j", headers={"origin": shared.url}).status_code == 201
        assert anyone.delete("/v1/jobs/j", headers=foreign).status_code == 403
        assert anyone.post("/v1/jobs/j/reports", json={}, headers=foreign).status_code == 403
    with pytest.raises(InvalidStatus), socket(shared, None, origin="https://evil.example"):
        pass
    with socket(shared, None, origin=shared.url):
        pass


def test_a_foreign_page_cannot_use_a_visitor_s_cookie(closed: Server, admin: Client) -> None:
    admin.put("/v1/jobs/j")
    cookie = {"cookie": f"livejobs_token={make_token(admin, scopes=['admin'])}"}
    foreign = cookie | {"origin": "https://evil.example"}
    with client(closed, None) as page:
        assert page.post("/v1/jobs", headers=foreign).json()["code"] == "foreign_origin"
        assert page.get("/v1/jobs/j/events", headers=foreign).status_code == 403
        sse = foreign | {"accept": "text/event-stream"}
        assert page.get("/v1/jobs/j", headers=sse).status_code == 403
        assert page.post("/v1/jobs", headers=cookie | {"origin": closed.url}).status_code == 201
    with pytest.raises(InvalidStatus), socket(closed, None, **foreign):
        pass


def test_a_page_of_a_trusted_origin_may_use_the_server(tmp_path: Path) -> None:
    friend = {"origin": "https://friend.example"}
    with (
        Server(tmp_path / "data", "--cors-origins", friend["origin"]) as server,
        client(server, None) as page,
    ):
        answer = page.put("/v1/jobs/j", headers=friend)
        assert answer.status_code == 201
        assert answer.headers["access-control-allow-origin"] == friend["origin"]
        assert "location" in answer.headers["access-control-expose-headers"]
        with page.stream("GET", "/v1/jobs/j/events", headers=friend) as stream:
            assert stream.headers["access-control-allow-origin"] == friend["origin"]
        asked = friend | {"access-control-request-method": "PUT"}
        assert page.options("/v1/jobs/j", headers=asked).is_success
        page.post("/v1/jobs/j/reports", json={"type": "start"})
        for polls in range(2):  # the second gets the cached answer of the first
            allowed = page.get("/v1/jobs/j", headers=friend).headers
            assert allowed["access-control-allow-origin"] == friend["origin"], polls
            for other in ({"origin": "https://x.example"}, {}):
                refused = page.get("/v1/jobs/j", headers=other).headers
                assert "access-control-allow-origin" not in refused, polls


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil"])
def test_on_loopback_a_foreign_host_name_is_misdirected(shared: Server, host: str) -> None:
    for path in ("/", "/v1/jobs", "/healthz", "/v1/events"):
        answer = httpx.get(shared.url + path, headers={"host": host or "x"})
        assert answer.status_code == 421
        assert answer.json()["code"] == "misdirected"
    with pytest.raises(InvalidStatus), socket(shared, None, host=host or "x"):
        pass


def test_on_loopback_its_own_and_allowed_host_names_are_accepted(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--allowed-hosts", "jobs.example") as server:
        for host in ("localhost", "localhost:1", "127.0.0.1", "[::1]:80", "JOBS.example:443"):
            assert httpx.get(server.url + "/healthz", headers={"host": host}).is_success
