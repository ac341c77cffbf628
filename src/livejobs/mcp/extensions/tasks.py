"""Jobs as tasks: what a call of wait_for_job gives to a client that declares tasks.

The call answers at once, and its client asks for the task, or listens. Nothing is kept for a task:
it is a view of the job, which is on disk before its task has a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw, Struct
from starlette.responses import Response

from livejobs.core.errors import Conflict, Invalid, NotFound
from livejobs.jobs.state import Slot
from livejobs.mcp import rpc
from livejobs.mcp.call import PREFIX, Call
from livejobs.mcp.extensions import task
from livejobs.mcp.extensions.forms import Form
from livejobs.mcp.extensions.ids import id_of, job_of
from livejobs.mcp.listening import Listened, Listener, check_count
from livejobs.mcp.methods import MODERN_ONLY, Method
from livejobs.mcp.rpc import RpcError
from livejobs.mcp.tools.tool import Result
from livejobs.mcp.tools.waiting import WAITING, WaitForJob
from livejobs.web.guard import check_rate

EXTENSION: Final = f"{PREFIX}tasks"


def created(call: Call, slot: Slot) -> Result:
    """The answer to a call that became a task."""
    return {"resultType": "task", **task.task(task.reader_of(call), slot)}


async def wait_or_task(call: Call, asked: WaitForJob) -> Result | Response:
    """A task, unless there is something to act on now: the end, or a question that only the model
    can answer."""
    if not call.declares(EXTENSION) or not asked.timeout_seconds:
        return await WAITING.run(call, asked)
    slot = await call.live.find(asked.id, call.by)
    waits = slot.head.waiting is not None and task.question(task.reader_of(call), slot.head) is None
    return await WAITING.run(call, asked) if slot.head.finished or waits else created(call, slot)


WAIT: Final = msgspec.structs.replace(WAITING, run=wait_or_task)


# Methods


class _Task(Struct, frozen=True):
    id: str = msgspec.field(name="taskId")


class _Update(Struct, frozen=True):
    id: str = msgspec.field(name="taskId")
    responses: dict[str, Raw] = msgspec.field(name="inputResponses")


class _Response(Struct, frozen=True):
    action: Literal["accept", "decline", "cancel"]
    content: dict[str, Any] = {}


_task: Final = msgspec.json.Decoder(_Task)
_update: Final = msgspec.json.Decoder(_Update)
_response: Final = msgspec.json.Decoder(_Response)


async def get(call: Call) -> Mapping[str, Any]:
    asked: _Task = _params(call, _task)
    return task.detailed(task.reader_of(call), await _slot(call, asked.id))


async def update(call: Call) -> Mapping[str, Any]:
    """Answer the job's question. An answer to an earlier question is ignored. To decline leaves the
    question open: somebody else may answer it."""
    asked: _Update = _params(call, _update)
    slot = await _slot(call, asked.id)
    _check_change(call)
    if (question := task.question(task.reader_of(call), slot.head)) is None:
        return {}
    waiting, form = question
    if str(waiting.n) not in asked.responses:
        return {}
    given: _Response = rpc.params(_response, asked.responses[str(waiting.n)])
    if given.action == "accept":
        await _answer(call, slot, form, given.content, waiting.n)
    return {}


async def _answer(call: Call, slot: Slot, form: Form, content: dict[str, Any], n: int) -> None:
    try:
        await call.live.answer(slot.head.id, form.answer(content), n=n, by=call.by)
    except Conflict:
        pass  # somebody else was faster
    except Invalid as error:
        raise RpcError(rpc.INVALID_PARAMS, rpc.sentence(error)) from None


async def cancel(call: Call) -> Mapping[str, Any]:
    """Ask the job to stop. The task shows when it has. One that has ended stays as it is."""
    asked: _Task = _params(call, _task)
    slot = await _slot(call, asked.id)
    _check_change(call)
    with suppress(Conflict):  # it has ended
        await call.live.cancel(slot.head.id, by=call.by)
    return {}


def _params(call: Call, decoder: msgspec.json.Decoder[Any]) -> Any:
    check_declared(call)
    return rpc.params(decoder, call.params)


def check_declared(call: Call) -> None:
    if not call.declares(EXTENSION):
        raise RpcError(
            rpc.MISSING_CAPABILITY,
            f"Declare the extension {EXTENSION} in the capabilities of the request.",
            {"requiredCapabilities": {"extensions": {EXTENSION: {}}}},
        )


def _check_change(call: Call) -> None:
    if not call.by.may("cancel"):
        raise RpcError(rpc.INVALID_REQUEST, "This key may not change jobs.")
    check_rate(call.live.limiter("report"), call.by, call.request.scope.get("client"))


async def _slot(call: Call, id: str) -> Slot:
    slot = await _found(call, id)
    if slot is None:
        raise RpcError(rpc.INVALID_PARAMS, "There is no such task.")
    return slot


async def _found(call: Call, id: str) -> Slot | None:
    """None also for a job that the caller may not see, or that was deleted."""
    keyring = call.live.keyring
    job = job_of(keyring, id)
    try:
        slot = None if job is None else await call.live.find(job, call.by)
    except NotFound:
        return None
    return slot if slot is not None and id_of(keyring, slot.head) == id else None


METHODS: Final[Mapping[str, Method]] = {
    "tasks/get": Method(get, MODERN_ONLY, named="taskId"),
    "tasks/update": Method(update, MODERN_ONLY, named="taskId"),
    "tasks/cancel": Method(cancel, MODERN_ONLY, named="taskId"),
}


# Listening

_ids: Final = msgspec.json.Decoder(list[str])


async def task_ids(call: Call, sent: Raw) -> Listened:
    """Unknown ids are left out. The first notification tells of the task as it is: it may have
    ended since its client was given the id."""
    check_declared(call)
    ids: list[str] = list(dict.fromkeys(rpc.params(_ids, sent)))
    check_count(call, ids)
    found = [(id, await _found(call, id)) for id in ids]
    known = [(id, slot) for id, slot in found if slot is not None]
    reader = task.reader_of(call)

    def tell(slot: Slot) -> tuple[str, Mapping[str, Any]]:
        return "notifications/tasks", task.detailed(reader, slot)

    return Listened([id for id, _ in known], [(slot, tell) for _, slot in known], at_once=True)


LISTENERS: Final[Mapping[str, Listener]] = {"taskIds": task_ids}
