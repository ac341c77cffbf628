"""The face `operations`, as google-api-core's own client sees it, and what it refuses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2 as httpx
import pytest
from google.longrunning.operations_pb2 import (  # type: ignore[import-untyped]  # it has no types
    Operation,
)
from google.protobuf.json_format import (  # type: ignore[import-untyped]  # it has no types
    MessageToDict,
    ParseDict,
)
from google.protobuf.struct_pb2 import Struct, Value  # type: ignore[import-untyped]  # it has no types
from hypothesis import given, settings

from livejobs.faces.operations import WaitOperation, filters_of, seconds_of, shape
from tests.faces.jobs import created
from tests.faces.test_docs import BLOCKS
from tests.support.api import PROBLEM, Api
from tests.support.examples import examples
from tests.support.server import Server
from tests.support.strategies import json_values

if TYPE_CHECKING:
    from google.api_core.operations_v1 import AbstractOperationsClient

ADMIN = "the-first-admin-key"
ALL = "/operations/v1/projects/default/operations"


class World(NamedTuple):
    api: Api  # as admin
    other: str  # a key for another project
    viewer: str


def admin_of(url: str) -> Api:
    api = Api(url)
    api.headers["x-api-key"] = ADMIN
    return api


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    environment = {"LIVEJOBS_ADMIN_KEY": ADMIN, "LIVEJOBS_FACES": "operations"}
    with (
        Server(tmp_path_factory.mktemp("data"), env=environment) as server,
        admin_of(server.url) as api,
    ):
        keys = []
        for project, scope in (("other", "admin"), ("default", "view")):
            asked = {"name": project, "scopes": [scope], "projects": [project]}
            keys.append(api.post("/v1/keys", json=asked).json()["key"])
        yield World(api, *keys)


def client_of(world: World, key: str = ADMIN) -> AbstractOperationsClient:
    # Not for each process of the tests: this import takes half a second.
    from google.api_core import operations_v1  # noqa: PLC0415
    from google.oauth2.credentials import Credentials  # noqa: PLC0415

    return operations_v1.AbstractOperationsClient(
        transport=operations_v1.OperationsRestTransport(
            host=world.api.url,
            path_prefix="operations/v1",
            credentials=Credentials(key),  # type: ignore[no-untyped-call]
        )
    )


@pytest.fixture(scope="module")
def client(world: World) -> AbstractOperationsClient:
    return client_of(world)


def name_of(id: str, project: str = "default") -> str:
    return f"projects/{project}/operations/{id}"


def facts(operation: Operation) -> dict[str, Any]:
    found = Struct()
    assert operation.metadata.Unpack(found)
    told: dict[str, Any] = MessageToDict(found)
    return told


# Google's client


def test_a_job_is_polled_to_its_end(world: World, client: AbstractOperationsClient) -> None:
    id = world.api.create(type="render", title="Teaser", total=10)

    def work() -> None:
        with admin_of(world.api.url) as api:
            for n in range(1, 11):
                api.report(id, {"type": "progress", "current": n})
            api.report(id, {"type": "succeed", "result": {"frames": 10, "ok": True}})

    world.api.report(id, {"type": "start"})
    worker = threading.Thread(target=work)
    worker.start()
    seen = [client.get_operation(name=name_of(id))]
    while not seen[-1].done:
        seen.append(client.get_operation(name=name_of(id)))
    worker.join()
    assert {it.name for it in seen} == {name_of(id)}
    percents = [facts(it)["percent"] for it in seen]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    result = Value()
    assert seen[-1].response.Unpack(result)
    assert MessageToDict(result) == {"frames": 10, "ok": True}
    native = world.api.job(id)
    for fact in ("type", "title", "owner", "status", "created_at", "started_at", "completed_at"):
        assert facts(seen[-1])[fact] == native[fact]


def test_the_lines_of_the_docs_poll_a_job(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    id = world.api.create()
    code = next(it for it in BLOCKS if "AbstractOperationsClient" in it)
    for word, ours in (("http://127.0.0.1:8000", world.api.url), ("KEY", ADMIN), ("JOB", id)):
        code = code.replace(word, ours)
    for ended in (False, True):
        if ended:
            world.api.report(id, {"type": "succeed"})
        exec(compile(code, "docs/faces.md", "exec", dont_inherit=True), {})
        assert capsys.readouterr().out == f"{ended}\n"


@pytest.mark.parametrize(
    ("end", "code", "message"),
    [
        ({"type": "fail", "message": "The disk is full"}, 2, "The disk is full"),
        ({"type": "fail", "message": ""}, 2, ""),
        ({"type": "cancelled"}, 1, "Cancelled"),
    ],
)
def test_a_bad_end_is_an_error(
    world: World, client: AbstractOperationsClient, end: dict[str, Any], code: int, message: str
) -> None:
    id = world.api.create()
    world.api.report(id, {"type": "start"}, end)
    ended = client.get_operation(name=name_of(id))
    assert ended.done
    assert (ended.error.code, ended.error.message) == (code, message)
    assert ended.WhichOneof("result") == "error"


def test_a_lost_job_has_passed_its_deadline() -> None:
    lost = created().later(1, {"type": "fail", "message": "lost", "code": "lost"})
    assert lost.seen(shape)["error"] == {"code": 4, "message": "lost"}


def test_all_pages_of_a_list_are_read(world: World, client: AbstractOperationsClient) -> None:
    ids = [world.api.create(type="paged") for _ in range(5)]
    world.api.report(ids[2], {"type": "succeed"})
    found = client.list_operations(
        name="projects/default", filter_='metadata.type="paged"', page_size=2
    )
    assert [it.name for it in found] == [name_of(id) for id in reversed(ids)]
    done = client.list_operations(
        name="projects/default", filter_="done=true AND metadata.type=paged"
    )
    assert [it.name for it in done] == [name_of(ids[2])]


def test_a_job_is_cancelled_and_that_is_no_error_later(
    world: World, client: AbstractOperationsClient
) -> None:
    queued, running = world.api.create(), world.api.create()
    world.api.report(running, {"type": "start"})
    for id in (queued, running, queued):
        client.cancel_operation(name=name_of(id))
    assert client.get_operation(name=name_of(queued)).error.code == 1
    seen = client.get_operation(name=name_of(running))
    assert (seen.done, facts(seen)["cancel_requested"]) == (False, True)


def test_an_operation_is_deleted_once_it_is_done(
    world: World, client: AbstractOperationsClient
) -> None:
    from google.api_core import exceptions  # noqa: PLC0415 - as above

    id = world.api.create()
    with pytest.raises(exceptions.BadRequest):  # FAILED_PRECONDITION, by its status
        client.delete_operation(name=name_of(id))
    world.api.report(id, {"type": "succeed"})
    client.delete_operation(name=name_of(id))
    with pytest.raises(exceptions.NotFound):
        client.get_operation(name=name_of(id))
    assert world.api.get(f"/v1/jobs/{id}").status_code == 404


def test_refusals_are_exceptions_of_the_client(world: World) -> None:
    from google.api_core import exceptions  # noqa: PLC0415 - as above

    id = world.api.create()
    with pytest.raises(exceptions.NotFound):
        client_of(world, world.other).get_operation(name=name_of(id))
    with pytest.raises(exceptions.Forbidden) as caught:
        client_of(world, world.viewer).cancel_operation(name=name_of(id))
    assert "scope" in str(caught.value)
    with pytest.raises(exceptions.Forbidden):
        client_of(world, world.other).list_operations(name="projects/default")


@settings(max_examples=examples(50))
@given(json_values)
def test_every_result_is_a_value_that_clients_parse(result: Any) -> None:
    job = created(meta={}).later(1, {"type": "succeed", "result": result})
    parsed = ParseDict(job.seen(shape), Operation())
    value = Value()
    assert parsed.response.Unpack(value)


# What the server refuses, and how


def error(answer: httpx.Response, status: int, word: str, reason: str) -> str:
    """The sentence of an error, once all else about it is as it must be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    (told,) = answer.json().values()
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "livejobs",
    }
    assert told.pop("details") == [info]
    sentence = told.pop("message")
    assert told == {"code": status, "status": word}
    assert sentence
    return str(sentence)


