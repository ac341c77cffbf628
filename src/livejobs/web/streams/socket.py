"""WebSocket `livejobs.v1`: many subscriptions and reports over one connection, as JSON text.

Each connection has one task, which always receives, so that pings are answered and a close is
noticed. The hub sends its messages beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta as Bound
from msgspec import Struct
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from livejobs import clock
from livejobs.access.keyring import unauthorized
from livejobs.core.access import Action, Principal, require, require_project
from livejobs.core.errors import (
    Forbidden,
    Invalid,
    LivejobsError,
    NotStarted,
    TooMany,
    Unauthorized,
)
from livejobs.core.model import Status
from livejobs.live.catchup import RESET
from livejobs.live.channel import Viewer
from livejobs.live.frames import CONNECTION, UNAUTHENTICATED, socket_wire
from livejobs.live.options import Filter, Options, View
from livejobs.live.sink import Sink
from livejobs.service import LiveJobs
from livejobs.web import guard, http
from livejobs.web.handover import hand_over
from livejobs.web.streams import events as streams

PROTOCOL: Final = "livejobs.v1"
REFUSALS: Final = 1000  # errors in a row, after which the connection is closed

AUTH_SECONDS: Final = 10  # how long to wait for a credential

GOING_AWAY: Final = 1001
BAD_MESSAGE: Final = 4400
TOO_MUCH: Final = 4429
NOT_FOUND: Final = 4404

Id: TypeAlias = int | Annotated[str, Bound(max_length=100)]
LONGEST_NAME: Final = 200
Name: TypeAlias = Annotated[str, Bound(max_length=LONGEST_NAME)]
Names: TypeAlias = str | list[str]  # "a,b", as in a query, or a list


class Message(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op"):
    id: Id | None = None


class Feed(Struct, frozen=True, forbid_unknown_fields=True):
    project: Name | None = None
    type: Names = msgspec.field(default_factory=list)
    status: str | list[Status] = msgspec.field(default_factory=list)
    tag: Names = msgspec.field(default_factory=list)
    jobs: Names | None = None  # empty: none
    parent: Name | None = None
    owner: Name | None = None


class Subscribe(Message, frozen=True, tag="subscribe"):
    job: str | None = None
    feed: Feed | None = None
    since: str | None = None
    logs: bool = False
    view: View = "delta"
    rate: Annotated[float, Bound(ge=0.1, le=60)] = 30.0
    tail: Annotated[int, Bound(ge=0, le=1000)] = 100
    limit: Annotated[int, Bound(ge=1, le=1000)] = 100


class Unsubscribe(Message, frozen=True, tag="unsubscribe"):
    pass


class Report(Message, frozen=True, tag="report"):
    job: str = ""
    reports: msgspec.Raw = msgspec.Raw(b"[]")


class Auth(Message, frozen=True, tag="auth"):
    token: str = ""


class Ping(Message, frozen=True, tag="ping"):
    pass


AnyMessage: TypeAlias = Subscribe | Unsubscribe | Report | Auth | Ping
_decode: Final = msgspec.json.Decoder(AnyMessage).decode


class Named(Struct, frozen=True):
    """The id of any message, to answer a message that is not valid."""

    id: Id | None = None


_decode_named: Final = msgspec.json.Decoder(Named).decode
_encode: Final = msgspec.json.Encoder().encode


class Left(Exception):
    """The client has gone."""


class Closing(Exception):
    """Close the connection, for a reason that the client gave."""

    def __init__(self, code: int, reason: str) -> None:
        self.code, self.reason = code, reason


class Socket:
    """The route's handler. It is an ASGI app, as there is no response to return."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        live: LiveJobs = scope["app"].state.live
        if (await receive())["type"] != "websocket.connect":
            return
        try:
            caller = await Caller.of(live, scope)
        except (Forbidden, NotStarted):  # the handshake fails, as for a foreign page
            await send({"type": "websocket.close"})
            return
        offered = scope.get("subprotocols", [])
        chosen = PROTOCOL if PROTOCOL in offered else None
        await send({"type": "websocket.accept", "subprotocol": chosen})
        begin = None
        if "id" in scope["path_params"]:
            begin = Request({**scope, "type": "http", "method": "GET"})
        await hand_over(partial(serve, live, caller, begin), scope, receive, send)


