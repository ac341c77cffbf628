"""Running the app on uvicorn: listen, say so, and stop in time.

uvicorn waits for streams to end by themselves and only then tells the app to stop. Ours tells
first: `drain` ends the streams, then connections close, then the app.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from importlib.util import find_spec
from types import FrameType
from typing import Any, TypeAlias

import uvicorn
import uvloop
from starlette.applications import Starlette

from livejobs.config import SettingError, Settings
from livejobs.server.connection import Config, Connection, ConnectionLimits, LimitedConnection
from livejobs.server.tls import HTTP1, HTTP2, Handshake, Speakers, make_context
from livejobs.server.websocket import WebSocketConnection

Drain: TypeAlias = Callable[[], Awaitable[None]]

DRAIN_SECONDS = 2
UNSENT = 32 << 10  # bytes of a connection that the kernel takes before the network does
GRACE_SECONDS = 2  # then those are cut who have not taken their answers
KEEP_ALIVE_SECONDS = 65  # longer than proxies keep theirs, so that they are the ones to close
RESERVED_DESCRIPTORS = 64  # for the database, files, the log

logger = logging.getLogger("livejobs")


class CannotListen(Exception):
    """The address is taken, or is not ours."""


async def nothing() -> None:
    """For an app without streams."""


def run(
    app: Starlette,
    settings: Settings,
    *,
    drain: Drain = nothing,
    beside: AbstractAsyncContextManager[Any] | None = None,
    limits: ConnectionLimits | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. Exceptions of the app's start are raised here. `beside` is
    entered when the app has started, and left before the app stops."""
    configure_logging(settings.log_level)
    limits = limits or limits_of(settings)
    config = uvicorn_config(app, settings, limits)
    with listen(settings.host, settings.port, limits) as sock:
        server = Server(config, app, settings, drain, beside or nullcontext())
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.serve([sock]))


class Server(uvicorn.Server):
    def __init__(
        self,
        config: Config,
        app: Starlette,
        settings: Settings,
        drain: Drain,
        beside: AbstractAsyncContextManager[Any],
    ) -> None:
        super().__init__(config)
        self.app, self.settings = app, settings
        self.drain, self.beside = drain, beside
        app.state.admission = config.admission  # for /metrics, as are these
        app.state.connections = self.server_state.connections

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        # The app's life is entered here, not by uvicorn's lifespan: so its errors come through
        # as they are, and it ends also when a second signal cuts the connections short.
        with self.capture_signals():
            async with self.app.router.lifespan_context(self.app), self.beside:
                await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets
        # What is there by now stays. Unfrozen, the collector would look through all of it every
        # now and then, and everybody waits meanwhile: 20 to 30 ms.
        gc.collect()
        gc.freeze()
        sys.stdout.write(f"livejobs ready on {url_of(sockets[0], self.settings)}\n")
        sys.stdout.flush()

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:  # every second
            for connection in list(self.server_state.connections):
                if isinstance(connection, LimitedConnection):
                    connection.second_passed()
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not remembering the signal, as uvicorn does to raise it again: a stop that was asked
        # for ends with 0. The second one forces, whichever it is.
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self.drain()
        except TimeoutError:
            logger.warning("Streams did not end in %d s; they are cut.", DRAIN_SECONDS)
        cutting = asyncio.get_running_loop().call_later(GRACE_SECONDS, self.cut)
        await super().shutdown(sockets)
        cutting.cancel()
        if tasks := self.server_state.tasks:  # a second signal hurried
            self.cut()
            await asyncio.wait(tasks, timeout=1)

    def cut(self) -> None:
        # What serves a connection that is lost ends by itself; uvicorn would cancel it, with a
        # traceback for each.
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def uvicorn_config(app: Starlette, settings: Settings, limits: ConnectionLimits) -> Config:
    config = Config(
        app,
        limits,
        http=protocol(settings),
        ws=WebSocketConnection,
        ws_max_size=2 * settings.max_body_bytes,  # past the app's own bound, so it can say why
        ws_per_message_deflate=False,
        ws_ping_interval=limits.pong_seconds,
        ws_ping_timeout=limits.pong_seconds,
        lifespan="off",
        log_config=None,
        access_log=False,
        workers=1,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS + 1,
    )
    config.load()
    return config


