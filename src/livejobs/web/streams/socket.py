"""WebSocket `livejobs.v1`: many subscriptions and reports over one connection, as JSON text.

One task a connection: it always receives, so that pings are answered and a close is noticed;
what the hub tells goes out beside it.
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
from livejobs.live.channel import Filter, Options, View, Viewer
from livejobs.live.frames import CONNECTION, UNAUTHENTICATED, socket_wire
from livejobs.live.sink import Sink
from livejobs.service import LiveJobs
from livejobs.web import guard, http
from livejobs.web.handover import hand_over
from livejobs.web.streams import events as streams

PROTOCOL: Final = "livejobs.v1"
REFUSALS: Final = 1000  # in a row, after which a client is no longer listened to

AUTH_SECONDS: Final = 10  # for a client to say who it is

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
    """Any message, to answer one that can't be read as what it says it is."""

    id: Id | None = None


_decode_named: Final = msgspec.json.Decoder(Named).decode
_encode: Final = msgspec.json.Encoder().encode


class Left(Exception):
    """The client has gone."""


class Closing(Exception):
    """The client did what ends a connection."""

    def __init__(self, code: int, reason: str) -> None:
        self.code, self.reason = code, reason


class Socket:
    """The door. An ASGI app, as there is no response to return."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        live: LiveJobs = scope["app"].state.live
        if (await receive())["type"] != "websocket.connect":
            return
        try:
            caller = await Caller.of(live, scope)
        except (Forbidden, NotStarted):  # the handshake fails: a page that may not be here
            await send({"type": "websocket.close"})
            return
        offered = scope.get("subprotocols", [])
        chosen = PROTOCOL if PROTOCOL in offered else None
        await send({"type": "websocket.accept", "subprotocol": chosen})
        begin = None
        if "id" in scope["path_params"]:
            begin = Request({**scope, "type": "http", "method": "GET"})
        await hand_over(partial(talk, live, caller, begin), scope, receive, send)


SOCKET: Final = Socket()


class Caller:
    """Who talks. Nobody yet, where access control is on and no credential came along."""

    def __init__(self, by: Principal | None, client: guard.Client, refused: str | None) -> None:
        self.by = by
        self.client = client
        self.refused = refused  # why the credential that came is no good

    @classmethod
    async def of(cls, live: LiveJobs, scope: Scope) -> Caller:
        live.check_running()
        client = scope.get("client")
        try:
            by = await guard.identify(live.keyring, scope)
        except Unauthorized as error:
            came = guard.find_credential(scope)[0] is not None
            return cls(None, client, error.detail if came else None)
        guard.check_origin(live, scope, by)
        return cls(by, client, None)


async def talk(
    live: LiveJobs, caller: Caller, begin: Request | None, receive: Receive, send: Send
) -> None:
    """The connection's life: subscribed to the job whose address it was opened on, then as the
    client says."""
    conversation = Conversation(live, caller, send)
    try:
        await conversation.open(receive)
        if begin is not None:
            await conversation.subscribe_to_url(begin)
            begin = None  # no need to keep it
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
        self._sink: Sink | None = None  # a viewer, once it is known who talks
        self._viewers: dict[Id, Viewer] = {}
        self._refusals = 0

    def close(self) -> None:
        if self._sink is not None:
            self._live.hub.close(self._sink)

    async def open(self, receive: Receive) -> None:
        """Wait until the client has said who it is. Reasons to refuse it are messages: a script
        can't see an HTTP answer to its handshake."""
        if self._caller.refused is not None:
            await self._refuse(None, unauthorized(self._caller.refused, "unauthenticated"))
            raise Closing(UNAUTHENTICATED, self._caller.refused)
        with self._live.until_drained() as waiting:
            await self._authenticated(receive)
        if waiting.cancelled_caught:
            raise Closing(GOING_AWAY, "The server is stopping.")
        assert self._caller.by is not None, "it is waited for"
        await self._check_room(self._caller.by)
        self._sink = self._live.hub.open(self._send, CONNECTION, self._caller.by)

    async def _authenticated(self, receive: Receive) -> None:
        try:
            async with asyncio.timeout(AUTH_SECONDS):
                while self._caller.by is None:
                    await self._listen_once(receive)
        except TimeoutError:
            raise Closing(UNAUTHENTICATED, "No credential came in time.") from None

    async def _check_room(self, by: Principal) -> None:
        try:
            self._live.hub.check_room(by)
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
            raise Closing(BAD_MESSAGE, "Messages are JSON text.")
        if len(text) > self._live.bounds.body:
            error = http.too_large(self._live.bounds.body, "A message")
            self._live.note_refusal(error)
            raise Closing(BAD_MESSAGE, error.detail)
        await self._hear(text)

    async def _hear(self, text: str) -> None:
        try:
            await self._act(_understand(text))
            self._refusals = 0
        except LivejobsError as error:
            await self._refuse(_id_of(text), error)

    async def _refuse(self, id: Id | None, error: LivejobsError) -> None:
        self._live.note_refusal(error)
        self._refusals += 1
        if self._refusals > REFUSALS:
            raise Closing(TOO_MUCH, "Too many messages that can't be followed.")
        said: dict[str, Any] = {"op": "error", "id": id, "code": error.code, "detail": error.detail}
        if error.errors:
            said["errors"] = [{"pointer": e.pointer, "detail": e.detail} for e in error.errors]
        await self._say(said)

    async def _say(self, said: Mapping[str, Any]) -> None:
        await self._send({"type": "websocket.send", "text": _encode(said).decode()})

    async def _act(self, message: AnyMessage) -> None:
        if isinstance(message, Auth):
            await self._authenticate(message)
            return
        by = self._caller.by
        if by is None:
            raise unauthorized("Say who you are first: op auth.", "unauthenticated")
        match message:
            case Ping():
                await self._say({"op": "pong", "id": message.id})
            case Subscribe():
                self._check(by, "view", "read")
                await self._subscribe(by, message)
            case Unsubscribe():
                self._unsubscribe(_named(message))
                await self._say({"op": "ack", "id": message.id})
            case Report():
                self._check(by, "report", "report")
                await self._report(by, message)

    def _check(self, by: Principal, action: Action, rate: Literal["read", "report"]) -> None:
        self._live.keyring.require_valid(by, clock.now_ms())
        require(by, action)
        guard.check_rate(self._live.limiter(rate), by, self._caller.client)

    async def _authenticate(self, message: Auth) -> None:
        """The first credential, or a fresh one in place of what will expire."""
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
        await self._say({"op": "ack", "id": message.id})

    def _drop_unseen(self, sink: Sink, by: Principal) -> None:
        """A fresh credential may be for less than the one before."""
        for viewer in list(sink.viewers):
            if not _sees(by, viewer):
                self._live.hub.unsubscribe(viewer)

    async def _report(self, by: Principal, message: Report) -> None:
        checked = self._live.reporting.decode(bytes(message.reports))
        slot = await self._live.find(message.job, by)
        receipt = await self._live.reporting.apply(slot, checked)
        await self._say({"op": "ack", "id": message.id, **msgspec.structs.asdict(receipt)})

    # Subscriptions

    async def subscribe_to_url(self, request: Request) -> None:
        """An upgrade on a job's own address, with the query of its stream."""
        try:
            options = streams.options_of(request, "delta")
            by = self._caller.by
            assert by is not None, "it was asked for before"
            self._check(by, "view", "read")
            await self._subscribe(
                by,
                Subscribe(
                    id=0,
                    job=request.path_params["id"],
                    since=streams.asked_cursor(request),
                    logs=options.logs,
                    view=options.view,
                    rate=options.rate,
                    tail=streams.tail_of(request),
                ),
            )
        except LivejobsError as error:
            await self._refuse(0, error)
            raise Closing(_close_code(error), error.code) from None

    async def _subscribe(self, by: Principal, message: Subscribe) -> None:
        sink, id = self._sink, _named(message)
        assert sink is not None, "it is there when it is known who talks"
        going_on = sink.viewers
        self._viewers = {id: one for id, one in self._viewers.items() if one in going_on}
        if id in self._viewers:
            raise Invalid.at("/id", f"There is a subscription {id!r} already.")
        limit = self._live.settings.max_subscriptions
        if len(going_on) >= limit:
            raise TooMany(
                f"A connection takes {limit} subscriptions.", code="too_many_subscriptions"
            )
        if (message.job is None) == (message.feed is None):
            raise Invalid.at("/job", "Give either 'job' or 'feed'.")
        watch = _Watch(self._live, by, message)
        await watch.prepare()
        # Said before the hub can say anything, so that it comes first.
        await self._say({"op": "ack", "id": id})
        if watch.foreign:
            await self._say({"op": "reset", "id": id, **msgspec.json.decode(RESET.data)})
        wire = socket_wire(_encode(id).decode(), sink.takes_frames)
        self._viewers[id] = watch.begin(sink, wire)
        sink.settle()

    def _unsubscribe(self, id: Id) -> None:
        viewer = self._viewers.pop(id, None)
        if viewer is None:
            raise Invalid.at("/id", f"There is no subscription {id!r}.")
        self._live.hub.unsubscribe(viewer)


