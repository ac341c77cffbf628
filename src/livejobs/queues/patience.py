"""How long tasks wait for the server. One that hangs is waited for once, and not by every task."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from livejobs.client.sending.channel import Channel

AGAIN: Final = 30.0  # seconds after which a server that has not answered is waited for again

Condition = Callable[[], bool]


class Patience:
    """Of all tasks of an installation."""

    def __init__(self) -> None:
        self._missing: Condition = lambda: False
        self._until = 0.0

    @property
    def over(self) -> bool:
        """Whether an answer that was waited for is still missing."""
        return time.monotonic() < self._until and self._missing()

    def wait(self, channel: Channel, there: Condition, seconds: float) -> None:
        """Until the answer is there, at most so many seconds."""
        with channel.changed:
            in_time = channel.changed.wait_for(there, 0.0 if self.over else seconds)
        if not in_time and not self.over:
            self._missing = lambda: not there()
            self._until = time.monotonic() + AGAIN
