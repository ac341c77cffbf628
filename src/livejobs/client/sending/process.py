"""The reporters of this process, and what the process does with them: it forks, and it ends."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from livejobs.client.sending.channel import Channel, Channels
from livejobs.client.sending.reporter import AT_EXIT, Reporter
from livejobs.client.settings import Target

_lock = threading.RLock()
_reporters: dict[Target, Reporter] = {}
_channels = Channels()
_finalized = False  # multiprocessing calls `close_all` at the end of this process


def channel(target: Target, id: str, creation: Mapping[str, Any] | None) -> Channel:
    """The job's way to the server: one for all who report on it in this process."""
    with _lock:
        found = _channels.get((target, id))
        if found is None or found.outbox.ended:
            found = Channel(target, id, creation, _reporter(target))
            _channels[target, id] = found
        return found


def _reporter(target: Target) -> Reporter:
    if target not in _reporters:
        _reporters[target] = Reporter(target, _finalize)
    return _reporters[target]


def _finalize() -> None:
    """Processes of multiprocessing end without atexit. They run their own finalizers."""
    global _finalized  # noqa: PLW0603 - a process ends once
    processes = sys.modules.get("multiprocessing.process")
    if processes is None or _finalized or processes.parent_process() is None:
        return
    # Loaded here, since most processes need none of it.
    from multiprocessing.util import Finalize  # noqa: PLC0415 - only in such processes

    Finalize(None, close_all, exitpriority=10)
    _finalized = True


def flush(timeout: float = AT_EXIT) -> bool:
    """Wait until the server has acknowledged everything, at most so many seconds. What it has not
    is on disk afterwards. Call it before `os._exit`, or before a worker process is terminated."""
    end = time.monotonic() + timeout
    with _lock:
        reporters = tuple(_reporters.values())
    done = [reporter.flush(max(0.0, end - time.monotonic())) for reporter in reporters]
    return all(done)


def close_all() -> None:
    """The process ends: send what is left, and keep what cannot be sent."""
    end = time.monotonic() + AT_EXIT
    with _lock:
        reporters = tuple(_reporters.values())
    for reporter in reporters:
        reporter.close(max(0.0, end - time.monotonic()))


def statistics() -> list[dict[str, Any]]:
    """What the reporters of this process hold and have done; one entry a server."""
    with _lock:
        return [reporter.statistics() for reporter in _reporters.values()]


def _after_fork() -> None:
    """In the child there is one thread, and locks may be held by threads that are gone: all begins
    anew. Handles of jobs stay valid and report, by a producer of their own, to the same jobs."""
    global _lock, _finalized  # noqa: PLW0603 - of another process now
    _lock = threading.RLock()
    _finalized = False
    old = list(_channels.values())
    for reporter in _reporters.values():
        reporter.after_fork()
    _reporters.clear()
    for one in old:
        one.after_fork(_reporter(one.target))


atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
