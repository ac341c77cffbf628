"""A job as a task of MCP (SEP-2663): a pure view of its head.

`failed` is for errors of the protocol. A job that failed is a completed task whose result is an
error, so that the model reads why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from livejobs.access.keyring import Keyring
from livejobs.core.model import Head, Question, Status
from livejobs.core.progress import percent
from livejobs.core.times import rfc3339
from livejobs.jobs.state import Slot
from livejobs.mcp import call as calls
from livejobs.mcp.call import Call
from livejobs.mcp.extensions import forms
from livejobs.mcp.extensions.ids import id_of
from livejobs.mcp.tools.waiting import outcome

TaskStatus: TypeAlias = Literal["working", "input_required", "completed", "failed", "cancelled"]
STATUSES: Final[Mapping[Status, TaskStatus]] = {
    "queued": "working",
    "running": "working",
    "succeeded": "completed",
    "failed": "completed",
    "cancelled": "cancelled",
}
POLL: Final = 2000  # ms between two questions of a client


class Reader(Struct, frozen=True):
    """Who reads a task: all that a stream needs to keep of its request."""

    keyring: Keyring
    form: calls.Form
    answers: bool  # the client shows forms, and its user may answer


def reader_of(call: Call) -> Reader:
    return Reader(call.live.keyring, call.form, call.by.may("cancel") and elicits(call))


def elicits(call: Call) -> bool:
    """Whether the client shows forms. One that says nothing further means forms."""
    declared = call.capabilities.get("elicitation")
    return isinstance(declared, dict) and (not declared or "form" in declared)


def task(reader: Reader, slot: Slot) -> dict[str, Any]:
    """The task without what it gives or asks."""
    head = slot.head
    return {
        "taskId": id_of(reader.keyring, head),
        "status": "input_required" if question(reader, head) else STATUSES[head.status],
        "statusMessage": message(head),
        "createdAt": rfc3339(head.created_at),
        "lastUpdatedAt": rfc3339(head.updated_at),
        "ttlMs": None if head.expires_at is None else head.expires_at - head.created_at,
        "pollIntervalMs": POLL,
    }


def detailed(reader: Reader, slot: Slot) -> dict[str, Any]:
    """The whole task."""
    found = task(reader, slot)
    if found["status"] == "completed":
        failed = slot.head.status == "failed"
        given = outcome(slot, reader.form)
        found["result"] = {"resultType": "complete", **given, "isError": failed}
    elif (asked := question(reader, slot.head)) is not None:
        found["inputRequests"] = request(*asked)
    return found


def question(reader: Reader, head: Head) -> tuple[Question, forms.Form] | None:
    """The question of the job, if this reader can be asked."""
    if head.waiting is None or not reader.answers:
        return None
    form = forms.form_of(head.waiting.schema)
    return None if form is None else (head.waiting, form)


def request(waiting: Question, form: forms.Form) -> dict[str, Any]:
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
