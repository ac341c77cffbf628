"""Tasks for the Python SDK, which has none: its client resolves them by this extension."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

import mcp_types as types
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from pydantic import Field

from tests.mcp.extensions.agent import TASKS

QUICK = 0.02  # seconds between two polls


class Made(types.Result):
    result_type: Literal["task"] = "task"
    task_id: str
    status: str


class Params(types.RequestParams):
    task_id: str
    input_responses: dict[str, Any] | None = None


class Get(types.Request[Params, Literal["tasks/get"]]):
    method: Literal["tasks/get"] = "tasks/get"
    params: Params
    name_param = "taskId"


class Update(types.Request[Params, Literal["tasks/update"]]):
    method: Literal["tasks/update"] = "tasks/update"
    params: Params
    name_param = "taskId"


class Task(types.Result):
    status: str
    status_message: str
    input_requests: dict[str, Any] = Field(default_factory=dict)
    result: dict[str, Any] = Field(default_factory=dict)


class Tasks(ClientExtension):
    """Answers each question with yes. `seen` are the statuses on the way."""

    identifier = TASKS

    def __init__(self) -> None:
        self.seen: list[str] = []

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=Made, resolve=self._resolve)]

    async def _resolve(self, made: Made, context: ClaimContext) -> types.CallToolResult:
        session, id = context.session, made.task_id
        while True:
            task = await session.send_request(Get(params=Params(task_id=id)), Task)
            if task.status not in self.seen:
                self.seen.append(task.status)
            if task.status == "completed":
                return types.CallToolResult.model_validate(task.result)
            if task.status == "input_required":
                yes = {"action": "accept", "content": {"answer": True}}
                responses = dict.fromkeys(task.input_requests, yes)
                params = Params(task_id=id, input_responses=responses)
                await session.send_request(Update(params=params), types.EmptyResult)
            await asyncio.sleep(QUICK)
