"""Run the app on uvicorn: listen, print the ready line, and stop in time.

uvicorn waits until all streams have ended, and only then stops the app. But streams end only
when the app ends them. So our server calls `drain` first, which ends the streams; then the
connections close, then the app stops.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext, suppress
from functools import partial
from importlib.util import find_spec
from types import FrameType
from typing import Any, TypeAlias

import uvicorn
import uvloop
from starlette.applications import Starlette

from livejobs.config import SettingError, Settings
from livejobs.server.access_log import Handshakes
from livejobs.server.bare.connection import Bare
from livejobs.server.instant.recognizing import RecognizingConnection
from livejobs.server.limited import Config, ConnectionLimits, LimitedConnection
from livejobs.server.tls import HTTP1, HTTP2, Protocols, TlsHandshake, make_context
from livejobs.server.websocket import WebSocketConnection
from livejobs.server.workers import HURRY, Worker, supervise
from livejobs.stopping import SIGNALS
from livejobs.telemetry import logs
from livejobs.telemetry.logs import Lines

Drain: TypeAlias = Callable[[], Awaitable[None]]
Beside: TypeAlias = Callable[[str], AbstractAsyncContextManager[Any]]

DRAIN_SECONDS = 2
UNSENT = 32 << 10  # bytes that the kernel holds for a connection and has not sent yet
GRACE_SECONDS = 2  # then connections whose clients have not read their answers are aborted
KEEP_ALIVE_SECONDS = 65  # longer than usual in proxies, so that the proxy closes first
RESERVED_DESCRIPTORS = 64  # for the database, files, the log
NEW_OBJECTS = 10_000  # until the garbage collector looks at them

logger = logging.getLogger("livejobs")


class CannotListen(Exception):
    """The address is in use, or is not one of this machine."""


async def nothing() -> None:
    """Drain an app without streams."""


def become_worker(settings: Settings, limits: ConnectionLimits | None = None) -> Worker | None:
    """With several workers, return in each of them; the supervisor exits here. None: one process
    serves alone. Make the app afterwards: it may start threads, which a fork would lose."""
    if settings.workers == 1:
        return None
    configure_logging(settings)
    sock = listen(settings.host, settings.port, limits or limits_of(settings))
    return supervise(settings.workers, sock, partial(announce, url_of(sock, settings)))


def run(
    app: Starlette,
    settings: Settings,
    *,
    drain: Drain = nothing,
    beside: Beside = nullcontext,
    limits: ConnectionLimits | None = None,
    worker: Worker | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. Exceptions of the app's start are raised here. `beside` gets
    the server's URL. It is entered when the app has started, and left before the app stops."""
    app.state.log_lines = configure_logging(settings, worker).counts  # for /metrics
    limits = limits or limits_of(settings)
    config = uvicorn_config(app, settings, limits)
    with worker.sock if worker else listen(settings.host, settings.port, limits) as sock:
        server = Server(config, app, settings, drain, beside, worker)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.serve([sock]))