def test_another_projects_job_and_no_job_are_the_same(world: World) -> None:
    id = world.api.create()
    for path in (f"{ALL}/none", ALL.replace("default", "other") + f"/{id}"):
        error(world.api.get(path), 404, "NOT_FOUND", "JOB_NOT_FOUND")
    for method, verb in (("GET", ""), ("POST", ":cancel"), ("POST", ":wait"), ("DELETE", "")):
        for path in (f"{ALL}/{id}", ALL.replace("default", "other") + f"/{id}"):
            answer = world.api.request(method, path + verb, headers={"x-api-key": world.other})
            error(answer, 404, "NOT_FOUND", "JOB_NOT_FOUND")
    assert not world.api.job(id)["cancel_requested"]


def test_nobody_in_particular_is_401(world: World) -> None:
    for key in ("", "lj_none"):
        answer = httpx.get(f"{world.api.url}{ALL}", headers={"x-api-key": key} if key else {})
        assert answer.headers["www-authenticate"].startswith("Bearer")
        error(answer, 401, "UNAUTHENTICATED", "BAD_CREDENTIAL" if key else "UNAUTHORIZED")


def test_an_address_below_the_prefix_that_is_none_is_404_in_its_shape(world: World) -> None:
    for path in ("/operations", "/operations/", "/operations/v1", ALL + "/", ALL + "/a/b"):
        error(world.api.get(path), 404, "NOT_FOUND", "NOT_FOUND")
    assert "error" not in world.api.get("/operationsx").json()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", ALL, "GET, HEAD"),
        ("PUT", f"{ALL}/x", "GET, HEAD, DELETE"),
        ("PUT", f"{ALL}/x:cancel", "POST"),
        ("POST", f"{ALL}/x:pause", "GET, HEAD, DELETE"),
    ],
)
def test_a_wrong_method_is_405_with_those_there_are(
    world: World, method: str, path: str, allowed: str
) -> None:
    answer = world.api.request(method, path)
    assert answer.headers["allow"] == allowed
    error(answer, 405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED")


def test_an_id_may_end_like_a_verb(world: World) -> None:
    id = world.api.create(id="a:cancel", type="verbs")
    assert world.api.get(f"{ALL}/{id}").json()["name"] == name_of(id)
    assert world.api.post(f"{ALL}/{id}:cancel").json() == {}
    assert world.api.job(id)["status"] == "cancelled"
    assert world.api.delete(f"{ALL}/{id}").json() == {}


def test_a_state_that_is_known_is_not_sent_again(world: World) -> None:
    id = world.api.create()
    for query in ("", "?alt=json"):
        tag = world.api.get(f"{ALL}/{id}{query}").headers["etag"]
        again = world.api.get(f"{ALL}/{id}{query}", headers={"if-none-match": tag})
        assert (again.status_code, again.content) == (304, b"")
    assert world.api.head(f"{ALL}/{id}").headers["etag"] == tag
    world.api.report(id, {"type": "start"})
    assert world.api.get(f"{ALL}/{id}", headers={"if-none-match": tag}).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "pageSize=-1", "pageSize=x", "pageSize=1.5", f"pageSize={'9' * 99}", "pageToken=x",
        "pageToken=x.1", "filter=x", "filter=done", "filter=done=maybe", "filter=owner=me",
        "filter=done=true OR done=false", "filter=done=true AND", "filter=metadata.status=done",
        'filter=metadata.type="x', "filter=(done=true)", "filter=NOT done=true", "filter=%00",
    ],
)  # fmt: skip
def test_a_list_refuses_what_it_does_not_understand(world: World, query: str) -> None:
    error(world.api.get(f"{ALL}?{query}"), 400, "INVALID_ARGUMENT", "BAD_ARGUMENT")


