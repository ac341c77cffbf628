"""The official A2A clients, of Python and JavaScript, against a real server. Each plays the worker
too: every report follows the event before it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import httpx
import pytest
from a2a.types import (
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    Task,
    TaskPushNotificationConfig,
    TaskState,
)
from a2a.utils.errors import (
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
    VersionNotSupportedError,
)
from a2a.utils.proto_utils import validate_proto_required_fields
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]  # it has no types
from google.protobuf.struct_pb2 import Value  # type: ignore[import-untyped]  # it has no types

from tests.support.needs import need
from tests.support.receiver import Receiver
from tests.support.server import LONG_ENOUGH, Server

if TYPE_CHECKING:
    from a2a.client import Client

HERE: Final = Path(__file__).parent
ADMIN: Final = "the-first-admin-key"
SETTINGS: Final = ("--faces", "a2a", "--webhook-allow-private", "127.0.0.1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("a2a") / "data"
    with Server(data, *SETTINGS, env={"LIVEJOBS_ADMIN_KEY": ADMIN}) as running:
        yield running


@pytest.fixture
def project(request: pytest.FixtureRequest) -> str:
    """A project of the test alone."""
    return f"p{crc32(request.node.name.encode())}"


@pytest.fixture
def key(server: Server, project: str) -> str:
    """Of a worker: it creates, reports, answers and cancels."""
    body = {"name": project, "scopes": ["report"], "projects": [project]}
    headers = {"x-api-key": ADMIN}
    return str(httpx.post(f"{server.url}/v1/keys", json=body, headers=headers).json()["key"])


@pytest.fixture
async def http(server: Server, key: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(
        base_url=server.url, headers=headers, timeout=LONG_ENOUGH
    ) as client:
        yield client


@pytest.fixture
async def client(server: Server, http: httpx.AsyncClient) -> Client:
    # Not for each process of the tests: this import takes a third of a second.
    from a2a.client import ClientConfig, create_client  # noqa: PLC0415

    config = ClientConfig(httpx_client=http, supported_protocol_bindings=["HTTP+JSON"])
    return await create_client(server.url, config)


def message(id: str, *parts: Part, **more: Any) -> SendMessageRequest:
    made = Message(message_id=id, role=Role.ROLE_USER, parts=parts, **more)
    return SendMessageRequest(
        message=made, configuration=SendMessageConfiguration(return_immediately=True)
    )


def data(value: Any) -> Part:
    return Part(data=ParseDict(value, Value()))


async def report(http: httpx.AsyncClient, id: str, **body: Any) -> None:
    (await http.post(f"/v1/jobs/{id}/reports", json=body)).raise_for_status()


def seen_in(response: StreamResponse) -> str:
    """The artifact that came, or the state of the task."""
    validate_proto_required_fields(response)
    kind = response.WhichOneof("payload")
    if kind == "artifact_update":
        return str(response.artifact_update.artifact.artifact_id)
    assert kind in ("task", "status_update")
    return str(TaskState.Name(getattr(response, kind).status.state))


async def follow(
    stream: AsyncIterator[StreamResponse], react: Callable[[int], Awaitable[None]]
) -> list[str]:
    seen: list[str] = []
    async for response in stream:
        seen.append(seen_in(response))
        await react(len(seen))
    return seen


FIRST: Final = [
    "TASK_STATE_SUBMITTED", "TASK_STATE_WORKING", "results/1", "TASK_STATE_INPUT_REQUIRED",
]  # fmt: skip
SECOND: Final = ["TASK_STATE_WORKING", "TASK_STATE_WORKING", "TASK_STATE_CANCELED"]


async def test_the_python_client_follows_answers_and_cancels(
    client: Client, http: httpx.AsyncClient, project: str
) -> None:
    parts = (Part(text="Teaser"), data({"type": "render", "meta": {"scene": 4}}))
    id = ""

    async def work(n: int) -> None:
        nonlocal id
        if n == 1:
            listed = await client.list_tasks(ListTasksRequest())
            id = listed.tasks[0].id
        steps: dict[int, dict[str, Any]] = {
            1: {"type": "progress", "percent": 50},
            2: {"type": "result", "value": {"frames": 7}},
            3: {"type": "ask", "prompt": "Publish?", "schema": {"type": "boolean"}},
        }
        if n in steps:
            await report(http, id, **steps[n])

    assert await follow(client.send_message(message("m-py", *parts)), work) == FIRST
    answered = await first(client.send_message(message("a", Part(text="true"), task_id=id)))
    assert seen_in(answered) == "TASK_STATE_WORKING"
    task = await client.get_task(GetTaskRequest(id=id, history_length=3))
    validate_proto_required_fields(task)
    assert (task.context_id, task.metadata["title"], task.metadata["percent"]) == (
        project, "Teaser", 50,
    )  # fmt: skip
    assert task.metadata["meta"]["scene"] == 4
    assert [it.artifact_id for it in task.artifacts] == ["results/1"]
    assert task.artifacts[0].parts[0].data.struct_value["frames"] == 7


async def begun(client: Client, id: str) -> Task:
    """A task of its own."""
    return (await first(client.send_message(message(id, Part(text=id))))).task


async def first(stream: AsyncIterator[StreamResponse]) -> StreamResponse:
    """The first event. Then the client disconnects."""
    response = await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    return response


async def test_the_python_client_cancels_and_is_told_what_can_not_be(
    client: Client, http: httpx.AsyncClient
) -> None:
    id = (await begun(client, "m-cancel")).id
    await report(http, id, type="start")

    async def cancel(n: int) -> None:
        if n == 1:
            task = await client.cancel_task(CancelTaskRequest(id=id))
            assert task.metadata["cancelRequested"]
        if n == 2:
            await report(http, id, type="cancelled")

    stream = client.subscribe(SubscribeToTaskRequest(id=id))
    assert await follow(stream, cancel) == SECOND
    with pytest.raises(TaskNotCancelableError):
        await client.cancel_task(CancelTaskRequest(id=id))
    with pytest.raises(UnsupportedOperationError):
        await anext(aiter(client.subscribe(SubscribeToTaskRequest(id=id))))
    with pytest.raises(TaskNotFoundError):
        await client.get_task(GetTaskRequest(id="none"))
    http.headers["a2a-version"] = "0.3"
    with pytest.raises(VersionNotSupportedError):
        await client.get_task(GetTaskRequest(id=id))


async def test_the_python_client_sends_changes_to_a_receiver(
    client: Client, http: httpx.AsyncClient
) -> None:
    id = (await begun(client, "m-push")).id
    with Receiver() as receiver:
        config = TaskPushNotificationConfig(task_id=id, url=f"{receiver.url}/in", token="t0k")
        config.authentication.scheme, config.authentication.credentials = "Bearer", "secret"
        made = await client.create_task_push_notification_config(config)
        assert (made.task_id, made.token, made.authentication.credentials) == (id, "t0k", "secret")
        await report(http, id, type="progress", percent=50)
        await report(http, id, type="succeed", result=7)
        got = receiver.until(lambda got: len(got) == 2)
        read = [ParseDict(it.json, StreamResponse()) for it in got]
        assert [seen_in(it) for it in read] == ["TASK_STATE_WORKING", "TASK_STATE_COMPLETED"]
        assert {it.headers["authorization"] for it in got} == {"Bearer secret"}
        assert {it.headers["x-a2a-notification-token"] for it in got} == {"t0k"}
    name = {"task_id": id, "id": made.id}
    shown = await client.get_task_push_notification_config(
        GetTaskPushNotificationConfigRequest(**name)
    )
    assert (shown.url, shown.token, shown.authentication.scheme) == (made.url, "", "Bearer")
    every = ListTaskPushNotificationConfigsRequest(task_id=id)
    listed = await client.list_task_push_notification_configs(every)
    assert [it.id for it in listed.configs] == [made.id]
    for _ in range(2):  # it may be gone already
        await client.delete_task_push_notification_config(
            DeleteTaskPushNotificationConfigRequest(**name)
        )
    assert not (await client.list_task_push_notification_configs(every)).configs


async def test_the_python_client_reads_any_text(client: Client, http: httpx.AsyncClient) -> None:
    odd = "a\u2028b\u2029c\x85d\x0b\x1c\x1e\r\n\ndata: {}\n\nevent: error\x00\u202e\U0001f600"
    id = (await begun(client, "m-odd")).id

    async def tell(n: int) -> None:
        if n == 1:
            await report(http, id, type="progress", message=odd)
        if n == 2:
            await report(http, id, type="fail", message=odd)

    texts = []
    async for response in client.subscribe(SubscribeToTaskRequest(id=id)):
        kind = response.WhichOneof("payload")
        texts += [it.text for it in getattr(response, kind).status.message.parts]
        await tell(len(texts) + 1)
    assert texts == [odd, odd]


async def test_the_card_is_valid_and_needs_no_credential(server: Server) -> None:
    from a2a.client.card_resolver import A2ACardResolver  # noqa: PLC0415 - as above

    async with httpx.AsyncClient(timeout=LONG_ENOUGH) as http:
        card = await A2ACardResolver(http, server.url).get_agent_card()
    validate_proto_required_fields(card)
    (interface,) = card.supported_interfaces
    assert (interface.url, interface.protocol_version) == (f"{server.url}/a2a", "1.0")
    assert card.security_schemes["key"].http_auth_security_scheme.scheme == "Bearer"
    assert "key" in card.security_requirements[0].schemes


def test_the_javascript_client_does_the_same(server: Server, key: str, project: str) -> None:
    need(shutil.which("node"), "node is not installed")
    with Receiver() as receiver:
        done = subprocess.run(
            ["node", "clients/a2a.mjs", server.url, key, f"{receiver.url}/in"],
            cwd=HERE, capture_output=True, text=True, check=False, timeout=LONG_ENOUGH,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        got = receiver.until(lambda got: len(got) >= 2)  # it removes the config at the end
    seen = json.loads(done.stdout)
    assert seen.pop("card")["supportedInterfaces"][0]["protocolBinding"] == "HTTP+JSON"
    assert seen == {
        "same": True,
        "config": "mine",
        "first": FIRST,
        "answered": "TASK_STATE_WORKING",
        "task": [project, "Teaser", 50, 1],
        "listed": [[True], 1],
        "configs": ["mine"],
        "second": SECOND,
        "notCancelable": "RestTaskNotCancelableError",
        "over": "RestUnsupportedOperationError",
        "missing": "RestTaskNotFoundError",
        "after": 0,
    }
    assert [it.json["statusUpdate"]["status"]["state"] for it in got[:2]] == [FIRST[1], FIRST[3]]