SOCKET: Final = Socket()


class Caller:
    """The client's identity: none yet if it needs a credential, and the handshake had none."""

    def __init__(self, by: Principal | None, client: guard.Client, refused: str | None) -> None:
        self.by = by
        self.client = client
        self.refused = refused  # why the credential of the handshake is not valid

    @classmethod
    async def of(cls, live: LiveJobs, scope: Scope) -> Caller:
        live.check_running()
        client = scope.get("client")
        try:
            by = await guard.identify(live.keyring, scope)
        except Unauthorized as error:
            given = guard.find_credential(scope)[0] is not None
            return cls(None, client, error.detail if given else None)
        guard.check_origin(live, scope, by)
        return cls(by, client, None)


async def serve(
    live: LiveJobs, caller: Caller, begin: Request | None, receive: Receive, send: Send
) -> None:
    """Serve a connection until it ends. One that was opened on a job's address begins with a
    subscription to that job."""
    conversation = Conversation(live, caller, send)
    try:
        await conversation.open(receive)
        if begin is not None:
            await conversation.subscribe_to_url(begin)
            begin = None  # free its memory
        await conversation.listen(receive)
    except Left:
        pass
    except Closing as closing:
        await send({"type": "websocket.close", "code": closing.code, "reason": closing.reason})
    finally:
        conversation.close()


