"""The server for the conformance kit: our own door, with the tools and resources that its scenarios
ask for: `python -m tests.mcp.fixtures DATA`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from msgspec import Raw, Struct
from starlette.responses import Response, StreamingResponse

from livejobs.app import create_app
from livejobs.config import Settings, own_hosts
from livejobs.mcp import answers, rpc
from livejobs.mcp.call import Call
from livejobs.mcp.door import CAPABILITIES, TEMPLATES, TOOLS, Mcp
from livejobs.mcp.methods import Method
from livejobs.mcp.resources import Content, Document, Template
from livejobs.mcp.rpc import RpcError
from livejobs.mcp.tools.tool import Result, Tool, failed, text
from livejobs.server.powers import RUNNER
from livejobs.server.runner import run
from livejobs.service import LiveJobs

PIXEL: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAAB"


class Nothing(Struct, frozen=True):
    pass


async def simple(call: Call, asked: Nothing) -> Result:
    return text("This is a simple text response for testing.")


async def failing(call: Call, asked: Nothing) -> Result:
    return failed("This tool intentionally returns an error for testing")


async def with_progress(call: Call, asked: Nothing) -> Response:
    async def told() -> AsyncIterator[bytes]:
        for progress in (0, 50, 100) if call.progress is not None else ():
            assert call.progress is not None
            params = {"progressToken": Raw(call.progress), "progress": progress, "total": 100}
            yield answers.event(rpc.notification("notifications/progress", params))
        yield answers.event(answers.result(call.form, text("done")))

    return StreamingResponse(told(), media_type="text/event-stream")


async def needs_sampling(call: Call, asked: Nothing) -> Result:
    if "sampling" not in call.capabilities:
        raise RpcError(
            rpc.MISSING_CAPABILITY,
            "This needs sampling.",
            {"requiredCapabilities": {"sampling": {}}},
        )
    return text("sampled")


async def no_prompts(call: Call) -> dict[str, Any]:
    return {"prompts": []}


async def static_text(call: Call) -> Content:
    return {"mimeType": "text/plain", "text": "This is the content of the static text resource."}


async def static_binary(call: Call) -> Content:
    return {"mimeType": "image/png", "blob": PIXEL + "JRU5ErkJggg=="}


async def templated(call: Call, uri: str) -> Content | None:
    id = uri.removeprefix("test://template/").removesuffix("/data")
    if uri != f"test://template/{id}/data":
        return None
    return {"mimeType": "application/json", "text": f'{{"id":"{id}","data":"Data for ID: {id}"}}'}


TESTED: Final = (
    Tool("test_simple_text", "Text", "Give text.", Nothing, simple),
    Tool("test_error_handling", "Error", "Fail.", Nothing, failing),
    Tool("test_tool_with_progress", "Progress", "Tell of progress.", Nothing, with_progress),
    Tool("test_missing_capability", "Sampling", "Need sampling.", Nothing, needs_sampling),
    Tool("test_streaming_elicitation", "Stream", "Send events.", Nothing, with_progress),
    Tool("test_logging_tool", "Log", "Log nothing.", Nothing, simple),
)


def door() -> Mcp:
    return Mcp(
        tools=(*TOOLS, *TESTED),
        resources=(
            Document("test://static-text", {"name": "text", "mimeType": "text/plain"}, static_text),
            Document(
                "test://static-binary", {"name": "binary", "mimeType": "image/png"}, static_binary
            ),
        ),
        templates=(
            *TEMPLATES,
            Template({"uriTemplate": "test://template/{id}/data", "name": "data"}, templated),
        ),
        methods={"prompts/list": Method(no_prompts, kept_ms=0)},
        capabilities={era: {**known, "prompts": {}} for era, known in CAPABILITIES.items()},
    )


if __name__ == "__main__":
    settings = Settings(data=Path(sys.argv[1]), port=int(sys.argv[sys.argv.index("--port") + 1]))
    live = LiveJobs(settings, powers=RUNNER)
    run(create_app(live, hosts=own_hosts(settings), mcp=door()), settings, drain=live.drain)