def test_a_page_has_at_most_what_it_may(world: World) -> None:
    for _ in range(3):
        world.api.create(type="few")
    few = "filter=metadata.type=few"
    page = world.api.get(f"{ALL}?{few}&pageSize=2").json()
    assert len(page["operations"]) == 2
    rest = world.api.get(f"{ALL}?{few}&pageSize=2&pageToken={page['nextPageToken']}").json()
    assert (len(rest["operations"]), rest["nextPageToken"]) == (1, "")
    for size in ("", "0", "5000"):
        assert len(world.api.get(f"{ALL}?{few}&pageSize={size}").json()["operations"]) == 3
    nothing = world.api.get(f"{ALL}?{few} AND done=true AND metadata.status=queued").json()
    assert nothing == {"operations": [], "nextPageToken": ""}


@pytest.mark.parametrize(
    ("text", "filters"),
    [
        ("", {}),
        (" ", {}),
        ("done = false", {"statuses": ("queued", "running")}),
        ("metadata.status:failed", {"statuses": ("failed",)}),
        (
            'metadata.type="a \\"b\\" AND c" AND metadata.tags:x',
            {"type": 'a "b" AND c', "tag": "x"},
        ),
        ("metadata.owner=key:ci AND metadata.owner=key:ci", {"owner": "key:ci"}),
        ("metadata.owner=a AND metadata.owner=b", None),
        ("done=true AND done=false", None),
    ],
)
def test_a_filter_is_terms_that_all_hold(text: str, filters: dict[str, Any] | None) -> None:
    assert filters_of(text) == filters


