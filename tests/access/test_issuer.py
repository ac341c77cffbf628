"""Tokens of an outside issuer. A real server reads its keys over HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2 as httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.desk import eventually
from tests.support.server import Server

ISSUER, AUDIENCE = "https://id.example", "livejobs.example"


class Publisher:
    """An issuer: it signs, and publishes its keys."""

    def __init__(self) -> None:
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.asked = 0
        self.ready = threading.Event()
        self.ready.set()
        publisher = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked += 1
                publisher.ready.wait(30)
                body = json.dumps({"keys": publisher.published()}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks.json"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def add(self, kid: str) -> None:
        self.keys[kid] = ec.generate_private_key(ec.SECP256R1())

    def published(self) -> list[dict[str, Any]]:
        algorithm = jwt.algorithms.ECAlgorithm
        return [
            {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "alg": "ES256"}
            for kid, key in self.keys.items()
        ]

    def sign(self, kid: str = "a", **claims: Any) -> str:
        usual = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "ada",
            "exp": int(time.time()) + 600,
            "livejobs": {"scopes": ["report"], "projects": ["films"]},
        }
        present = {name: value for name, value in (usual | claims).items() if value is not None}
        return jwt.encode(present, self.keys[kid], "ES256", headers={"kid": kid})


@contextmanager
def publishing() -> Iterator[Publisher]:
    publisher = Publisher()
    publisher.add("a")
    yield publisher
    publisher.server.shutdown()
    publisher.server.server_close()


def trust(issuer: Publisher, home: Path) -> Server:
    options = ["--jwks-url", issuer.url, "--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE]
    return Server(home / "data", *options)


@pytest.fixture(scope="module")
def issuer() -> Iterator[Publisher]:
    with publishing() as publisher:
        yield publisher


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory, issuer: Publisher) -> Iterator[Server]:
    """A server that knows the keys: on a busy machine the first request for them may time out."""
    with trust(issuer, tmp_path_factory.mktemp("server")) as server:
        eventually(lambda: ask(server, issuer.sign()).is_success)
        yield server


@pytest.fixture
def first(tmp_path: Path) -> Iterator[tuple[Server, Publisher]]:
    """A server that has not requested the keys yet, and its issuer."""
    with publishing() as publisher, trust(publisher, tmp_path) as server:
        yield server, publisher


def ask(server: Server, token: str | None, method: str = "GET", path: str = "/v1/jobs") -> Any:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx.request(method, server.url + path, headers=headers)


def test_a_token_has_the_rights_of_its_claim(trusting: Server, issuer: Publisher) -> None:
    token = issuer.sign()
    made = ask(trusting, token, "PUT", "/v1/jobs/j")
    assert (made.json()["owner"], made.json()["project"]) == ("sub:ada", "films")
    assert ask(trusting, token, "DELETE", "/v1/jobs/j").status_code == 403
    viewer = issuer.sign(livejobs={"projects": ["films"], "jobs": ["other"]})
    assert ask(trusting, viewer, path="/v1/jobs/j").status_code == 404
    nobody = issuer.sign(livejobs=None)
    assert ask(trusting, nobody, path="/v1/jobs/j").status_code == 404
    assert ask(trusting, None).status_code == 401  # access control is on although there is no key


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://evil.example"},
        {"aud": "another"},
        {"exp": 1},
        {"exp": None},
        {"sub": None},
        {"livejobs": {"scopes": ["everything"]}},
        {"livejobs": "all"},
    ],
    ids=str,
)
def test_a_token_with_a_wrong_claim_is_refused(
    trusting: Server, issuer: Publisher, wrong: dict[str, Any]
) -> None:
    assert ask(trusting, issuer.sign(**wrong)).status_code == 401


def test_a_key_published_later_is_accepted_and_an_unpublished_key_is_refused(
    first: tuple[Server, Publisher],
) -> None:
    trusting, issuer = first
    stranger = Publisher()
    stranger.add("z")
    assert ask(trusting, stranger.sign("z")).status_code == 401
    stranger.server.shutdown()
    stranger.server.server_close()
    asked = issuer.asked
    bad = {"authorization": f"Bearer {stranger.sign('z')}"}
    with httpx.Client(
        base_url=trusting.url, headers=bad
    ) as many:  # on one connection, to be fast: the keys are requested every 10 s
        assert {many.get("/v1/jobs").status_code for _ in range(20)} == {401}
    assert issuer.asked == asked
    assert ask(trusting, issuer.sign()).status_code == 200


def test_requests_wait_while_the_keys_are_requested(
    first: tuple[Server, Publisher],
) -> None:
    trusting, issuer = first
    issuer.ready.clear()
    with ThreadPoolExecutor(8) as crowd:
        answers = [crowd.submit(ask, trusting, issuer.sign()) for _ in range(8)]
        while not issuer.asked:
            time.sleep(0.01)
        issuer.ready.set()
        assert [answer.result().status_code for answer in answers] == [200] * 8
    assert issuer.asked == 1


def test_while_the_keys_cannot_be_read_a_client_gets_503_and_retry_after(
    first: tuple[Server, Publisher],
) -> None:
    trusting, issuer = first
    issuer.server.shutdown()
    issuer.server.server_close()
    for _ in range(2):
        answer = ask(trusting, issuer.sign())
        assert (answer.status_code, answer.json()["code"]) == (503, "issuer_unavailable")
        assert answer.headers["retry-after"] == "10"


def test_the_keys_address_never_comes_from_a_token(trusting: Server, issuer: Publisher) -> None:
    evil = Publisher()
    evil.add("e")
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "eve", "exp": int(time.time()) + 60}
    token = jwt.encode(claims, evil.keys["e"], "ES256", headers={"kid": "e", "jku": evil.url})
    assert ask(trusting, token).status_code == 401
    assert evil.asked == 0
    evil.server.shutdown()
    evil.server.server_close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"jobs": "a"},
        {"jobs": None},
        {"jobs": [1]},
        {"jobs": {"a": 1}},
        {"projects": "films"},
        {"projects": {"films": 1}},
        {"projects": None},
        {"projects": [["films"]]},
        {"scopes": "admin"},
        {"scopes": {"admin": 1}},
        {"scopes": []},
        {"scopes": None},
        {"scopes": [["view"]]},
    ],
    ids=str,
)
def test_a_right_of_the_wrong_type_is_refused(
    trusting: Server, issuer: Publisher, wrong: dict[str, Any]
) -> None:
    rights = {"scopes": ["view"], "projects": ["films"]} | wrong
    answer = ask(trusting, issuer.sign(livejobs=rights))
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_credential")


@pytest.mark.parametrize(
    "wrong",
    [
        {"exp": "9999999999"},
        {"exp": True},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"exp": [1]},
        {"exp": 1e300},
        {"nbf": "0"},
        {"nbf": float("inf")},
        {"iat": float("-inf")},
        {"sub": ["ada"]},
        {"sub": ""},
        {"sub": "a\nb"},
        {"sub": "a" * 300},
    ],
    ids=str,
)
def test_a_claim_of_the_wrong_type_is_refused(
    trusting: Server, issuer: Publisher, wrong: dict[str, Any]
) -> None:
    answer = ask(trusting, issuer.sign(**wrong))
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_credential")


def test_a_token_for_no_jobs_or_no_projects_sees_none(trusting: Server, issuer: Publisher) -> None:
    everything = issuer.sign(livejobs={"scopes": ["report"], "projects": ["books"]})
    ask(trusting, everything, "PUT", "/v1/jobs/a")
    assert len(ask(trusting, everything).json()["jobs"]) == 1
    rights: dict[str, Any]
    for rights in ({"projects": ["books"], "jobs": []}, {"projects": []}):
        token = issuer.sign(livejobs=rights)
        assert ask(trusting, token, path="/v1/jobs/a").status_code == 404
        for path in ("/v1/jobs?project=*", "/v1/jobs?project=*&q=aaa", "/v1/jobs"):
            answer = ask(trusting, token, path=path)
            assert answer.status_code == 403 or answer.json()["jobs"] == [], path
            assert answer.status_code == 403 or not any(answer.json()["counts"].values()), path
    token = issuer.sign(livejobs={"projects": ["books"], "jobs": []})
    headers = {"authorization": f"Bearer {token}"}
    with httpx.stream("GET", trusting.url + "/v1/events", headers=headers) as feed:
        events = (line for line in feed.iter_lines() if line.startswith("event"))
        assert next(events) == "event: ready"
