"""A TLS connection until both sides have agreed on its encryption, and on what to speak over it.

It has to be done in the time of a request's head, and is counted from its first byte: whoever
opens connections and says nothing takes descriptors from everybody else. uvicorn meets a TLS
connection only when it is agreed.
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
from livejobs.server.connection import Config

HTTP1: Final = "http/1.1"  # these are names of ALPN
HTTP2: Final = "h2"

Speakers: TypeAlias = Mapping[str, type[Any]]  # by those names, the preferred first


def make_context(certfile: Path, keyfile: Path, speakers: Speakers) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certfile, keyfile, password="")  # else a locked key is asked for
    context.set_alpn_protocols(list(speakers))
    return context


class Handshake(asyncio.Protocol):
    def __init__(
        self,
        speakers: Speakers,
        context: ssl.SSLContext,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.speakers, self.context, self.config = speakers, context, config
        self.server_state, self.app_state = server_state, app_state
        self.connections: set[Any] = server_state.connections
        self.agreeing: Coroutine[Any, Any, asyncio.Transport | None]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport, self.client = transport, get_remote_addr(transport)
        self.connections.add(self)
        if self.config.admission.enter(self.client, len(self.connections)) > OVERFLOW:
            self.config.admission.note_refusal(self.client)
            transport.abort()
            self.leave()
        else:
            self.agree()

    def agree(self) -> None:
        # Stepped by hand, since by the time a task began, bytes that are meant for TLS would
        # have come to us.
        self.agreeing = asyncio.get_running_loop().start_tls(
            self.transport,
            self,
            self.context,
            server_side=True,
            ssl_handshake_timeout=self.config.limits.head_seconds,
        )
        self.agreeing.send(None).add_done_callback(self.agreed)

    def agreed(self, _done: asyncio.Future[None]) -> None:
        self.leave()
        try:
            self.agreeing.send(None)
        except StopIteration as done:
            if not done.value.is_closing():  # as it is when we cut it ourselves
                self.hand_over(done.value)
        except OSError:  # with SSLError, and what a timeout or a lost connection is
            self.transport.abort()

    def hand_over(self, transport: asyncio.Transport) -> None:
        spoken = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        speaker = self.speakers[spoken or HTTP1](self.config, self.server_state, self.app_state)
        transport.set_protocol(speaker)
        speaker.connection_made(transport)

    def leave(self) -> None:
        self.connections.discard(self)
        self.config.admission.leave(self.client)

    def shutdown(self) -> None:
        self.transport.abort()
