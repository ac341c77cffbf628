"""The TLS handshake of a connection: it agrees on the encryption and on the HTTP version.

uvicorn learns of a TLS connection only after its handshake. So a client could open connections,
send nothing, and use up the server's descriptors. Here a connection counts from its beginning,
and the handshake must end within the time that a request's head has.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from uvicorn.protocols.utils import get_remote_addr
from uvicorn.server import ServerState

from livejobs.server.admission import OVERFLOW
from livejobs.server.limited import Config

HTTP1: Final = "http/1.1"  # the names that ALPN uses
HTTP2: Final = "h2"

Protocols: TypeAlias = Mapping[str, type[Any]]  # connection classes by ALPN name, in preference


def make_context(certfile: Path, keyfile: Path, protocols: Protocols) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(
        certfile, keyfile, password=""
    )  # without it, OpenSSL would prompt for one
    context.set_alpn_protocols(list(protocols))
    return context


class TlsHandshake(asyncio.Protocol):
    def __init__(
        self,
        protocols: Protocols,
        context: ssl.SSLContext,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.protocols, self.context, self.config = protocols, context, config
        self.server_state, self.app_state = server_state, app_state
        self.connections: set[Any] = server_state.connections
        self.handshake: Coroutine[Any, Any, asyncio.Transport | None]

    # The transport of a stream has this type.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        self.transport, self.client = transport, get_remote_addr(transport)
        self.connections.add(self)
        if self.config.admission.enter(self.client, len(self.connections)) > OVERFLOW:
            self.config.admission.note_refusal(self.client)
            transport.abort()
            self.leave()
        else:
            self.begin()

    def begin(self) -> None:
        # Stepped by hand: before a task could begin, this protocol would receive bytes that are
        # for TLS.
        self.handshake = asyncio.get_running_loop().start_tls(
            self.transport,
            self,
            self.context,
            server_side=True,
            ssl_handshake_timeout=self.config.limits.head_seconds,
        )
        self.handshake.send(None).add_done_callback(self.finish)

    def finish(self, _done: asyncio.Future[None]) -> None:
        self.leave()
        try:
            self.handshake.send(None)
        except StopIteration as done:
            if not done.value.is_closing():  # as it is when the server aborted the connection
                self.hand_over(done.value)
        except OSError:  # SSLError, timeout and lost connection are subclasses
            self.transport.abort()

    def hand_over(self, transport: asyncio.Transport) -> None:
        name = transport.get_extra_info("ssl_object").selected_alpn_protocol() or HTTP1
        connection = self.protocols[name](self.config, self.server_state, self.app_state)
        transport.set_protocol(connection)
        connection.connection_made(transport)

    def leave(self) -> None:
        self.connections.discard(self)
        self.config.admission.leave(self.client)

    def shutdown(self) -> None:
        self.transport.abort()