class Server(uvicorn.Server):
    def __init__(
        self,
        config: Config,
        app: Starlette,
        settings: Settings,
        drain: Drain,
        beside: Beside,
        worker: Worker | None = None,
    ) -> None:
        super().__init__(config)
        self.server_state.connections = config.home.connections
        self.poller = config.home.poller
        self.app, self.settings = app, settings
        self.drain, self.beside = drain, beside
        self.worker = worker
        self.signalled = False
        self.asked = asyncio.Event()  # to stop
        app.state.admission = config.admission  # for /metrics, as are these
        app.state.connections = self.server_state.connections

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        # The app's lifespan is entered here, and uvicorn's is off. So errors of the start are
        # raised unchanged, and the app stops properly also after a second signal.
        assert sockets
        url = url_of(sockets[0], self.settings)
        self.loop = asyncio.get_running_loop()
        with self.capture_signals():
            async with self.app.router.lifespan_context(self.app), self.beside(url):
                await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets
        # All objects of now stay for good. Without the freeze, the collector would go through
        # all of them again and again, and stop the event loop for 20 to 30 ms each time.
        gc.collect()
        gc.freeze()
        # A group of reports makes more objects than Python's threshold, and nearly all are gone
        # with the group. So the collector would go through them many times for nothing.
        gc.set_threshold(NEW_OBJECTS)
        if self.worker is None:
            announce(url_of(sockets[0], self.settings))
        else:
            asyncio.get_running_loop().add_reader(self.worker.link, self.hear, self.worker)
            self.worker.tell_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn enters this within ours. After a requested stop, further signals are ignored:
        they must not kill the process in its last moments."""
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                over = self.signalled and handler != self.handle_exit
                signal.signal(number, signal.SIG_IGN if over else handler)

    def hear(self, worker: Worker) -> None:
        """Obey the supervisor. Without it, stop: nothing would replace this worker."""
        words = worker.hear()
        self.should_exit = True
        self.force_exit |= HURRY in words
        self.asked.set()
        if not words:
            asyncio.get_running_loop().remove_reader(worker.link)

    async def main_loop(self) -> None:
        """uvicorn looks ten times a second whether it should stop. To be woken so often costs an
        idle server most of its processor time."""
        while not await self.on_tick(0):  # 0: update the date
            for connection in list(self.server_state.connections):
                if isinstance(connection, (LimitedConnection, Bare)):
                    connection.second_passed()
            with suppress(TimeoutError):
                async with asyncio.timeout(1):  # needs no task, contrary to `wait_for`
                    await self.asked.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn keeps the signal and raises it again at the end. We don't: after a requested
        # stop the exit code is 0. A second signal, whichever it is, forces the stop.
        self.force_exit |= self.signalled
        self.should_exit = self.signalled = True
        self.loop.call_soon_threadsafe(self.asked.set)  # wakes the loop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self.accept_last(sockets or ())
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self.drain()
        except TimeoutError:
            logger.warning("Streams did not end within %d s, so they are cut off.", DRAIN_SECONDS)
        aborting = asyncio.get_running_loop().call_later(GRACE_SECONDS, self.abort_all)
        await super().shutdown(sockets)
        aborting.cancel()
        self.abort_all()  # some are left if a second signal forced the stop
        if tasks := self.server_state.tasks:
            await asyncio.wait(tasks, timeout=1)
        self.poller.close()

    async def accept_last(self, sockets: Sequence[socket.socket]) -> None:
        """Stop listening. The kernel would reset the connections that wait to be accepted, and a
        client may have sent a request already."""
        accepted = [conn for sock in sockets for conn in waiting(sock)]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        http: Any = self.config.http_protocol_class  # a class, or a factory: see `protocol`
        protocol = partial(
            http,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        for conn in accepted:
            with suppress(OSError):  # the client has disconnected
                await loop.connect_accepted_socket(protocol, conn)

    def abort_all(self) -> None:
        # The task of a lost connection ends by itself. uvicorn would cancel each task, and log a
        # traceback for each.
        for connection in list(self.server_state.connections):
            if isinstance(connection, Bare):
                connection.close()
            else:
                connection.transport.abort()


def waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """The connections that the kernel has made, and nobody has accepted."""
    with suppress(OSError):  # no more
        while True:
            yield listener.accept()[0]


def uvicorn_config(app: Starlette, settings: Settings, limits: ConnectionLimits) -> Config:
    config = Config(
        app,
        limits,
        http=protocol(settings),
        ws=WebSocketConnection,
        ws_max_size=2
        * settings.max_body_bytes,  # above the app's own limit, so that the app can answer why
        ws_per_message_deflate=False,
        ws_ping_interval=limits.pong_seconds,
        ws_ping_timeout=limits.pong_seconds,
        lifespan="off",
        log_config=None,
        access_log=settings.access_log,
        workers=1,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS + 1,
    )
    config.load()
    return config


def protocol(settings: Settings) -> Any:
    """The factory of connections. uvicorn's type wants a class, but uvicorn only calls it."""
    if settings.ssl_certfile is None or settings.ssl_keyfile is None:
        return RecognizingConnection
    protocols = tls_protocols(settings)
    try:
        context = make_context(settings.ssl_certfile, settings.ssl_keyfile, protocols)
    except OSError as error:  # SSLError is a subclass
        raise SettingError("ssl_certfile", str(settings.ssl_certfile), str(error)) from None
    return partial(TlsHandshake, protocols, context)


