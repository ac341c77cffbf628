"""The agent card: what a client must know before its first request. Everyone may read it."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from starlette.responses import Response

from livejobs.core.wire import encode
from livejobs.faces.a2a.errors import VERSION
from livejobs.faces.base import JSON, Call

PATH: Final = "/.well-known/agent-card.json"
PREFIX: Final = "/a2a"
MODES: Final = ["application/json", "text/plain"]


async def show(call: Call) -> Response:
    keyring = call.live.keyring
    made = card(origin_of(call), closed=keyring.closed)
    return Response(encode(made), 200, {"cache-control": "no-cache"}, JSON)


def origin_of(call: Call) -> str:
    """The address that the client has reached, unless the settings name a public one."""
    settings, request = call.live.settings, call.request
    if settings.public_url:
        return f"{settings.public_url}{settings.base_path}"
    return str(request.base_url).rstrip("/")


def card(origin: str, *, closed: bool) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": "livejobs",
        "description": "Long-running jobs, shown live. A task is a job: its worker reports status, "
        "progress, results, files and questions, and livejobs keeps and sends them.",
        "version": version("livejobs"),
        "documentationUrl": f"{origin}/docs",
        "supportedInterfaces": [
            {
                "url": f"{origin}{PREFIX}",
                "protocolBinding": "HTTP+JSON",
                "protocolVersion": VERSION,
            }
        ],
        "capabilities": {
            "streaming": True,
            "pushNotifications": True,
            "extendedAgentCard": False,
        },
        "defaultInputModes": MODES,
        "defaultOutputModes": MODES,
        "skills": [SKILL],
    }
    if closed:
        bearer = {"httpAuthSecurityScheme": {"scheme": "Bearer"}}
        made["securitySchemes"] = {"key": bearer}
        made["securityRequirements"] = [{"schemes": {"key": {"list": []}}}]
    return made


SKILL: Final = {
    "id": "jobs",
    "name": "Follow a long-running job",
    "description": "Create a job for a worker, follow its progress, answer its questions, cancel "
    "it, and fetch its results. A data part has the fields of the new job (type, title, meta, …); "
    "a text part is its title.",
    "tags": ["jobs", "progress", "status"],
    "examples": ['{"type": "render", "title": "Teaser", "meta": {"scene": 4}}'],
}
