"""`@livejobs.task`: a function whose every call is a job."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast, overload

from livejobs.client.worker.block import job
from livejobs.client.worker.job import WorkerJob

P = ParamSpec("P")
R = TypeVar("R")


@overload
def task(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def task(type: str | None = None, /, **job: Any) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def task(function: Any = None, /, **about: Any) -> Any:
    """`@task`, `@task("render")` or `@task(title=…)`: arguments are those of `livejobs.job`, and
    the type is the function's name unless given. What the function returns is the job's result, if
    JSON can hold it. Within it, `livejobs.current()` is the job."""
    if callable(function):
        return _wrapped(function, None, about)
    return lambda inner: _wrapped(inner, function, about)


def _wrapped(function: Callable[P, R], type: str | None, about: dict[str, Any]) -> Callable[P, R]:
    kind = type or function.__name__
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def waiting(*args: P.args, **kwargs: P.kwargs) -> Any:
            made = job(kind, **about)
            value = None  # what a call that was cancelled returns
            async with made:
                value = await function(*args, **kwargs)
                _succeed(made, value)
            return value

        return cast("Callable[P, R]", waiting)

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> Any:
        made = job(kind, **about)
        value = None  # what a call that was cancelled returns
        with made:
            value = function(*args, **kwargs)
            _succeed(made, value)
        return value

    return cast("Callable[P, R]", called)


def _succeed(made: WorkerJob, value: Any) -> None:
    """A function that saw the cancel and returned has not succeeded."""
    if value is not None or not made.saw_cancel:
        made.succeed(value)
