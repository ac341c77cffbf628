"""When to send: at most ten times a second, and less and less often to a server that is away.

Times are seconds of a monotonic clock, given by the caller, as the dice are.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

INTERVAL: Final = 0.1  # seconds between a job's sends
SILENCE: Final = 4.0  # seconds after which a heartbeat is due
ASKING: Final = 1.0  # the same, while somebody waits for the answer to a question
FIRST: Final = 0.25  # seconds: the longest first wait for a server that is away
LONGEST: Final = 15.0
SLOWLY: Final = 60.0  # where a person has to mend something

Dice = Callable[[float, float], float]


class Backoff:
    """Full jitter: any time up to a limit that doubles, so that workers do not come together."""

    def __init__(self, dice: Dice) -> None:
        self.until = 0.0
        self.failures = 0
        self._dice = dice

    def failed(self, now: float, *, least: float | None = None, slowly: bool = False) -> None:
        """`least`: what the server asked for, as Retry-After."""
        limit = min(LONGEST, FIRST * 2.0 ** min(self.failures, 16))
        self.failures += 1
        wait = self._dice(SLOWLY / 2, SLOWLY) if slowly else self._dice(0.0, limit)
        if least is not None:
            wait = least + self._dice(0.0, min(limit, 1.0))
        self.until = now + wait

    def worked(self) -> None:
        self.until, self.failures = 0.0, 0


def jittered() -> Backoff:
    # Of the system, since a generator's state would be the same in every child made by fork.
    return Backoff(random.SystemRandom().uniform)
