"""One WebSocket connection: uvicorn's, and what the hub needs beside it.

It takes frames that are finished already, made once for all viewers, and says with our own code
why it gives up on a client that answers no ping.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from livejobs.frames import READY

NO_ANSWER: Final = 4408


class WebSocketConnection(WebSocketsSansIOProtocol):
    async def send(self, message: Any) -> None:
        if message["type"] == READY:
            await self._send_ready(message)
        else:
            await super().send(message)

    async def _send_ready(self, message: Mapping[str, Any]) -> None:
        # The same looks as before any message: room to write, and somebody to read it.
        await self.writable.wait()
        if self.disconnected or self.close_sent or self.transport.is_closing():
            raise ClientDisconnected
        self.transport.write(message["frames"])

    def keepalive_timeout(self) -> None:
        self.pong_timer = None
        self.pending_ping_payload = None
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.fail(NO_ANSWER, "no answer to ping")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