def protocol(settings: Settings) -> Any:
    """What makes the protocol of a connection; uvicorn asks for a class, but only calls it."""
    if settings.ssl_certfile is None or settings.ssl_keyfile is None:
        return Connection
    speakers = speakers_of(settings)
    try:
        context = make_context(settings.ssl_certfile, settings.ssl_keyfile, speakers)
    except OSError as error:  # with SSLError, its subclass
        raise SettingError("ssl_certfile", str(settings.ssl_certfile), str(error)) from None
    return partial(Handshake, speakers, context)


def speakers_of(settings: Settings) -> Speakers:
    if not settings.http2:
        return {HTTP1: Connection}
    if find_spec("zttp") is None:
        raise SettingError("http2", "http2", "needs zttp: pip install 'livejobs[http2]'")
    from livejobs.server.http2 import Http2Connection  # noqa: PLC0415 - it needs zttp

    return {HTTP2: Http2Connection, HTTP1: Connection}


def listen(host: str, port: int, limits: ConnectionLimits) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, proto, _, address = min(found)  # IPv4 first, where a name has both
        sock = socket.socket(family, kind, proto)
    except OSError as error:
        raise CannotListen(f"can't listen on {host!r}: {error.strerror}") from None
    try:
        prepare(sock, limits)
        sock.bind(address)
        sock.listen(2048)
    except OSError as error:
        sock.close()
        raise CannotListen(f"can't listen on {host}:{port}: {error.strerror}") from None
    return sock


def prepare(sock: socket.socket, limits: ConnectionLimits) -> None:
    """What connections inherit from their listener."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        # ms; else a client that reads nothing is never freed
        ("TCP_USER_TIMEOUT", 1000 * limits.stuck_seconds),
        ("TCP_NOTSENT_LOWAT", UNSENT),  # else the kernel holds megabytes of stale states
        ("TCP_KEEPIDLE", 60),  # else a silent peer whose host is gone is never noticed
        ("TCP_KEEPINTVL", 10),
    ):
        if hasattr(socket, name):  # not on every system
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def url_of(sock: socket.socket, settings: Settings) -> str:
    scheme = "https" if settings.ssl_certfile else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{sock.getsockname()[1]}"


def limits_of(settings: Settings) -> ConnectionLimits:
    per_address = settings.max_connections_per_address
    return ConnectionLimits(connection_cap(settings), connections_per_address=per_address)


def connection_cap(settings: Settings) -> int:
    room = max(descriptor_limit() - RESERVED_DESCRIPTORS, 1)
    cap = settings.max_connections or room
    if cap > room:
        wrong = f"takes at most {room} here: descriptors (ulimit -n) less {RESERVED_DESCRIPTORS}"
        raise SettingError("max_connections", str(cap), wrong)
    return cap


def descriptor_limit() -> int:
    """How many descriptors we may hold, after asking for all we can get."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 20


def configure_logging(level: str) -> None:
    logging.basicConfig(
        stream=sys.stderr, level=level.upper(), format="%(levelname)s %(name)s: %(message)s"
    )
    # At debug, uvicorn and websockets tell whole requests, tokens and keys too; and at info,
    # the address of each WebSocket with its query, where a browser's token is.
    logging.getLogger("uvicorn").setLevel(max(logging.INFO, logging.getLogger().level))
    logging.getLogger("uvicorn.error").addFilter(tells_no_address)


def tells_no_address(record: logging.LogRecord) -> bool:
    return '"WebSocket' not in str(record.msg)
