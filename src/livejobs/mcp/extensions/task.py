"""A job as a task of MCP (SEP-2663): a pure view of its head.

`failed` is for errors of the protocol. A job that failed is a completed task whose result is an
error, so that the model reads why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import quote

from livejobs.core.model import File, Head, Question, Status
from livejobs.core.progress import percent
from livejobs.core.times import rfc3339
from livejobs.jobs.state import Slot
from livejobs.mcp import shown
from livejobs.mcp.call import Call
from livejobs.mcp.extensions.forms import Form, form_of
from livejobs.mcp.extensions.ids import id_of
from livejobs.mcp.tools import structured

TaskStatus: TypeAlias = Literal["working", "input_required", "completed", "failed", "cancelled"]
STATUSES: Final[Mapping[Status, TaskStatus]] = {
    "queued": "working",
    "running": "working",
    "succeeded": "completed",
    "failed": "completed",
    "cancelled": "cancelled",
}
POLL: Final = 2000  # ms between two questions of a client


def task(call: Call, slot: Slot) -> dict[str, Any]:
    """The task without what it gives or asks."""
    head = slot.head
    return {
        "taskId": id_of(call.live.keyring, head),
        "status": "input_required" if question(call, head) else STATUSES[head.status],
        "statusMessage": message(head),
        "createdAt": rfc3339(head.created_at),
        "lastUpdatedAt": rfc3339(head.updated_at),
        "ttlMs": None if head.expires_at is None else head.expires_at - head.created_at,
        "pollIntervalMs": POLL,
    }


def detailed(call: Call, slot: Slot) -> dict[str, Any]:
    """The whole task."""
    found = task(call, slot)
    if found["status"] == "completed":
        found["result"] = result(call, slot)
    elif found["status"] == "input_required":
        found["inputRequests"] = requests(call, slot.head)
    return found


def result(call: Call, slot: Slot) -> dict[str, Any]:
    """What the tool would have given. Each file is a link too."""
    given = structured(shown.head(slot))
    links = [link(call, slot.head.id, file) for file in slot.head.files]
    return {
        **given,
        "resultType": "complete",
        "content": [*given["content"], *links],
        "isError": slot.head.status == "failed",
    }


def link(call: Call, job: str, file: File) -> dict[str, Any]:
    path = f"v1/jobs/{quote(job, safe='')}/files/{quote(file.name, safe='')}"
    about = {"type": "resource_link", "uri": site(call) + path, "name": file.name}
    size = {} if file.size is None else {"size": file.size}
    return {**about, "mimeType": file.media_type, **size}


def site(call: Call) -> str:
    """The server's address for people, as far as it knows it, with a slash at the end."""
    settings, request = call.live.settings, call.request
    origin = settings.public_url or f"{request.url.scheme}://{request.url.netloc}"
    return f"{origin.rstrip('/')}{settings.base_path}/"


# A question


def question(call: Call, head: Head) -> tuple[Question, Form] | None:
    """The question of the job, if this client can ask it and its user may answer."""
    if head.waiting is None or not call.by.may("cancel") or not elicits(call):
        return None
    form = form_of(head.waiting.schema)
    return None if form is None else (head.waiting, form)


def elicits(call: Call) -> bool:
    """Whether the client shows forms. One that says nothing further means forms."""
    declared = call.capabilities.get("elicitation")
    return isinstance(declared, dict) and (not declared or "form" in declared)


def requests(call: Call, head: Head) -> dict[str, Any]:
    asked = question(call, head)
    if asked is None:
        return {}
    (waiting, form) = asked
    params = {"mode": "form", "message": waiting.prompt, "requestedSchema": form.schema}
    return {str(waiting.n): {"method": "elicitation/create", "params": params}}


# Words


def message(head: Head) -> str:
    """One line for a person: the state, how much is done, and what the job says."""
    done = percent(head)
    amount = "" if done is None or head.finished else f", {done}%"
    said = _said(head)
    return f"{_state(head)}{amount}{f': {said}' if said else ''}"


def _state(head: Head) -> str:
    if head.status != "running":
        return head.status.capitalize()
    if head.waiting is not None:
        return "Waiting for an answer"
    if head.cancel_requested:
        return "Cancelling"
    return "Stalled" if head.stalled else "Running"


def _said(head: Head) -> str | None:
    if head.error is not None and head.finished:
        return head.error.message
    if head.waiting is not None:
        return head.waiting.prompt
    return None if head.finished else head.progress.message
