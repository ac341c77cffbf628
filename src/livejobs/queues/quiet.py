"""What goes wrong here must not go wrong in the queue."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# A child of the SDK's logger, so that LogHandler leaves it out.
logger: Final = logging.getLogger("livejobs.client.queues")


def quietly(function: Callable[P, R]) -> Callable[P, R | None]:
    """The same function, which logs an exception and returns None instead of raising it."""

    @functools.wraps(function)
    def quiet(*args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return function(*args, **kwargs)
        except Exception:  # a bug of ours; the task goes on
            logger.exception("A task is not shown: %s failed.", function.__qualname__)
            return None

    return quiet
