"""Access control over HTTP: where credentials are accepted, how they end, and what a page of a
foreign origin can't do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2 as httpx
import jwt
import pytest
from starlette.testclient import TestClient
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from livejobs import LiveJobs, Settings, clock, create_app
from livejobs.store.memory import MemoryStore
from tests.support.api import Socket, hear, problem
from tests.support.desk import eventually
from tests.support.server import DidNotStart, Server

ADMIN = "the-first-admin-key"
KEYED = {"LIVEJOBS_ADMIN_KEY": ADMIN}
Client = httpx.Client


def client(server: Server, key: str | None = ADMIN, **headers: str) -> Client:
    own = {"authorization": f"Bearer {key}"} if key else {}
    return Client(base_url=server.url, headers=own | headers, timeout=30)


def make_key(admin: Client, name: str, scope: str = "report", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = admin.post(
        "/v1/keys", json={"name": name, "scopes": [scope], **more}
    ).json()
    return made


def make_token(asker: Client, **asked: Any) -> str:
    return str(asker.post("/v1/tokens", json=asked).json()["token"])


EVENTS = {"accept": "text/event-stream"}
TEXT = {"accept": "text/plain"}


def events(answer: httpx.Response) -> Iterator[dict[str, str]]:
    event: dict[str, str] = {}
    for line in answer.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            event[name] = value
        elif event:
            yield event
            event = {}


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


# Tokens


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


def claims(token: str) -> Any:
    return jwt.decode(token, options={"verify_signature": False})


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


# How streams end


def test_a_stream_ends_with_its_token_and_goes_on_with_another(
    closed: Server, admin: Client
) -> None:
    admin.put("/v1/jobs/j")
    lines: list[str] = []
    seen = ""

    def follow(token: str, since: str) -> tuple[str, str]:
        """Read until the stream ends: the last cursor and the last event."""
        with (
            client(closed, token) as viewer,
            viewer.stream(
                "GET",
                "/v1/jobs/j/events",
                params={"view": "delta", "logs": "1"},
                headers={"last-event-id": since} if since else {},
            ) as answer,
        ):
            last: dict[str, str] = {}
            for last in events(answer):
                since = last.get("id", since)
                data = json.loads(last["data"])
                new = data.get("append", {}).get("logs", ()) or data.get("logs", ())
                lines.extend(line["message"] for line in new)
            return since, last["event"] + ": " + json.loads(last["data"]).get("reason", "")

    stop = threading.Event()

    def work() -> None:
        for n in range(3000):
            if stop.wait(0.03):
                break
            admin.post("/v1/jobs/j/reports", json={"type": "log", "message": str(n)})
        admin.post("/v1/jobs/j/reports", json={"type": "succeed"})

    worker = threading.Thread(target=work)
    worker.start()
    with client(closed, make_key(admin, "page", "view")["key"]) as page:
        try:
            seen, word = follow(make_token(page, ttl_seconds=10), seen)
        finally:
            stop.set()
            worker.join()
        assert word == "bye: The credential has expired."
        seen, word = follow(make_token(page), seen)
        assert word == "end: "
    assert lines == [str(n) for n in range(len(lines))]
    assert len(lines) == admin.get("/v1/jobs/j").json()["logs_total"]


def test_a_revoked_key_ends_its_streams_within_five_seconds(closed: Server, admin: Client) -> None:
    admin.put("/v1/jobs/j")
    made = make_key(admin, "ci")
    with client(closed, made["key"]) as ci:
        token = make_token(ci)
        with (
            ci.stream("GET", "/v1/jobs/j/events") as by_key,
            ci.stream("GET", "/v1/jobs/j/logs", headers=EVENTS) as logs_by_key,
            ci.stream("GET", "/v1/jobs/j/logs?follow=1", headers=TEXT) as text_by_key,
            client(closed, token) as page,
            page.stream("GET", "/v1/jobs/j/events") as by_token,
            admin.stream("GET", "/v1/jobs/j/events") as other,
            socket(closed, made["key"]) as ws,
        ):
            streams = [events(answer) for answer in (by_key, by_token, other)]
            assert all("status" in next(stream)["data"] for stream in streams)
            since = time.monotonic()
            admin.delete(f"/v1/keys/{made['id']}")
            for stream in streams[:2]:
                bye = list(stream)[-1]
                assert bye["event"] == "bye"
                assert "revoked" in bye["data"]
            assert "revoked" in list(events(logs_by_key))[-1]["data"]
            assert list(text_by_key.iter_lines()) == []
            assert hear(ws)["op"] == "bye"
            with pytest.raises(ConnectionClosed) as gone:
                hear(ws)
            assert gone.value.rcvd is not None
            assert gone.value.rcvd.code == 4401
            assert time.monotonic() - since < 30  # the promise is 5 s; tests do not measure time
            admin.post("/v1/jobs/j/reports", json={"type": "succeed"})
            assert list(streams[2])[-1]["event"] == "end"  # the stream of another key goes on


def test_a_stream_that_is_never_idle_ends_too(closed: Server, admin: Client) -> None:
    """It always has news to send, so the credential is also checked when news is sent."""
    admin.put("/v1/jobs/j")
    made = make_key(admin, "ci")
    url = f"{closed.url}/v1/jobs/j/reports"
    with client(closed, made["key"]) as ci, Socket(closed.url) as open_line:
        headers = ("content-type: application/x-ndjson", f"authorization: Bearer {made['key']}")
        open_line.post("/v1/jobs/j/reports", *headers)
        open_line.chunk('{"type": "log", "message": "0"}\n')
        stop = threading.Event()

        def busy() -> None:
            while not stop.wait(0.05):
                admin.post(url, json={"type": "log", "message": "busy"})

        worker = threading.Thread(target=busy)
        with (
            ci.stream("GET", "/v1/jobs/j/logs?follow=1", headers=EVENTS) as as_events,
            ci.stream("GET", "/v1/jobs/j/logs?follow=1", headers=TEXT) as as_text,
        ):
            heard, lines = events(as_events), as_text.iter_lines()
            next(heard), next(lines)
            worker.start()
            try:
                admin.delete(f"/v1/keys/{made['id']}")
                assert "revoked" in list(heard)[-1]["data"]
                assert set(lines) <= {"0", "busy"}
            finally:
                stop.set()
                worker.join()
        open_line.chunk('{"type": "log", "message": "from the grave"}\n')
        status, _, body = open_line.answer()
        assert (status, body["code"], body["kept"]) == (401, "expired", 1)


def test_the_first_key_ends_streams_that_were_opened_without_one(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server, client(server, None) as anyone:
        anyone.put("/v1/jobs/j")
        token = make_token(anyone)
        with (
            socket(server, None) as ws,
            anyone.stream("GET", "/v1/jobs/j/events") as answer,
        ):
            stream = events(answer)
            assert "status" in next(stream)["data"]
            make_key(anyone, "first", "admin")
            assert "keys now" in list(stream)[-1]["data"]
            assert "keys now" in hear(ws)["reason"]
        assert httpx.get(f"{server.url}/v1/jobs?token={token}").status_code == 401


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


def socket(server: Server, key: str | None, **headers: str) -> ClientConnection:
    own = {"authorization": f"Bearer {key}"} if key else {}
    return connect(server.url.replace("http", "ws") + "/v1/ws", additional_headers=own | headers)


def test_a_socket_goes_on_with_a_fresh_token(closed: Server, admin: Client) -> None:
    admin.put("/v1/jobs/j")
    token = make_token(admin, ttl_seconds=10)
    with ExitStack() as stack:
        # Connections are checked in turns, each third one in the same second as the first.
        ws, *others = [stack.enter_context(socket(closed, token)) for _ in range(4)]
        ws.send(json.dumps({"op": "subscribe", "id": 1, "job": "j"}))
        assert [hear(ws)["op"] for _ in range(2)] == ["ack", "snapshot"]
        ws.send(json.dumps({"op": "auth", "id": 2, "token": make_token(admin)}))
        assert hear(ws) == {"op": "ack", "id": 2}
        for other in others:
            assert hear(other)["op"] == "bye"
        admin.post("/v1/jobs/j/reports", json={"type": "start"})
        assert hear(ws)["op"] == "delta"


# Foreign origins


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


# Audit


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
