"""Access control over HTTP: where credentials are accepted, and when they are needed."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import httpx2 as httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support.api import Socket, hear
from tests.support.keyed import ADMIN, KEYED, Client, client, make_key, make_token
from tests.support.server import DidNotStart, Server

# Where credentials are accepted


def test_a_key_is_accepted_in_either_header(closed: Server, admin: Client) -> None:
    key = make_key(admin, "ci")["key"]
    assert httpx.get(closed.url + "/v1/jobs", headers={"x-api-key": key}).is_success
    assert httpx.get(closed.url + "/v1/jobs", headers={"authorization": f"bearer {key}"}).is_success


def test_a_key_in_a_url_or_a_cookie_is_refused(closed: Server, admin: Client) -> None:
    key = make_key(admin, "ci")["key"]
    for answer in (
        httpx.get(f"{closed.url}/v1/jobs?token={key}"),
        httpx.get(f"{closed.url}/v1/jobs", headers={"cookie": f"livejobs_token={key}"}),
    ):
        assert answer.status_code == 401
        assert answer.json()["code"] == "token_required"
    for address, headers in (
        (f"/v1/ws?token={key}", {}),
        ("/v1/ws", {"cookie": f"livejobs_token={key}"}),
    ):
        with connect(closed.url.replace("http", "ws") + address, additional_headers=headers) as ws:
            assert hear(ws)["code"] == "unauthenticated"
            with pytest.raises(ConnectionClosed) as gone:
                hear(ws)
        assert gone.value.rcvd is not None
        assert gone.value.rcvd.code == 4401


def test_a_token_is_accepted_in_a_header_a_url_or_a_cookie(closed: Server, admin: Client) -> None:
    token = make_token(admin)
    jobs = closed.url + "/v1/jobs"
    assert httpx.get(f"{jobs}?token={token}").is_success
    assert httpx.get(jobs, headers={"authorization": f"Bearer {token}"}).is_success
    assert httpx.get(jobs, headers={"cookie": f"a=b; livejobs_token={token}"}).is_success


def test_no_credential_is_ever_in_the_log(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--log-level", "debug", env=KEYED) as server:
        with client(server) as admin:
            key, token = make_key(admin, "ci")["key"], make_token(admin)
            admin.put("/v1/jobs/j")
        httpx.get(f"{server.url}/v1/jobs?token={token}")
        httpx.get(f"{server.url}/v1/jobs?token={key}")
        with connect(f"{server.url.replace('http', 'ws')}/v1/ws?token={token}"):
            pass
        for good in (f"GET /v1/events?token={token} HTTP/1.1", f"GET /jobs/j?token={token} x"):
            with Socket(
                server.url
            ) as raw:  # a request that is cut off, and bytes that are not HTTP
                raw.send(f"{good}\r\nhost: localhost\r\n\r\n")
                raw.file.readline()
        server.stop()
        assert not [word for word in (ADMIN, key, token) if word in server.stderr]


UVICORN = """
import uvicorn
from pathlib import Path
from livejobs import LiveJobs, Settings, create_app
settings = Settings(data=Path("data"), admin_key="the-first-admin-key")
uvicorn.run(create_app(LiveJobs(settings)), port=0)
"""


def test_a_token_is_not_in_the_access_log_of_another_server_either(tmp_path: Path) -> None:
    command = [sys.executable, "-c", UVICORN]
    log = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, b"")
        found = next(filter(None, (re.search(rb"http://[0-9.:]+", line) for line in lines)))
        url = found[0].decode()
        with Client(base_url=url, headers={"x-api-key": ADMIN}) as admin:
            admin.put("/v1/jobs/j")
            token = make_token(admin)
        for path in (
            "/v1/jobs?limit=1&token=",
            "/jobs/j?token=",
            "/v1/jobs/j/events?logs=1&token=",
        ):
            with httpx.stream("GET", url + path + token) as answer:
                assert answer.status_code == 200
        with connect(f"{url.replace('http', 'ws')}/v1/ws?token={token}") as ws:
            ws.send('{"op": "ping", "id": 1}')
            assert hear(ws)["op"] == "pong"
        process.terminate()
        logged = b"".join(lines).decode()
    assert "/v1/jobs?limit=1 HTTP" in logged
    assert "/v1/jobs/j/events?logs=1 HTTP" in logged
    assert "WebSocket /v1/ws" in logged
    assert token not in logged


def test_the_link_to_the_next_page_of_a_list_has_the_same_token(
    closed: Server, admin: Client
) -> None:
    for _ in range(3):
        admin.post("/v1/jobs")
    token = make_token(admin)
    first = httpx.get(closed.url + "/v1/jobs", params={"limit": 2, "token": token})
    after = httpx.get(closed.url + first.links["next"]["url"])
    assert [len(page.json()["jobs"]) for page in (first, after)] == [2, 1]


def test_a_page_sends_no_referrer(closed: Server) -> None:
    assert httpx.get(closed.url + "/").headers["referrer-policy"] == "no-referrer"


# Modes


def test_a_key_turns_access_control_on_also_after_a_restart(server: Server) -> None:
    with client(server, None) as anyone:
        assert anyone.get("/v1/jobs").is_success
        key = make_key(anyone, "ci", "admin")
        assert anyone.get("/v1/jobs").status_code == 401
    server.restart()
    with client(server, key["key"]) as ci:
        assert ci.get("/v1/jobs").is_success
        assert ci.delete(f"/v1/keys/{key['id']}").status_code == 204
        # To revoke the last key closes the server; it does not open it.
        assert ci.get("/v1/jobs").status_code == 401
    assert httpx.get(server.url + "/v1/jobs").status_code == 401


def test_a_public_address_needs_keys_or_open(tmp_path: Path) -> None:
    with pytest.raises(DidNotStart, match="LIVEJOBS_ADMIN_KEY"):
        Server(tmp_path / "a", "--host", "0.0.0.0", fresh=True)
    with Server(tmp_path / "b", "--host", "0.0.0.0", "--open"):
        pass
    with Server(tmp_path / "c", "--host", "0.0.0.0", env=KEYED, fresh=True):
        pass


# Rates


def test_a_key_past_its_rate_gets_retry_after_and_another_key_is_not_limited(
    tmp_path: Path,
) -> None:
    # Low enough that a slow client exceeds it too.
    with Server(tmp_path / "data", "--rate-read", "5/s", env=KEYED) as server:
        with client(server) as admin:
            keys = [make_key(admin, name, "view")["key"] for name in ("fast", "slow")]
        with client(server, keys[0]) as fast, client(server, keys[1]) as slow:
            answers = [fast.get("/v1/jobs") for _ in range(40)]
            refused = [answer for answer in answers if answer.status_code == 429]
            assert refused
            assert {answer.json()["code"] for answer in refused} == {"rate_limited"}
            assert refused[0].headers["ratelimit-policy"] == '"default";q=5;w=1'
            assert refused[0].headers["ratelimit"].startswith('"default";r=0;t=')
            assert all(slow.get("/v1/jobs").status_code == 200 for _ in range(5))
            for _ in range(3):  # a client that waits as asked is not refused again
                while (answer := fast.get("/v1/jobs")).status_code == 200:
                    pass
                time.sleep(int(answer.headers["retry-after"]))
                assert fast.get("/v1/jobs").status_code == 200
            job = fast.post("/v1/tokens", json={})  # reporting has a rate of its own
            assert job.status_code == 201


def test_a_key_s_connections_are_counted_and_freed(tmp_path: Path) -> None:
    with (
        Server(tmp_path / "data", "--max-connections-per-key", "2", env=KEYED) as server,
        client(server) as admin,
    ):
        admin.put("/v1/jobs/j")
        with admin.stream("GET", "/v1/jobs/j/events"), admin.stream("GET", "/v1/events"):
            refused = admin.get("/v1/jobs/j/events")
            assert (refused.status_code, refused.json()["code"]) == (429, "too_many_connections")
        admin.post("/v1/jobs/j/reports", json={"type": "succeed"})
        with admin.stream(
            "GET", "/v1/events"
        ) as feed:  # waits until the other connections are released
            assert feed.status_code in (200, 429)