class Conversation:
    def __init__(self, live: LiveJobs, caller: Caller, send: Send) -> None:
        self._live = live
        self._caller = caller
        self._send = send
        self._sink: Sink | None = None  # None until the client is authenticated
        self._viewers: dict[Id, Viewer] = {}
        self._refusals = 0

    def close(self) -> None:
        if self._sink is not None:
            self._live.hub.close(self._sink)

    async def open(self, receive: Receive) -> None:
        """Wait until the client is authenticated. It is refused by messages, as a script can't see
        the HTTP response to its handshake."""
        if self._caller.refused is not None:
            await self._refuse(None, unauthorized(self._caller.refused, "unauthenticated"))
            raise Closing(UNAUTHENTICATED, self._caller.refused)
        with self._live.until_drained() as waiting:
            await self._authenticated(receive)
        if waiting.cancelled_caught:
            raise Closing(GOING_AWAY, "The server is stopping.")
        assert self._caller.by is not None, "_authenticated waits for it"
        await self._check_limit(self._caller.by)
        self._sink = self._live.hub.open(self._send, CONNECTION, self._caller.by)

    async def _authenticated(self, receive: Receive) -> None:
        try:
            async with asyncio.timeout(AUTH_SECONDS):
                while self._caller.by is None:
                    await self._listen_once(receive)
        except TimeoutError:
            raise Closing(
                UNAUTHENTICATED, f"No credential within {AUTH_SECONDS} seconds. Send op auth first."
            ) from None

    async def _check_limit(self, by: Principal) -> None:
        try:
            self._live.hub.check_limit(by)
        except TooMany as error:
            await self._refuse(None, error)
            raise Closing(TOO_MUCH, error.detail) from None

    async def listen(self, receive: Receive) -> None:
        while True:
            await self._listen_once(receive)

    async def _listen_once(self, receive: Receive) -> None:
        event = await receive()
        if event["type"] != "websocket.receive":
            raise Left
        text = event.get("text")
        if text is None:
            raise Closing(BAD_MESSAGE, "Send messages as JSON text.")
        if len(text) > self._live.bounds.body:
            error = http.too_large(self._live.bounds.body, "A message")
            self._live.note_refusal(error)
            raise Closing(BAD_MESSAGE, error.detail)
        await self._handle(text)

    async def _handle(self, text: str) -> None:
        try:
            await self._dispatch(_parse(text))
            self._refusals = 0
        except LivejobsError as error:
            await self._refuse(_id_of(text), error)

    async def _refuse(self, id: Id | None, error: LivejobsError) -> None:
        self._live.note_refusal(error)
        self._refusals += 1
        if self._refusals > REFUSALS:
            raise Closing(TOO_MUCH, "Too many messages in a row that are not valid.")
        reply: dict[str, Any] = {
            "op": "error",
            "id": id,
            "code": error.code,
            "detail": error.detail,
        }
        if error.errors:
            reply["errors"] = [{"pointer": e.pointer, "detail": e.detail} for e in error.errors]
        await self._reply(reply)

    async def _reply(self, reply: Mapping[str, Any]) -> None:
        await self._send({"type": "websocket.send", "text": _encode(reply).decode()})

    async def _dispatch(self, message: AnyMessage) -> None:
        if isinstance(message, Auth):
            await self._authenticate(message)
            return
        by = self._caller.by
        if by is None:
            raise unauthorized("Authenticate first, with op auth.", "unauthenticated")
        match message:
            case Ping():
                await self._reply({"op": "pong", "id": message.id})
            case Subscribe():
                self._check(by, "view", "read")
                await self._subscribe(by, message)
            case Unsubscribe():
                self._unsubscribe(_required_id(message))
                await self._reply({"op": "ack", "id": message.id})
            case Report():
                self._check(by, "report", "report")
                await self._report(by, message)

    def _check(self, by: Principal, action: Action, rate: Literal["read", "report"]) -> None:
        self._live.keyring.require_valid(by, clock.now_ms())
        require(by, action)
        guard.check_rate(self._live.limiter(rate), by, self._caller.client)

    async def _authenticate(self, message: Auth) -> None:
        """Take the first credential, or a fresh one that replaces it."""
        keyring = self._live.keyring
        if keyring.closed:
            try:
                by = await guard.worth(keyring, message.token)
            except Unauthorized as error:
                await self._refuse(message.id, error)
                raise Closing(UNAUTHENTICATED, error.detail) from None
            self._caller.by = by
            if self._sink is not None:
                self._live.hub.change_caller(self._sink, by)
                self._drop_unseen(self._sink, by)
        await self._reply({"op": "ack", "id": message.id})

    def _drop_unseen(self, sink: Sink, by: Principal) -> None:
        """End subscriptions that a fresh credential does not allow."""
        for viewer in list(sink.viewers):
            if not _sees(by, viewer):
                self._live.hub.unsubscribe(viewer)

    async def _report(self, by: Principal, message: Report) -> None:
        checked = self._live.reporting.decode(bytes(message.reports))
        slot = await self._live.find(message.job, by)
        receipt = await self._live.reporting.apply(slot, checked)
        await self._reply({"op": "ack", "id": message.id, **msgspec.to_builtins(receipt)})

    # Subscriptions

    async def subscribe_to_url(self, request: Request) -> None:
        """Subscribe to the job of the connection's address, with the query of its event stream."""
        try:
            options = streams.options_of(request, "delta")
            by = self._caller.by
            assert by is not None, "open has waited for it"
            self._check(by, "view", "read")
            await self._subscribe(
                by,
                Subscribe(
                    id=0,
                    job=request.path_params["id"],
                    since=streams.cursor_in_query(request),
                    logs=options.logs,
                    view=streams.view_of(request, "delta"),
                    rate=options.rate,
                    tail=streams.tail_of(request),
                ),
            )
        except LivejobsError as error:
            await self._refuse(0, error)
            raise Closing(_close_code(error), error.code) from None

    async def _subscribe(self, by: Principal, message: Subscribe) -> None:
        sink, id = self._sink, _required_id(message)
        assert sink is not None, "it is opened when the client is authenticated"
        active = sink.viewers
        self._viewers = {id: viewer for id, viewer in self._viewers.items() if viewer in active}
        if id in self._viewers:
            raise Invalid.at(
                "/id", f"This connection already has a subscription {id!r}. Choose another id."
            )
        limit = self._live.settings.max_subscriptions
        if len(active) >= limit:
            raise TooMany(
                f"This connection has {limit} subscriptions, the most allowed. Unsubscribe first.",
                code="too_many_subscriptions",
            )
        if (message.job is None) == (message.feed is None):
            raise Invalid.at("/job", "Give either 'job' or 'feed'.")
        watch = _Watch(self._live, by, message)
        await watch.prepare()
        # Sent before the hub can send anything, so that it is the first message.
        await self._reply({"op": "ack", "id": id})
        if watch.foreign:
            await self._reply({"op": "reset", "id": id, **msgspec.json.decode(RESET.data)})
        wire = socket_wire(_encode(id).decode(), sink.takes_frames)
        self._viewers[id] = watch.begin(sink, wire)
        sink.settle()

    def _unsubscribe(self, id: Id) -> None:
        viewer = self._viewers.pop(id, None)
        if viewer is None:
            raise Invalid.at("/id", f"This connection has no subscription {id!r}.")
        self._live.hub.unsubscribe(viewer)


