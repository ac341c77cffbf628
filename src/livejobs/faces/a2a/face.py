"""A2A 1.0 over HTTP and JSON: jobs as tasks, for agents of any maker."""

from __future__ import annotations

from typing import Any, Final, TypedDict

from starlette.responses import Response

from livejobs.core.errors import Conflict, Invalid, UnsupportedMediaType
from livejobs.core.model import Head
from livejobs.core.questions import check_answer
from livejobs.core.reducer import open_question
from livejobs.faces.a2a import card, errors, listing, pushes, tasks
from livejobs.faces.a2a.errors import NotCancelable, Unsupported, VersionNotSupported
from livejobs.faces.a2a.messages import SendMessageRequest, SentMessage, answer_in, key_of, new_job
from livejobs.faces.a2a.pushes import PushConfig
from livejobs.faces.a2a.streams import asks_or_over, event, form_of
from livejobs.faces.base import JSON, Call, Face, Way, everybody
from livejobs.faces.given import Around
from livejobs.hooks import a2a
from livejobs.jobs.state import Slot
from livejobs.web.documents.parameters import Parameter

WAIT: Final = 60.0  # seconds; proxies cut what is silent for longer


# Messages


async def send(call: Call) -> Response:
    sent = await call.body(SendMessageRequest)
    slot = await _taken(call, sent)
    if not (sent.configuration and sent.configuration.return_immediately):
        await call.until(slot, asks_or_over, WAIT)
    return call.json({"task": await call.seen(slot, tasks.shape, tasks.NEEDS)})


async def stream(call: Call) -> Response:
    sent = await call.body(SendMessageRequest)
    return await _follow(call, await _taken(call, sent))


async def _taken(call: Call, sent: SendMessageRequest) -> Slot:
    """The job that a message begins, or whose question it answers."""
    message = sent.message
    if not message.task_id:
        slot, _ = await call.create(new_job(sent), key_of(message))
        return slot
    slot = await call.job(message.task_id)
    if message.context_id and message.context_id != slot.head.project:
        raise Invalid.at("/message/contextId", "The task is in another context.")
    push = sent.configuration and sent.configuration.task_push_notification_config
    repeated = _answered(slot.head, message, call.by.name)
    question = slot.head.replied if repeated else open_question(slot.head, None)
    assert question is not None, "what was answered is kept with its answer"
    answer = answer_in(message, question)
    if push:
        check_answer(answer, question.schema)  # a message that is refused leaves nothing behind
        await pushes.attach(call, slot, push, push.id or pushes.NAME)
    return slot if repeated else await call.answer(slot, answer, question.n)


def _answered(head: Head, message: SentMessage, by: str) -> bool:
    """Whether the client sends an answer again that the server has."""
    answer, question = head.answer, head.replied
    if answer is None or question is None or answer.by != by:
        return False
    return bool(answer_in(message, question) == answer.value)


# Tasks


async def show(call: Call) -> Response:
    """For a request with a query, of which nothing changes the answer: a job has no history."""
    return call.json(await call.seen(await call.job(), tasks.shape, tasks.NEEDS))


async def cancel(call: Call) -> Response:
    slot = await call.job()
    await call.body(dict, {})  # its metadata means nothing here
    try:
        slot = await call.cancel(slot)
    except Conflict as error:
        raise NotCancelable(error.detail) from None
    return call.json(await call.seen(slot, tasks.shape, tasks.NEEDS))


async def subscribe(call: Call) -> Response:
    slot = await call.job()
    if slot.head.finished:
        raise Unsupported(f"Task {slot.head.id!r} is over. Get it instead.")
    return await _follow(call, slot)


async def _follow(call: Call, slot: Slot) -> Response:
    def shape(head: Head, around: Around) -> tuple[int, a2a.Task]:
        return slot.seq, tasks.shape(head, around)

    seq, task = await call.seen(slot, shape, tasks.NEEDS)
    form = form_of(call.live.settings.public_url or "", asks=slot.head.waiting is not None)
    return call.follow(slot, form, seq, event({"task": task}))


async def extended(call: Call) -> Response:
    raise Unsupported("There is no extended card.")


# For the OpenAPI document


class SendMessageResponse(TypedDict):
    task: a2a.Task


class ListTasksResponse(TypedDict):
    tasks: list[a2a.Task]
    nextPageToken: str
    pageSize: int
    totalSize: int


