"""The tool wait_for_job: progress as it comes, and the job when there is something to act on.

While it waits, a call costs what a viewer costs: it is a subscription of the hub, and has no task.
The wait ends with the job, with a question, or with its time. A wait that was cut short is made
again, and nothing is missed: the next one begins with the job as it is then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final
from weakref import ReferenceType, ref

from msgspec import Meta as Bound
from msgspec import Struct
from starlette.responses import Response

from livejobs import clock
from livejobs.jobs.state import Slot
from livejobs.live.channel import Viewer
from livejobs.live.frames import LAST_WORDS, Message, Sendable, body_piece
from livejobs.live.options import Options
from livejobs.live.sink import Sink
from livejobs.mcp import answers, rpc, shown
from livejobs.mcp.call import Call, Form, key_of
from livejobs.mcp.lasting import end_if_there
from livejobs.mcp.rpc import RpcError
from livejobs.mcp.tools.progress import Telling
from livejobs.mcp.tools.reading import JobId
from livejobs.mcp.tools.schemas import HEAD
from livejobs.mcp.tools.tool import Result, Tool, failed, structured
from livejobs.web import http
from livejobs.web.calls.jobs import hold
from livejobs.web.streams.response import Stream

LONGEST: Final = 50  # seconds: some clients give up after 60
RATE: Final = 2.0  # notifications a second
COMMENT: Final = b": waiting\n\n"  # keeps proxies from closing the connection


class WaitForJob(Struct, frozen=True, forbid_unknown_fields=True):
    id: JobId
    timeout_seconds: Annotated[float, Bound(ge=0, le=LONGEST)] = 45


async def wait_for_job(call: Call, asked: WaitForJob) -> Result | Response:
    slot = await call.live.find(asked.id, call.by)
    if _settled(slot) or not asked.timeout_seconds:
        return outcome(slot, call.form)
    if not takes_events(call):
        return await _held(call, slot, asked.timeout_seconds)
    return _stream(call, slot, asked.timeout_seconds)


def _settled(slot: Slot) -> bool:
    """Whether there is something to act on."""
    return slot.head.finished or slot.head.waiting is not None or slot.gone


def outcome(slot: Slot, form: Form) -> Result:
    if slot.gone:
        return failed(f"Job {slot.head.id!r} was deleted.")
    return structured(shown.head(slot), shown.links(slot, form))


def takes_events(call: Call) -> bool:
    accepted = call.request.headers.get("accept", "*/*")
    return http.takes(accepted, "text/event-stream") or "*/*" in accepted


async def _held(call: Call, slot: Slot, seconds: float) -> Result:
    """For a client that takes only JSON: the answer waits, as a long poll does."""
    until = clock.monotonic() + seconds
    while not _settled(slot) and (left := until - clock.monotonic()) > 0:
        before = slot.seq
        await hold(call.request, slot, left, since=before, finished=False)
        if slot.seq == before:  # the time is over, or the server stops
            break
    return outcome(slot, call.form)


def _stream(call: Call, slot: Slot, seconds: float) -> Response:
    hub, lasting, wait = call.live.hub, call.lasting, Wait(slot, call.form, call.progress)
    key = None if call.modern else key_of(call.request, call.form.id)

    def subscribe(sink: Sink) -> Viewer:
        wait.sink = ref(sink)
        lasting.add(sink, seconds, key)
        return hub.watch_job(sink, wait, slot, Options(rate=RATE), None, 0)

    return Stream(hub, call.by, subscribe, hello=COMMENT, wire=wait)


class Wait:
    """The wire of one wait. It sends the newest state of the job, whatever the messages carry."""

    transport: Final = "sse"

    __slots__ = ("_form", "_slot", "_telling", "sink")

    def __init__(self, slot: Slot, form: Form, token: bytes | None) -> None:
        self._slot = slot
        self._form = form
        self._telling = None if token is None else Telling(token)
        self.sink: ReferenceType[Sink] | None = None

    def encode(self, messages: Sequence[Message]) -> Sendable:
        last = messages[-1]
        if last.op in LAST_WORDS:
            return body_piece(answers.event(self._result(last)), messages)
        if last.op == "ping":
            return body_piece(COMMENT, messages)
        if _settled(self._slot) and self.sink is not None:
            # Not now: the hub is in the middle of sending to this very sink.
            asyncio.get_running_loop().call_soon(end_if_there, self.sink)
        return body_piece(self._progress(), messages)

    def _result(self, last: Message) -> bytes:
        if last.op == "unwelcome":
            why = RpcError(rpc.INVALID_REQUEST, "The credential is no longer valid.")
            return why.document(self._form.id)
        return answers.result(self._form, outcome(self._slot, self._form))

    def _progress(self) -> bytes:
        told = None if self._telling is None else self._telling.next(self._slot)
        return b"" if told is None else answers.line(told)


WAITING: Final = Tool(
    "wait_for_job",
    "Wait for a job",
    "Wait until a job ends or asks a question, and get it as it is then. If its status is still "
    "queued or running and `waiting` is null, the time is over: call this tool again. Nothing is "
    "missed in between.",
    WaitForJob,
    wait_for_job,
    gives=HEAD,
)
