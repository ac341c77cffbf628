"""What callers of the committer get: the outcome of their operation, or the exception.

They get it by a callback, so that a report needs no future and no task.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from functools import partial
from typing import Any, Generic, TypeVar

from msgspec import Struct

from livejobs.jobs.commit.publishing import Committed
from livejobs.jobs.state import Slot

log = logging.getLogger("livejobs.committer")
T = TypeVar("T")
U = TypeVar("U")


#: Gets what its caller waits for, or the exception.
Done = Callable[[T | Exception], None]


class Outcome(Struct, Generic[T], frozen=True):
    """What an operation returned, and its own changes."""

    value: T
    changes: Sequence[Committed]

    def seq(self, slot: Slot) -> int:
        """Of the slot's last change among these; without one, of its last change before."""
        for change in reversed(self.changes):
            if change.slot is slot:
                return change.seq
        return slot.seq


async def answered(put: Callable[[Done[T]], None]) -> T:
    """Wait for what `put` gives to its callback."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    put(partial(_resolve, future))
    return await future


def _resolve(future: asyncio.Future[T], result: T | Exception) -> None:
    if future.done():  # the caller was cancelled; the change stands
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


def give(done: Done[T], result: T | Exception) -> None:
    try:
        done(result)
    except Exception:  # a bug; the commit stands, and the other callers get theirs
        log.exception("an answer failed")


def attempt(make: Callable[[T], U], result: T | Exception) -> U | Exception:
    """What `make` returns for the result, or the exception, also of `make`: the caller waits."""
    if isinstance(result, Exception):
        return result
    try:
        return make(result)
    except Exception as error:  # noqa: BLE001  whatever it is, the caller gets it
        return error


def refuse(callers: Iterable[Done[Any]], error: Exception) -> None:
    for done in callers:
        # A copy each: one exception raised in many tasks would collect their tracebacks.
        give(done, copy(error))
