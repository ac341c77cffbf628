"""The tool wait_for_job: progress as it comes, and the job when there is something to act on.

While it waits, a call costs what a viewer costs: it is a subscription of the hub, and has no task.
The wait ends with the job, with a question, or with its time. A wait that was cut short is made
again, and nothing is missed: the next one begins with the job as it is then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final
from weakref import ReferenceType, ref

from msgspec import Meta as Bound
from msgspec import Raw, Struct
from starlette.responses import Response

from livejobs import clock
from livejobs.core.progress import percent
from livejobs.jobs.state import Slot
from livejobs.live.channel import Viewer
from livejobs.live.frames import LAST_WORDS, Message, Sendable, body_piece
from livejobs.live.options import Options
from livejobs.live.sink import Sink
from livejobs.mcp import answers, rpc, shown
from livejobs.mcp.call import Call
from livejobs.mcp.reading import JobId
from livejobs.mcp.rpc import RpcError
from livejobs.mcp.schemas import HEAD
from livejobs.mcp.tools import Result, Tool, failed, structured
from livejobs.web import http
from livejobs.web.calls.jobs import hold
from livejobs.web.streams.response import Stream

LONGEST: Final = 50  # seconds: some clients give up after 60
RATE: Final = 5.0  # notifications a second
ENDED: Final = Message("end", b"{}")
COMMENT: Final = b": waiting\n\n"  # keeps proxies from closing the connection


class WaitForJob(Struct, frozen=True, forbid_unknown_fields=True):
    id: JobId
    timeout_seconds: Annotated[float, Bound(ge=0, le=LONGEST)] = 45


async def wait_for_job(call: Call, asked: WaitForJob) -> Result | Response:
    slot = await call.live.find(asked.id, call.by)
    if _settled(slot) or not asked.timeout_seconds:
        return _outcome(slot)
    if not takes_events(call):
        return await _held(call, slot, asked.timeout_seconds)
    return _stream(call, slot, asked.timeout_seconds)


def _settled(slot: Slot) -> bool:
    """Whether there is something to act on."""
    return slot.head.finished or slot.head.waiting is not None or slot.gone


def _outcome(slot: Slot) -> Result:
    if slot.gone:
        return failed(f"Job {slot.head.id!r} was deleted.")
    return structured(shown.head(slot))


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
    return _outcome(slot)


def _stream(call: Call, slot: Slot, seconds: float) -> Response:
    hub, wait = call.live.hub, Wait(call, slot)

    def subscribe(sink: Sink) -> Viewer:
        asyncio.get_running_loop().call_later(seconds, _time_out, ref(sink))
        wait.sink = ref(sink)
        return hub.watch_job(sink, wait, slot, Options(rate=RATE), None, 0)

    return Stream(hub, call.by, subscribe, hello=COMMENT, wire=wait)


def _time_out(known: ReferenceType[Sink]) -> None:
    sink = known()
    if sink is not None:
        end(sink)


def end(sink: Sink) -> None:
    """Send the result now, or as soon as the client has taken what was sent before."""
    sink.farewell = ENDED
    sink.try_end(ENDED)


class Wait:
    """The wire of one wait. It sends the newest state of the job, whatever the messages carry."""

    transport: Final = "sse"

    __slots__ = ("_call", "_last", "_slot", "sink")

    def __init__(self, call: Call, slot: Slot) -> None:
        self._call = call
        self._slot = slot
        self._last: Told | None = None
        self.sink: ReferenceType[Sink] | None = None

    def encode(self, messages: Sequence[Message]) -> Sendable:
        last = messages[-1]
        if last.op in LAST_WORDS:
            return body_piece(answers.event(self._result(last)), messages)
        if last.op == "ping":
            return body_piece(COMMENT, messages)
        if _settled(self._slot) and self.sink is not None:
            # Not now: the hub is in the middle of sending to this very sink.
            asyncio.get_running_loop().call_soon(_time_out, self.sink)
        return body_piece(self._progress(), messages)

    def _result(self, last: Message) -> bytes:
        if last.op == "unwelcome":
            why = RpcError(rpc.INVALID_REQUEST, "The credential is no longer valid.")
            return why.document(self._call.id)
        return answers.result(self._call, _outcome(self._slot))

    def _progress(self) -> bytes:
        token = self._call.progress
        if token is None:
            return b""
        told = next_progress(self._last, self._slot)
        if told is None:
            return b""
        self._last = told
        params = {"progressToken": Raw(token), **told.fields()}
        return answers.event(rpc.notification("notifications/progress", params))


class Told(Struct, frozen=True):
    """What the client was told of the progress."""

    progress: float
    total: int | None
    message: str | None

    def fields(self) -> dict[str, Any]:
        fields = {"progress": self.progress, "total": self.total, "message": self.message}
        return {name: value for name, value in fields.items() if value is not None}


def next_progress(last: Told | None, slot: Slot) -> Told | None:
    """The next notification: `progress` must rise each time, so a state in which it does not is
    left out. None: there is nothing to tell."""
    done, message = percent(slot.head), message_of(slot)
    if done is not None:
        risen = last is None or done > last.progress
        return Told(done, 100, message) if risen else None
    if last is None:
        return Told(0, None, message)
    return Told(last.progress + 1, None, message) if message != last.message else None


def message_of(slot: Slot) -> str:
    """One line for a person: where the job is."""
    fields = shown.head(slot)
    progress, queue = fields["progress"], fields["queue"]
    if queue is not None:
        return f"Queued: {queue.position} of {queue.length}"
    parts = []
    if progress["current"] is not None:
        total = "" if progress["total"] is None else f" of {progress['total']:g}"
        unit = f" {progress['unit']}" if progress["unit"] else ""
        parts.append(f"{progress['current']:g}{total}{unit}")
    if progress["message"]:
        parts.append(progress["message"])
    return ": ".join(reversed(parts)) or slot.head.status


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