TASK: Final[a2a.Task] = {
    "id": "0199c1a2-7b1e-7c3d-9a55-2f6e8d4b1c90",
    "contextId": "default",
    "status": {
        "state": "TASK_STATE_WORKING",
        "timestamp": "2026-01-02T03:04:05.678Z",
        "message": {
            "messageId": "1767323045678-1a2b3c4d",
            "contextId": "default",
            "taskId": "0199c1a2-7b1e-7c3d-9a55-2f6e8d4b1c90",
            "role": "ROLE_AGENT",
            "parts": [{"text": "42 % · 420 of 1000 frames"}],
        },
    },
    "artifacts": [
        {
            "artifactId": "results/1",
            "name": "Result 1",
            "parts": [{"data": {"scene": 4}, "mediaType": "application/json"}],
        }
    ],
    "metadata": {"title": "Teaser", "type": "render", "percent": 42, "attempt": 1},
}
MESSAGE: Final = {
    "message": {
        "messageId": "m-1",
        "role": "ROLE_USER",
        "parts": [{"text": "Teaser"}, {"data": {"type": "render", "meta": {"scene": 4}}}],
    },
    "configuration": {"returnImmediately": True},
}
CONFIG: Final = {
    "id": "mine",
    "taskId": "0199c1a2-7b1e-7c3d-9a55-2f6e8d4b1c90",
    "url": "https://agent.example/notifications",
}
VERSION: Final = Parameter(
    "A2A-Version", {"enum": [errors.VERSION]}, "The protocol's version. Needed.", "header"
)
OLD: Final = VersionNotSupported(
    "This server speaks A2A 1.0, and this request came with version '0.3'. Send 'A2A-Version: 1.0'."
)
WRONG: Final = Invalid("Expected `str`, got `int`")
OF_MESSAGES: Final = (
    OLD, WRONG,
    Unsupported("Job 'JOB' does not wait for an answer. Its status is 'running'."),
    UnsupportedMediaType("A part has text or data."),
)  # fmt: skip


def _way(path: str, summary: str, handler: Any, **more: Any) -> Way:
    query = (*more.pop("query", ()), VERSION)
    more = {"refuses": (OLD,), "query": query, **more}
    return Way(f"{card.PREFIX}{path}", summary, handler=handler, **more)


def _messages(path: str, summary: str, handler: Any, **more: Any) -> Way:
    return _way(
        path, summary, handler, method="POST", action="cancel",
        takes=SendMessageRequest, takes_example=MESSAGE, refuses=OF_MESSAGES, **more,
    )  # fmt: skip


def _follows(method: str) -> Way:
    return _way(
        "/tasks/{id}:subscribe", "Follow a task", subscribe, method=method,
        stream=form_of("", asks=False), refuses=(OLD, Unsupported("Task 'JOB' is over.")),
    )  # fmt: skip


def _config(path: str, summary: str, handler: Any, **more: Any) -> Way:
    path = f"/tasks/{{id}}/pushNotificationConfigs{path}"
    return _way(path, summary, handler, **{"action": "create", "returns": dict[str, Any], **more})


FACE: Final = Face(
    name="a2a",
    ways=(
        Way(
            card.PATH,
            "Get the agent card",
            handler=card.show,
            public=everybody,
            media_type=JSON,
            returns=dict[str, Any],
            example=card.card("https://jobs.example", closed=True),
        ),
        _messages(
            "/message:send", "Begin a task, or answer its question", send,
            returns=SendMessageResponse, example={"task": TASK},
        ),
        _messages(
            "/message:stream", "The same, and follow the task", stream,
            stream=form_of("", asks=False),
        ),
        _way(
            "/tasks", "List tasks", listing.listing, query=listing.QUERY, job="",
            returns=ListTasksResponse, refuses=(OLD, WRONG),
            example={"tasks": [TASK], "nextPageToken": "", "pageSize": 50, "totalSize": 1},
        ),
        _way(
            "/tasks/{id}", "Get a task", show, shape=tasks.shape, entries=tasks.NEEDS,
            returns=a2a.Task, example=TASK,
        ),
        _way(
            "/tasks/{id}:cancel", "Cancel a task", cancel, method="POST", action="cancel",
            returns=a2a.Task, example=TASK, refuses=(OLD, NotCancelable("Job 'JOB' has failed.")),
        ),
        _follows("POST"),
        _follows("GET"),
        _config(
            "", "Send a task's changes to a URL", pushes.create, method="POST", takes=PushConfig,
            takes_example=CONFIG, example=CONFIG, refuses=(OLD, WRONG),
        ),
        _config(
            "", "List the configs of a task", pushes.listing,
            example={"configs": [CONFIG], "nextPageToken": ""},
        ),
        _config("/{config}", "Get a config", pushes.show, example=CONFIG),
        _config("/{config}", "Remove a config", pushes.delete, method="DELETE", example={}),
        _way("/extendedAgentCard", "There is none", extended, job="", returns=dict[str, Any]),
    ),
    refusal=errors.refusal,
    prefix=card.PREFIX,
    media_type=a2a.MEDIA_TYPE,
    error_type=a2a.MEDIA_TYPE,
    statuses=errors.STATUSES,
    check=errors.check_version,
)  # fmt: skip
