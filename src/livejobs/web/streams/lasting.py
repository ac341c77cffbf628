"""Run streams and downloads after the framework's dozen layers have returned: an idle viewer then
costs a third of the memory.

This needs our own runner, and no middleware around or inside the app (see app.App, which calls
`powers.called_directly`). Otherwise they run in place, as any ASGI response does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from starlette.types import Receive, Scope, Send

LASTING: Final = "livejobs.lasting"

Lasting: TypeAlias = Callable[[Receive, Send], Awaitable[None]]


def offer(scope: Scope) -> None:
    """For the app: responses may hand over what lasts."""
    scope[LASTING] = None


async def run_last(lasting: Lasting, scope: Scope, receive: Receive, send: Send) -> None:
    """For a response: run when the layers have returned, or now if the app did not offer it."""
    if LASTING in scope:
        scope[LASTING] = lasting
        scope["headers"].clear()  # no longer needed; a browser sends two kilobytes of them
    else:
        await lasting(receive, send)


async def run_offered(scope: Scope, receive: Receive, send: Send) -> None:
    """For the app, when the layers have returned."""
    if scope.get(LASTING) is not None:
        await scope.pop(LASTING)(receive, send)  # no name here keeps it alive


def as_it_is(scope: Scope) -> Mapping[str, str]:
    """Headers that keep middleware from compressing a response. Compression would hold back lines
    that a client waits for, and a download that was cut could not be resumed."""
    return {} if LASTING in scope else {"content-encoding": "identity"}
