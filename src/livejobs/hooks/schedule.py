"""When to try again: after about 5 s, then three times as long each time, for about a day."""

from __future__ import annotations

from typing import Final

HOUR: Final = 3_600_000  # ms
FIRST: Final = 5_000
LONGEST: Final = 2 * HOUR
DAY: Final = 24 * HOUR
JITTER: Final = 0.1  # of the pause, so that many deliveries do not come together
MOST_ASKED: Final = HOUR  # that a receiver can ask us to wait


def _pauses() -> tuple[int, ...]:
    pauses: list[int] = []
    while sum(pauses) < DAY - LONGEST:
        pauses.append(min(FIRST * 3 ** len(pauses), LONGEST))
    return tuple(pauses)


PAUSES: Final = _pauses()


def pause(attempts: int, chance: float, asked: float | None = None) -> int | None:
    """How many ms to wait after so many attempts; None: give up. `chance` is from 0 to 1. `asked`:
    the seconds of Retry-After."""
    if attempts > len(PAUSES):
        return None
    own = int(PAUSES[attempts - 1] * (1 + JITTER * (2 * chance - 1)))
    return own if asked is None else max(own, min(int(asked * 1000), MOST_ASKED))
