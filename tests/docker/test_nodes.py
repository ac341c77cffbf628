"""Several nodes behind the proxies of docker/. One is a server with PostgreSQL, one breaks off
every request, and one can't be reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

import httpx2
import pytest
from websockets.sync.client import connect as connect_websocket

from tests.docker.balanced import BALANCED, Balanced, BalancedNginx
from tests.docker.broken import Broken
from tests.interop.proxies import Events
from tests.support.api import problem
from tests.support.desk import eventually
from tests.support.postgres import Postgres
from tests.support.server import Server, hold_port

KEY: Final = "an-admin-key-that-no-log-may-show"
WITH_KEY: Final = {"x-api-key": KEY}
NAMES: Final = [kind.__name__ for kind in BALANCED]
LINE: Final = {"type": "log", "message": "x"}


class Front(NamedTuple):
    """A proxy, its broken node, and a client with the key."""

    proxy: Balanced
    broken: Broken
    http: httpx2.Client


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


@pytest.fixture(scope="module")
def node(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"LIVEJOBS_DATABASE": postgres.database("nodes"), "LIVEJOBS_ADMIN_KEY": KEY}
    with Server(tmp_path_factory.mktemp("node") / "data", env=settings) as running:
        yield running


@pytest.fixture(scope="module")
def fronts(node: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Front]]:
    home = tmp_path_factory.mktemp("fronts")
    with ExitStack() as stack:
        held = stack.enter_context(hold_port())  # nobody listens there
        begun = []
        for kind in BALANCED:
            broken = stack.enter_context(Broken())
            others = (broken.port, held.getsockname()[1])
            proxy = kind(node, home / kind.__name__, others=others)
            http = stack.enter_context(client(proxy))
            begun.append(Front(stack.enter_context(proxy), broken, http))
        yield {type(front.proxy).__name__: front for front in begun}


@pytest.fixture(params=NAMES)
def front(request: pytest.FixtureRequest, fronts: dict[str, Front]) -> Front:
    return fronts[request.param]


def client(proxy: Balanced, headers: Mapping[str, str] = WITH_KEY) -> httpx2.Client:
    """Each request has a connection of its own. On one that was used before, HAProxy answers 502 by
    closing it, so that the client repeats what may be repeated."""
    limits = httpx2.Limits(max_keepalive_connections=0)
    return httpx2.Client(base_url=proxy.url, headers=headers, limits=limits)


def job_of(front: Front, name: str) -> str:
    """A job of this proxy's: its path."""
    path = f"/v1/jobs/{name}-{type(front.proxy).__name__}"
    eventually(lambda: front.http.post("/v1/jobs", json={"id": path[9:]}).status_code in (201, 409))
    return path


def test_a_read_goes_to_another_node_if_one_breaks_off(front: Front) -> None:
    path = job_of(front, "read")

    def was_repeated() -> bool:
        assert front.http.get(path).status_code == 200
        return front.broken.saw("GET", path) > 0

    eventually(was_repeated)


def test_a_report_is_sent_to_one_node_only(front: Front) -> None:
    path, answers = job_of(front, "report"), Counter[int]()

    def both_have_answered() -> bool:
        answers[front.http.post(f"{path}/reports", json=LINE).status_code] += 1
        return answers[200] > 0 and answers[502] > 0

    eventually(both_have_answered)
    assert set(answers) == {200, 502}
    assert front.broken.saw("POST", path) == answers[502]
    assert front.http.get(path).json()["logs_total"] == answers[200]


def test_no_secret_is_in_the_log(front: Front) -> None:
    path = job_of(front, "log")
    token = {"token": token_for(front)}
    assert front.http.get(path, params=token).status_code == 200
    with connect_websocket(f"{front.proxy.ws_url}?token={token['token']}"):
        pass

    def has_failed() -> bool:  # proxies also log what failed
        return front.http.post(f"{path}/reports", json=LINE, params=token).status_code == 502

    eventually(has_failed)
    eventually(lambda: f"{path}/reports" in front.proxy.log)
    assert token["token"] not in front.proxy.log
    assert KEY not in front.proxy.log


def token_for(front: Front) -> str:
    tokens: list[str] = []

    def created() -> bool:  # a POST may meet the broken node
        answer = front.http.post("/v1/tokens", json={"scopes": ["report"]})
        tokens.extend([answer.json()["token"]] if answer.is_success else [])
        return bool(tokens)

    eventually(created)
    return tokens[0]


def test_a_node_that_is_not_ready_gets_no_requests(fronts: dict[str, Front]) -> None:
    for front in fronts.values():
        front.broken.ready = False
    for front in fronts.values():
        if not isinstance(front.proxy, BalancedNginx):  # nginx does not ask
            eventually(partial(is_left_out, front))
        front.broken.ready = True


def is_left_out(front: Front) -> bool:
    seen = len(front.broken.seen)
    for _ in range(20):
        assert front.http.get("/healthz").status_code == 200
    return len(front.broken.seen) == seen


def test_an_upload_continues_on_the_node_where_it_began(shared: Server, tmp_path: Path) -> None:
    """The two nodes share nothing, so another node would answer 404."""
    with ExitStack() as stack:
        other = stack.enter_context(Server(tmp_path / "other"))
        jobs = [f"upload-{n}" for n in range(6)]
        for server, job in product((shared, other), jobs):
            httpx2.put(f"{server.url}/v1/jobs/{job}").raise_for_status()
        for kind in BALANCED:
            home = tmp_path / kind.__name__
            proxy = stack.enter_context(kind(shared, home, others=(other.port, other.port)))
            http = stack.enter_context(client(proxy, {"tus-resumable": "1.0.0"}))
            assert all(continues(http, job) for job in jobs)


def continues(http: httpx2.Client, job: str) -> bool:
    begun = http.post(
        f"/v1/jobs/{job}/uploads",
        headers={"upload-length": "9", "upload-metadata": "filename Yg=="},
    )
    return all(http.head(begun.headers["location"]).status_code == 200 for _ in range(3))


def test_without_the_database_polls_and_streams_continue(
    postgres: Postgres,
    node: Server,
    fronts: dict[str, Front],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Then no node is ready. All three nodes are the same one here."""
    home = tmp_path_factory.mktemp("away")
    with ExitStack() as stack:
        proxies = [stack.enter_context(kind(node, home / kind.__name__)) for kind in BALANCED]
        clients = [stack.enter_context(client(proxy)) for proxy in proxies]
        clients[0].post("/v1/jobs", json={"id": "away"}).raise_for_status()
        postgres.kill()
        try:
            eventually(lambda: not is_taken(clients[0]))  # the server notices by a report
            eventually(lambda: httpx2.get(f"{node.url}/readyz").status_code == 503)
            for proxy, http in zip(proxies, clients, strict=True):
                eventually(partial(polls, proxy, http))
                problem(report(http), 503, "storage_unavailable")
                with Events(f"{proxy.url}/v1/jobs/away/events", WITH_KEY) as events:
                    assert events.next()[1]["id"] == "away"
        finally:
            postgres.start()
        for http in clients:
            eventually(partial(is_taken, http))


def report(http: httpx2.Client) -> httpx2.Response:
    return http.post("/v1/jobs/away/reports", json=LINE)


def is_taken(http: httpx2.Client) -> bool:
    return report(http).status_code == 200


def polls(proxy: Balanced, http: httpx2.Client) -> bool:
    """Poll; whether the proxy knows by now that no node is ready."""
    assert http.get("/v1/jobs/away").status_code == 200
    return proxy.noticed in proxy.log
