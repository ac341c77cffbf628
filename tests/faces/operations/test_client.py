"""The face `operations`, as google-api-core's own client sees it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

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

from livejobs.faces.operations import shape
from tests.faces.jobs import created
from tests.faces.operations.world import ADMIN, World, admin_of, client_of, name_of
from tests.faces.test_docs import BLOCKS
from tests.support.examples import examples
from tests.support.strategies import json_values

if TYPE_CHECKING:
    from google.api_core.operations_v1 import AbstractOperationsClient


def facts(operation: Operation) -> dict[str, Any]:
    found = Struct()
    assert operation.metadata.Unpack(found)
    told: dict[str, Any] = MessageToDict(found)
    return told


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
    from google.api_core import exceptions  # noqa: PLC0415 - slow, as in world.py

    id = world.api.create()
    with pytest.raises(exceptions.BadRequest):  # FAILED_PRECONDITION, by its status
        client.delete_operation(name=name_of(id))
    world.api.report(id, {"type": "succeed"})
    client.delete_operation(name=name_of(id))
    with pytest.raises(exceptions.NotFound):
        client.get_operation(name=name_of(id))
    assert world.api.get(f"/v1/jobs/{id}").status_code == 404


def test_refusals_are_exceptions_of_the_client(world: World) -> None:
    from google.api_core import exceptions  # noqa: PLC0415 - slow, as in world.py

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
