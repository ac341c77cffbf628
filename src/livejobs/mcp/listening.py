"""`subscriptions/listen`: one stream that tells when resources have changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw, Struct
from starlette.responses import Response

from livejobs.jobs.state import Slot
from livejobs.live.frames import LAST_WORDS, Message, Sendable, body_piece
from livejobs.live.options import Options
from livejobs.live.sink import Sink
from livejobs.mcp import answers, rpc
from livejobs.mcp.call import PREFIX, Call, Form
from livejobs.mcp.resources import slot_of
from livejobs.mcp.rpc import RpcError
from livejobs.web.streams.response import Stream

RATE: Final = 1.0  # notifications a second, for each resource
COMMENT: Final = b": listening\n\n"
CHANGES: Final = frozenset({"state", "gone"})


class Listened(Struct, frozen=True):
    """What one key of `notifications` gives: the part that is honoured, and the jobs to watch,
    each with the notification that tells of a change. `at_once`: the first one tells of now."""

    honoured: Any
    watched: Sequence[tuple[Slot, Callable[[Slot], tuple[str, Mapping[str, Any]]]]]
    at_once: bool = False


Listener: TypeAlias = Callable[[Call, Raw], Awaitable[Listened]]

_uris: Final = msgspec.json.Decoder(list[str])


async def resource_subscriptions(call: Call, sent: Raw) -> Listened:
    """A job that the caller may not see is left out, as if there were none."""
    uris: list[str] = list(dict.fromkeys(rpc.params(_uris, sent)))
    check_count(call, uris)
    found = [(uri, await slot_of(call, uri)) for uri in uris]
    known = [(uri, slot) for uri, slot in found if slot is not None]
    return Listened([uri for uri, _ in known], [(slot, _updated(uri)) for uri, slot in known])


def check_count(call: Call, wanted: Sequence[object]) -> None:
    limit = call.live.settings.max_subscriptions
    if len(wanted) > limit:
        raise RpcError(rpc.INVALID_PARAMS, f"A stream has at most {limit} subscriptions.")


def _updated(uri: str) -> Callable[[Slot], tuple[str, Mapping[str, Any]]]:
    return lambda _: ("notifications/resources/updated", {"uri": uri})


LISTENERS: Final[Mapping[str, Listener]] = {"resourceSubscriptions": resource_subscriptions}


class _Listen(Struct, frozen=True):
    notifications: dict[str, Raw]


_listen: Final = msgspec.json.Decoder(_Listen)


class Listening:
    def __init__(self, listeners: Mapping[str, Listener]) -> None:
        self._listeners = listeners

    async def listen(self, call: Call) -> Response:
        asked: _Listen = rpc.params(_listen, call.params)
        found = {
            name: await self._listeners[name](call, sent)
            for name, sent in asked.notifications.items()
            if name in self._listeners
        }
        wire = ListenWire(call.form)
        hub = call.live.hub
        options = Options(rate=RATE)

        def subscribe(sink: Sink) -> None:
            for listened in found.values():
                for slot, tell in listened.watched:
                    since = None if listened.at_once else slot.seq
                    hub.watch_job(sink, Updates(wire, slot, tell), slot, options, since, 0)

        honoured = {name: listened.honoured for name, listened in found.items()}
        hello = wire.event("notifications/subscriptions/acknowledged", {"notifications": honoured})
        return Stream(hub, call.by, subscribe, hello=hello, wire=wire, solo=False)


class ListenWire:
    """The wire of the stream itself."""

    transport: Final = "sse"

    __slots__ = ("_form",)

    def __init__(self, form: Form) -> None:
        self._form = form

    @property
    def _meta(self) -> Mapping[str, Any]:
        return {f"{PREFIX}subscriptionId": Raw(self._form.id)}

    def event(self, method: str, params: Mapping[str, Any]) -> bytes:
        return answers.event(rpc.notification(method, {**params, "_meta": self._meta}))

    def encode(self, messages: Sequence[Message]) -> Sendable:
        last = messages[-1]
        if last.op == "unwelcome":
            error = RpcError(rpc.INVALID_REQUEST, "The credential is no longer valid.")
            return body_piece(answers.event(error.document(self._form.id)), messages)
        if last.op in LAST_WORDS:
            ended = answers.result(self._form, {"_meta": self._meta})
            return body_piece(answers.event(ended), messages)
        return body_piece(COMMENT, messages)


class Updates:
    """The wire of one job in the stream. The stream goes on when the job has ended."""

    transport: Final = "sse"

    __slots__ = ("_slot", "_tell", "_wire")

    def __init__(
        self,
        wire: ListenWire,
        slot: Slot,
        tell: Callable[[Slot], tuple[str, Mapping[str, Any]]],
    ) -> None:
        self._wire = wire
        self._slot = slot
        self._tell = tell

    def encode(self, messages: Sequence[Message]) -> Sendable:
        if not any(message.op in CHANGES for message in messages):
            return ()
        method, params = self._tell(self._slot)
        body = self._wire.event(method, params)
        return ({"type": "http.response.body", "body": body, "more_body": True},)
