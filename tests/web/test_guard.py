"""The door, before anybody is known: what a request without a credential can cost, and where it
says that it comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from livejobs.web.guard import MOST_COOKIES, find_credential, host_name
from livejobs.web.http import takes
from tests.support.api import Socket
from tests.support.certificate import Certificate
from tests.support.keyed import ADMIN, KEYED, client, make_token
from tests.support.peer import Peer
from tests.support.server import Server

TICKS = os.sysconf("SC_CLK_TCK")
SIZE = 60_000
TOKENS = [f"token={n}" for n in range(SIZE // 22)]


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), env=KEYED) as server:
        yield server


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data")) as server:
        yield server


def ask(server: Server, line: str, *headers: str, host: str | None = None) -> int:
    """The status. Headers are as they are given: no client library would send some of them."""
    host = f"127.0.0.1:{server.port}" if host is None else host
    with Socket(server.url) as sock:
        sock.send("\r\n".join([f"{line} HTTP/1.1", f"host: {host}", *headers]), "\r\n\r\n")
        return sock.head()[0]


# What it costs


def cpu_seconds(server: Server) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def escaped(count: int) -> str:
    return 'livejobs_token="' + count * "\\0" + '"'


COSTLY = {
    "many tokens": ("GET /v1/jobs?" + SIZE // 2 * "&" + "&".join(TOKENS),),
    "one long token": ("GET /v1/jobs?token=" + SIZE // 3 * "%41",),
    "a token of three long parts": (f"GET /v1/jobs?token=e30.{SIZE * 'e'}.e",),
    "an escaped cookie": ("GET /v1/jobs", "cookie: " + escaped(SIZE // 2)),
    "many cookies": ("GET /v1/jobs", "cookie: " + SIZE // 4 * "a=b;"),
    "many cookie headers": ("GET /v1/jobs", *(SIZE // 13 * ["cookie: a=b"])),
    "many headers": ("GET /v1/jobs", *(SIZE // 5 * ["a:"])),  # each counts as 5 bytes or fewer
    "many hosts": ("GET /v1/jobs", *(SIZE // 9 * ["host: \\"])),
    "a long path": ("GET /v1/jobs/" + SIZE // 2 * "a/",),
    "a long query": ("GET /?" + SIZE // 3 * "a=&",),
    "a long Accept": ("GET /v1/jobs/j", "accept: " + SIZE // 2 * "a,"),
    "a long Upgrade": ("GET /v1/jobs", "connection: upgrade", "upgrade: " + SIZE // 2 * "a,"),
}


@pytest.mark.parametrize("what", COSTLY)
def test_a_request_without_a_credential_costs_little(closed: Server, what: str) -> None:
    before = cpu_seconds(closed)
    for _ in range(5):
        assert ask(closed, *COSTLY[what]) in (200, 401, 404, 421)
    assert cpu_seconds(closed) - before < 1  # they take 0.05, and took up to 25


def test_a_cookie_that_is_sent_once_and_named_often_costs_little(
    tmp_path: Path, certificate: Certificate
) -> None:
    flags = ["--host", "localhost", "--http2", *certificate.flags]
    cookies = 14 * [("cookie", escaped(1900))]
    with Server(tmp_path / "data", *flags, env=KEYED) as server, Peer(server, certificate) as peer:
        before = cpu_seconds(server)
        for _ in range(20):
            assert peer.answer(peer.request("GET", "/v1/jobs", more=cookies))[0] == 401
        assert cpu_seconds(server) - before < 1  # they take 0.01, and took 6


# Credentials


def cookie(*headers: bytes) -> str | None:
    return find_credential({"headers": [(b"cookie", header) for header in headers]})[0]


@pytest.mark.parametrize(
    "headers",
    [
        (b"livejobs_token=a.b-c_d",),
        (b'livejobs_token="a.b-c_d"',),
        (b"x=1; livejobs_token=a.b-c_d; y=2",),
        (b"x=1;livejobs_token=a.b-c_d",),
        (b"x=1", b"livejobs_token=a.b-c_d", b"y=2"),
        (b'x="[bad" ;; =; livejobs_token=a.b-c_d ',),
    ],
)
def test_a_token_is_found_among_cookies(headers: tuple[bytes, ...]) -> None:
    assert cookie(*headers) == "a.b-c_d"


@pytest.mark.parametrize(
    "header", [b"xlivejobs_token=a", b"x=livejobs_token=a", b"livejobs_token", b"livejobs_tokens=a"]
)
def test_a_cookie_of_another_name_is_no_token(header: bytes) -> None:
    assert cookie(header) is None


def test_only_so_many_cookies_are_looked_at() -> None:
    assert cookie((MOST_COOKIES - 1) * b"a=b;" + b"livejobs_token=a") == "a"
    assert cookie(MOST_COOKIES * b"a=b;" + b"livejobs_token=a") is None


# From where


@pytest.mark.parametrize(
    "origin",
    ["http://[", "http://]", "http://", "://", "null", "", "http://[::1", "http:127.0.0.1"],
)
def test_an_origin_that_is_none_is_a_foreign_one(opened: Server, origin: str) -> None:
    assert ask(opened, "POST /v1/jobs", f"origin: {origin}", "content-length: 0") == 403
    assert "Traceback" not in opened.stderr


def test_the_origin_of_this_server_is_no_foreign_one(opened: Server) -> None:
    for origin in (opened.url, opened.url.upper()):
        assert ask(opened, "POST /v1/jobs", f"origin: {origin}", "content-length: 0") == 201


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:80@evil", "[::1]x", "[::1]:80@evil", "[::1]]", "127.0.0.1:x", "localhost/evil",
     "evil@localhost", "localhost:80:80", "[::1", "::1]", "local host", "localhost:123456", ":80"],
)  # fmt: skip
def test_a_host_that_only_begins_like_ours_is_misdirected(opened: Server, host: str) -> None:
    assert ask(opened, "GET /healthz", host=host) == 421


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("LOCALHOST:8000", "localhost"),
        ("127.0.0.1:", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[::1]:80", "[::1]"),
        ("bücher.example", "bücher.example"),
        ("[x]", None),
        ("", None),
    ],
)
def test_the_name_of_a_host_is_without_its_port(host: str, name: str | None) -> None:
    assert host_name(host) == name


# What is accepted


@pytest.mark.parametrize(
    ("accept", "taken"),
    [
        ("text/event-stream", True),
        ("Text/Event-Stream;q=0.5", True),
        ("application/json, text/event-stream; charset=utf-8; q=1", True),
        ("text/event-stream;q=0.001", True),
        ("text/event-stream;q=0", False),
        ("text/event-stream; Q=0.000, application/json", False),
        ("text/event-streams", False),
        ("*/*", False),
        ("text/*", False),
        ("", False),
    ],
)
def test_a_type_is_taken_where_it_is_named_and_not_refused(accept: str, taken: bool) -> None:
    assert takes(accept, "text/event-stream") is taken


def test_a_stream_that_is_refused_does_not_begin(opened: Server) -> None:
    with client(opened, None) as anyone:
        anyone.put("/v1/jobs/j")
        for path in ("/v1/jobs/j", "/v1/jobs/j/logs"):
            answer = anyone.get(path, headers={"accept": "text/event-stream;q=0"})
            assert answer.headers["content-type"] == "application/json"


def test_a_foreign_page_begins_no_stream_by_capitals(closed: Server) -> None:
    with client(closed, ADMIN) as admin:
        admin.put("/v1/jobs/j")
        foreign = {"origin": "https://evil.example", "accept": "Text/Event-Stream"}
        cookies = {"cookie": f"livejobs_token={make_token(admin)}"}
    with client(closed, None) as page:
        assert page.get("/v1/jobs/j", headers=foreign | cookies).status_code == 403