def tls_protocols(settings: Settings) -> Protocols:
    if not settings.http2:
        return {HTTP1: RecognizingConnection}
    if find_spec("zttp") is None:
        raise SettingError("http2", "http2", "needs zttp: pip install 'livejobs[http2]'")
    from livejobs.server.http2 import Http2Connection  # noqa: PLC0415 - needs zttp, an extra

    return {HTTP2: Http2Connection, HTTP1: RecognizingConnection}


def listen(host: str, port: int, limits: ConnectionLimits) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, proto, _, address = min(found)  # IPv4 first, if a name has both
        sock = socket.socket(family, kind, proto)
    except OSError as error:
        raise CannotListen(f"can't listen on {host!r}: {error.strerror}") from None
    try:
        prepare(sock, limits)
        sock.bind(address)
        sock.listen(2048)
    except OSError as error:
        sock.close()
        raise CannotListen(f"can't listen on {host}:{port}: {cause_of(error)}") from None
    return sock


def cause_of(error: OSError) -> str:
    cause = str(error.strerror)
    if error.errno == errno.EADDRINUSE:
        cause += ". Stop the program that uses this port, or give another --port"
    return cause


def prepare(sock: socket.socket, limits: ConnectionLimits) -> None:
    """Set the options that connections inherit from their listener."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        # ms; without it, the connection of a client that reads nothing would stay for good
        ("TCP_USER_TIMEOUT", 1000 * limits.stuck_seconds),
        ("TCP_NOTSENT_LOWAT", UNSENT),  # without it, the kernel holds megabytes of stale states
        ("TCP_KEEPIDLE", 60),  # without it, a peer whose host is gone is never noticed
        ("TCP_KEEPINTVL", 10),
    ):
        if hasattr(socket, name):  # some systems lack some
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def url_of(sock: socket.socket, settings: Settings) -> str:
    scheme = "https" if settings.ssl_certfile else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{sock.getsockname()[1]}"


def limits_of(settings: Settings) -> ConnectionLimits:
    per_address = settings.max_connections_per_address
    return ConnectionLimits(connection_cap(settings), connections_per_address=per_address)


def connection_cap(settings: Settings) -> int:
    most = max(descriptor_limit() - RESERVED_DESCRIPTORS, 1)
    cap = settings.max_connections or most
    if cap > most:
        wrong = (
            f"takes at most {most} here: the descriptor limit (ulimit -n) "
            f"less {RESERVED_DESCRIPTORS}"
        )
        raise SettingError("max_connections", str(cap), wrong)
    return cap


def descriptor_limit() -> int:
    """Raise the limit of descriptors as far as allowed, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 20


def announce(url: str) -> None:
    sys.stdout.write(f"livejobs ready on {url}\n")
    sys.stdout.flush()


def configure_logging(settings: Settings, worker: Worker | None = None) -> Lines:
    """Returns what counts the lines."""
    lines = Lines()
    handler = logs.handler(settings.log_format, worker.number if worker else None)
    handler.addFilter(lines)
    logging.basicConfig(
        level=settings.log_level.upper(),
        handlers=[handler],
        force=worker is not None,  # the supervisor's handler was inherited
    )
    level = logging.getLogger().level
    # At debug, these log whole requests and statements, with tokens and keys.
    for library in ("uvicorn", "aiosqlite", "asyncpg", "httpx2", "httpcore2"):
        logging.getLogger(library).setLevel(max(logging.INFO, level))
    if settings.access_log:  # whatever the level of other lines is
        for name in ("uvicorn.error", "livejobs.access"):
            logging.getLogger(name).setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").addFilter(Handshakes(level, shown=settings.access_log))
    return lines
