"""Streams and downloads run past the framework: its dozen layers return first, so that an idle
viewer costs a third of the memory.

This needs our own runner and no layer around or inside the app (see app.App, which asks
`powers.called_directly`). Everywhere else they run in place, as any ASGI response does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from starlette.types import Receive, Scope, Send

LASTING: Final = "livejobs.lasting"

Lasting: TypeAlias = Callable[[Receive, Send], Awaitable[None]]


def offer(scope: Scope) -> None:
    """By the app: what lasts may be handed over."""
    scope[LASTING] = None


async def run_last(lasting: Lasting, scope: Scope, receive: Receive, send: Send) -> None:
    """By a response: run when the layers have returned, or here and now."""
    if LASTING in scope:
        scope[LASTING] = lasting
        scope["headers"].clear()  # read by now; a browser sends two kilobytes of them
    else:
        await lasting(receive, send)


async def run_offered(scope: Scope, receive: Receive, send: Send) -> None:
    """By the app, when the layers have returned."""
    if scope.get(LASTING) is not None:
        await scope.pop(LASTING)(receive, send)  # not held by a name here


def as_it_is(scope: Scope) -> Mapping[str, str]:
    """Headers that keep a layer from compressing an answer: it would hold back lines that a
    reader waits for, and a download that was cut could not be resumed."""
    return {} if LASTING in scope else {"content-encoding": "identity"}
