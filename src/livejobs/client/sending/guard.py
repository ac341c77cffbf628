"""A lock for state that signal handlers and finalizers may change too.

They run in the middle of anything, also of a change made by their own thread. A plain lock would
deadlock there, and one that its holder may take again would let them see half a change. So a
change that meets another one of its own thread is made right after it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Guard:
    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._busy = False
        self._later: deque[Callable[[], Any]] = deque()

    def run(self, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What `act` returns. None: it is done later, since its thread is within another one."""
        with self._lock:
            if self._busy:
                self._later.append(lambda: act(*args, **kwargs))
                return None
            self._busy = True
            try:
                return act(*args, **kwargs)
            finally:
                self._busy = False
                if self._later:
                    self._catch_up()

    def _catch_up(self) -> None:
        while self._later:
            self.run(self._later.popleft())
