"""The one clock. Code calls `clock.now_ms()`, so a test that sets the time sets it for everyone."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Milliseconds since 1970. The system's clock may jump."""
    return time.time_ns() // 1_000_000


def monotonic() -> float:
    """Seconds that only grow, to measure silence and waits."""
    return time.monotonic()