class _Watch:
    """One subscribe message: what it names, looked up, and then begun."""

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
            assert message.feed is not None, "one of them is given"
            self._filter = filter_of(self._by, message.feed)
            project = self._filter.project
        self._since, self.foreign = streams.position(live, project, message.since)

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
    """As many as a query takes. Each is kept for as long as the subscription lasts."""
    said = getattr(feed, field)
    names = said.split(",") if isinstance(said, str) else said
    if len(names) > http.NAMES or any(len(name) > LONGEST_NAME for name in names):
        takes = f"at most {http.NAMES} names of at most {LONGEST_NAME} characters"
        raise Invalid.at(f"/feed/{field}", f"'{field}' takes {takes}.")
    return frozenset(names) - {""}


def _named(message: Message) -> Id:
    if message.id is None:
        raise Invalid.at("/id", "A subscription needs an id.")
    return message.id


def _understand(text: str) -> AnyMessage:
    try:
        message: AnyMessage = _decode(text)
        return message
    except msgspec.ValidationError as error:
        raise Invalid(str(error), code="bad_message") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Closing(BAD_MESSAGE, "Messages are JSON text.") from None


def _id_of(text: str) -> Id | None:
    """Whatever else is wrong with the message."""
    try:
        return _decode_named(text).id
    except msgspec.MsgspecError:
        return None


def _close_code(error: LivejobsError) -> int:
    return {401: 4401, 403: 4403, 404: NOT_FOUND, 429: TOO_MUCH}.get(error.status, BAD_MESSAGE)
