"""One connection: it answers each message of its client, and holds the client's subscriptions.

Each connection has one task, which always receives, so that pings are answered and a close is
noticed. A bare connection does both by itself, and has a task only while it handles messages. The
hub sends its messages beside it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Literal

import msgspec
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from livejobs import clock
from livejobs.access.keyring import unauthorized
from livejobs.core.access import Action, Principal, require
from livejobs.core.errors import Invalid, LivejobsError, TooMany, Unauthorized
from livejobs.live.catchup import RESET
from livejobs.live.channel import Viewer
from livejobs.live.frames import CONNECTION, UNAUTHENTICATED, socket_wire
from livejobs.live.sink import BareSocket, Sink, keep
from livejobs.service import LiveJobs
from livejobs.web import guard, http
from livejobs.web.streams import events as streams
from livejobs.web.streams.protocol import (
    BAD_MESSAGE,
    GOING_AWAY,
    TOO_MUCH,
    AnyMessage,
    Auth,
    Closing,
    Id,
    Ping,
    Report,
    Subscribe,
    Unsubscribe,
    close_code,
    id_of,
    parse,
    required_id,
)
from livejobs.web.streams.subscription import Watch, sees

REFUSALS: Final = 1000  # errors in a row, after which the connection is closed
AUTH_SECONDS: Final = 10  # how long to wait for a credential

log = logging.getLogger("livejobs.socket")
_encode: Final = msgspec.json.Encoder().encode


class Left(Exception):
    """The client has gone."""


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


class Conversation:
    __slots__ = (
        "_attending",
        "_caller",
        "_live",
        "_refusals",
        "_send",
        "_sink",
        "_viewers",
        "bare",
    )

    def __init__(self, live: LiveJobs, caller: Caller, send: Send) -> None:
        self._live = live
        self._caller = caller
        self._send = send
        self._sink: Sink | None = None  # None until the client is authenticated
        self._viewers: dict[Id, Viewer] = {}
        self._refusals = 0
        self.bare: BareSocket | None = None  # it needs a task only while it handles messages
        self._attending = False  # such a task runs

    @asynccontextmanager
    async def until_closed(self) -> AsyncIterator[None]:
        """Close the connection afterwards, unless it is bare and goes on."""
        ended = True
        try:
            yield
            ended = self.bare is None
        except (Left, ConnectionResetError):
            pass
        except Closing as closing:
            close = {"type": "websocket.close", "code": closing.code, "reason": closing.reason}
            with suppress(ConnectionResetError):
                await self._send(close)
        finally:
            if ended:
                self.close()

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
        if (take := self._live.powers.socket_taker_of(self._send)) is not None:
            self.bare = await take()
        if self.bare is not None:
            self._send = self.bare.send
        hub = self._live.hub
        self._sink = hub.open(self._send, CONNECTION, self._caller.by, bare=self.bare)

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
        """Handle the client's messages. A bare connection calls when there are some."""
        if self.bare is not None:
            self.bare.heard = self._hear
            self._hear()  # some may have come before
            return
        while True:
            await self._listen_once(receive)

    def _hear(self) -> None:
        if not self._attending:
            self._attending = True
            keep(self._attend())

    async def _attend(self) -> None:
        """Handle the messages that wait on a bare connection."""
        assert self.bare is not None
        try:
            async with self.until_closed():
                while (event := self.bare.next()) is not None:
                    # What a client sent before it left counts, though no answer reaches it.
                    with suppress(ConnectionResetError):
                        await self._take(event)
        except Exception:
            log.exception("a conversation failed")
        finally:
            self._attending = False

    async def _listen_once(self, receive: Receive) -> None:
        await self._take(await receive())

    async def _take(self, event: Mapping[str, Any]) -> None:
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
            await self._dispatch(parse(text))
            self._refusals = 0
        except LivejobsError as error:
            await self._refuse(id_of(text), error)

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
                self._unsubscribe(required_id(message))
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
            if not sees(by, viewer):
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
            raise Closing(close_code(error), error.code) from None

    async def _subscribe(self, by: Principal, message: Subscribe) -> None:
        sink, id = self._sink, required_id(message)
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
        watch = Watch(self._live, by, message)
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
