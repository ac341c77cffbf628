"""The one clock. Modules call `clock.now_ms()`, so a test that sets the time sets it everywhere."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """Milliseconds since 1970. The system's clock may jump."""
    return time.time_ns() // 1_000_000


def now() -> datetime:
    """The same time in UTC, for libraries that take a datetime."""
    return datetime.fromtimestamp(now_ms() / 1000, UTC)


def monotonic() -> float:
    """Seconds that only grow, to measure silence and waits."""
    return time.monotonic()