class _Watch:
    """A subscription that a message asks for: first its job is looked up, then it begins."""

    def __init__(self, live: LiveJobs, by: Principal, message: Subscribe) -> None:
        self._live = live
        self._by = by
        self._message = message
        self.foreign = False
        self._since: int | None = None

    async def prepare(self) -> None:
        message, live = self._message, self._live
        if message.job is not None:
            self._slot = await live.find(message.job, self._by)
            project = self._slot.head.project
        else:
            assert message.feed is not None, "the message has a job or a feed"
            self._filter = filter_of(self._by, message.feed)
            project = self._filter.project
        self._since, self.foreign = await streams.position(live, project, message.since)

    def begin(self, sink: Any, wire: Any) -> Viewer:
        message, hub = self._message, self._live.hub
        options = Options(message.view, message.logs, message.rate)
        if message.job is not None:
            return hub.watch_job(sink, wire, self._slot, options, self._since, message.tail)
        return hub.watch_feed(sink, wire, self._filter, options, self._since, message.limit)


def filter_of(by: Principal, feed: Feed) -> Filter:
    project = feed.project or by.default_project
    require_project(by, project)
    return Filter(
        project=project,
        statuses=_names(feed, "status"),
        types=_names(feed, "type"),
        tags=_names(feed, "tag"),
        ids=streams.seen_ids(by, None if feed.jobs is None else _names(feed, "jobs")),
        parent=feed.parent,
        owner=feed.owner,
    )


def _sees(by: Principal, viewer: Viewer) -> bool:
    channel = viewer.channel
    if channel is None or not by.may("view"):
        return False
    if channel.slot is not None:
        return by.sees(channel.slot.head)
    return by.sees_project(channel.filter.project) and (
        by.jobs is None or (bool(channel.filter.ids) and channel.filter.ids <= by.jobs)
    )


def _names(feed: Feed, field: str) -> frozenset[str]:
    """At most as many as a query may have: each is kept as long as the subscription lasts."""
    value = getattr(feed, field)
    names = value.split(",") if isinstance(value, str) else value
    if len(names) > http.NAMES or any(len(name) > LONGEST_NAME for name in names):
        bounds = f"at most {http.NAMES} names of at most {LONGEST_NAME} characters"
        raise Invalid.at(f"/feed/{field}", f"'{field}' takes {bounds}.")
    return frozenset(names) - {""}


def _required_id(message: Message) -> Id:
    if message.id is None:
        raise Invalid.at("/id", "A subscription needs an id.")
    return message.id


def _parse(text: str) -> AnyMessage:
    try:
        message: AnyMessage = _decode(text)
        return message
    except msgspec.ValidationError as error:
        raise Invalid(str(error), code="bad_message") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Closing(BAD_MESSAGE, "Send messages as JSON text.") from None


def _id_of(text: str) -> Id | None:
    """The message's id, whatever else is wrong with it."""
    try:
        return _decode_named(text).id
    except msgspec.MsgspecError:
        return None


def _close_code(error: LivejobsError) -> int:
    return {401: 4401, 403: 4403, 404: NOT_FOUND, 429: TOO_MUCH}.get(error.status, BAD_MESSAGE)