def test_a_token_for_one_job_sees_no_other(world: World) -> None:
    mine, other = world.api.create(), world.api.create()
    token = world.api.post("/v1/tokens", json={"jobs": [mine]}).json()["token"]
    with httpx.Client(base_url=world.api.url, headers={"x-api-key": token}) as http:
        page = http.get(f"{ALL}?pageSize=1").json()
        assert [it["name"] for it in page["operations"]] == [name_of(mine)]
        assert page["nextPageToken"] == ""
        assert http.get(f"{ALL}/{mine}").status_code == 200
        for answer in (http.get(f"{ALL}/{other}"), http.post(f"{ALL}/{other}:wait")):
            error(answer, 404, "NOT_FOUND", "JOB_NOT_FOUND")
        error(http.post(f"{ALL}/{mine}:cancel"), 403, "PERMISSION_DENIED", "MISSING_SCOPE")


# Waiting


def test_a_wait_is_over_when_the_operation_is(world: World) -> None:
    id = world.api.create()
    world.api.report(id, {"type": "start"})

    def finish() -> None:
        with admin_of(world.api.url) as api:
            api.report(id, {"type": "succeed", "result": 7})

    worker = threading.Thread(target=finish)
    worker.start()
    told = world.api.post(f"{ALL}/{id}:wait", json={"timeout": "60s"}).json()
    worker.join()
    assert (told["done"], told["response"]["value"]) == (True, 7)


def test_a_wait_that_is_over_too_early_shows_what_there_is(world: World) -> None:
    id = world.api.create()
    for timeout in ("0s", "0.01s"):
        told = world.api.post(f"{ALL}/{id}:wait", json={"timeout": timeout}).json()
        assert (told["name"], told["done"]) == (name_of(id), False)


def test_a_wait_has_a_longest() -> None:
    assert [seconds_of(WaitOperation(it)) for it in (None, "1.5s", "100000s")] == [30, 1.5, 60]


BODIES = [
    b"{", b"[]", b"7", b"\xff", b"[" * 10**5, b'{"timeout": 5}', b'{"timeout": "5"}',
    b'{"timeout": "-1s"}', b'{"timeout": "1m"}', b'{"timeout": "NaNs"}', b'{"timeout": NaN}',
    b'{"timeout": "1e3s"}', b'{"timeout": "\xd9\xa1s"}',
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=lambda it: str(it[:24]))
def test_a_wait_takes_nothing_but_seconds(world: World, body: bytes) -> None:
    id = world.api.create()
    answer = world.api.post(
        f"{ALL}/{id}:wait", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"


def test_a_cancel_needs_no_body_and_takes_no_other_type(world: World) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    id = world.api.create()
    refused = world.api.post(f"{ALL}/{id}:cancel", content=b"a=b", headers=form)
    error(refused, 415, "INVALID_ARGUMENT", "UNSUPPORTED_MEDIA_TYPE")
    assert world.api.job(id)["status"] == "queued"
    large = world.api.post(f"{ALL}/{id}:cancel", json={"a": "x" * (1 << 20)})
    error(large, 413, "INVALID_ARGUMENT", "BODY_TOO_LARGE")
    assert world.api.post(f"{ALL}/{id}:cancel", content=b"", headers=form).json() == {}
    assert world.api.job(id)["status"] == "cancelled"


def test_it_is_off_unless_it_is_named(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        answer = httpx.get(server.url + ALL)
        assert "/operations" not in httpx.get(server.url + "/openapi.json").text
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)
