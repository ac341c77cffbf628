"""End the command when somebody cancels its job on the server."""

from __future__ import annotations

import signal
import threading

from livejobs.cli.run.child import Child
from livejobs.client.sending.channel import Channel


class Canceller:
    def __init__(self, channel: Channel | None, child: Child, grace: float) -> None:
        """`grace`: seconds between SIGTERM and SIGKILL."""
        self.acted = False
        self._channel = channel
        self._child = child
        self._grace = grace
        self._ended = threading.Event()

    def start(self) -> None:
        if self._channel is not None:
            threading.Thread(target=self._run, args=(self._channel,), daemon=True).start()

    def stop(self) -> None:
        """The command has ended."""
        self._ended.set()
        if self._channel is not None:
            self._channel.tell()

    def _run(self, channel: Channel) -> None:
        with channel.changed:
            channel.changed.wait_for(lambda: channel.cancelled or self._ended.is_set())
        if self._ended.is_set():
            return
        self.acted = True
        self._child.signal(signal.SIGTERM)
        self._child.signal(signal.SIGCONT)  # a stopped command cannot end otherwise
        if not self._ended.wait(self._grace):
            self._child.signal(signal.SIGKILL)
