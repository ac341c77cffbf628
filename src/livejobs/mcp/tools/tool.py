"""What a tool is, which tools a caller has, and how one is called.

A tool takes a struct, which also describes its arguments. It gives a result, or a response that
streams. What a model can correct is a result with `isError`, so that the model reads it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw, Struct
from starlette.responses import Response

from livejobs.core.access import Action
from livejobs.core.decoding import decoded
from livejobs.core.errors import LivejobsError, NotStarted, Unauthorized
from livejobs.mcp import rpc
from livejobs.mcp.call import Call
from livejobs.mcp.rpc import RpcError
from livejobs.mcp.tools.schemas import Schema, arguments_schema
from livejobs.web.guard import check_rate

Result: TypeAlias = Mapping[str, Any]
Run: TypeAlias = Callable[[Call, Any], Awaitable[Result | Response]]


class Tool(Struct, frozen=True, dict=True):
    name: str
    title: str
    description: str
    takes: type[Struct]
    run: Run
    action: Action = "view"  # which the caller must be allowed to do
    gives: Schema | None = None  # the schema of `structuredContent`
    destructive: bool = False
    idempotent: bool = False
    meta: Mapping[str, Any] = {}

    @property
    def reads(self) -> bool:
        return self.action == "view"

    @cached_property
    def decoder(self) -> msgspec.json.Decoder[Any]:
        return msgspec.json.Decoder(self.takes)

    @cached_property
    def about(self) -> Mapping[str, Any]:
        """The tool as `tools/list` shows it."""
        hints = {"readOnlyHint": self.reads, "openWorldHint": False}
        if not self.reads:
            hints |= {"destructiveHint": self.destructive, "idempotentHint": self.idempotent}
        about: dict[str, Any] = {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": arguments_schema(self.takes),
            "annotations": hints,
        }
        if self.gives is not None:
            about["outputSchema"] = self.gives
        return {**about, "_meta": self.meta} if self.meta else about


class _ToolCall(Struct, frozen=True):
    name: str
    arguments: Raw = Raw(b"{}")


_tool_call: Final = msgspec.json.Decoder(_ToolCall)


class Tools:
    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}

    async def list(self, call: Call) -> Result:
        """Only what the caller may use. All tools fit in one page."""
        return {"tools": [tool.about for tool in self._tools.values() if call.by.may(tool.action)]}

    async def call(self, call: Call) -> Result | Response:
        asked: _ToolCall = rpc.params(_tool_call, call.params)
        tool = self._tools.get(asked.name)
        if tool is None or not call.by.may(tool.action):
            raise RpcError(rpc.INVALID_PARAMS, f"There is no tool {asked.name!r}.")
        try:
            if not tool.reads:
                check_rate(call.live.limiter("report"), call.by, call.request.scope.get("client"))
            return await tool.run(call, decoded(tool.decoder, bytes(asked.arguments)))
        except (Unauthorized, NotStarted):
            raise
        except LivejobsError as error:
            call.live.note_refusal(error)
            return failed(rpc.sentence(error))


def text(message: str) -> Result:
    return {"content": [{"type": "text", "text": message}], "isError": False}


def failed(message: str) -> Result:
    return {**text(message), "isError": True}


def structured(value: Any, links: Sequence[Mapping[str, Any]] = ()) -> Result:
    """The value as data, and the same as text for clients that know only text."""
    encoded = rpc.encode(value)
    content = [{"type": "text", "text": encoded.decode()}, *links]
    return {"content": content, "structuredContent": Raw(encoded), "isError": False}
