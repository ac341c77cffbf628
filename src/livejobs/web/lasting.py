"""Handing a stream over to the app's outermost layer (see app.App), which runs it when the
framework's layers have returned."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from starlette.types import Receive, Scope, Send

LASTING: Final = "livejobs.lasting"

Lasting: TypeAlias = Callable[[Receive, Send], Awaitable[None]]


def hand_over(scope: Scope, lasting: Lasting) -> None:
    scope[LASTING] = lasting
    scope["headers"].clear()  # read by now; a browser sends two kilobytes of them
