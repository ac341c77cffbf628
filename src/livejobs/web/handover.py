"""Streams and downloads run after the framework's layers have returned: so an idle viewer costs a
third of the memory.

The app decides once, in `App._may_hand_over`, whether this is possible: our own runner called the
app, and no other app or middleware is around it or inside it. Otherwise the work runs in place, as
any ASGI response does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from starlette.types import Receive, Scope, Send

HANDOVER: Final = "livejobs.handover"  # in the scope; None: handing over is not possible

Work: TypeAlias = Callable[[Receive, Send], Awaitable[None]]


class Handover:
    """What one response leaves to be done once the layers have returned."""

    __slots__ = ("_work",)

    def __init__(self) -> None:
        self._work: Work | None = None

    def take(self, work: Work) -> None:
        self._work = work

    async def run(self, receive: Receive, send: Send) -> None:
        if self._work is not None:
            await self._taken()(receive, send)  # no name here keeps it for as long as it runs

    def _taken(self) -> Work:
        work, self._work = self._work, None
        assert work is not None
        return work


async def hand_over(work: Work, scope: Scope, receive: Receive, send: Send) -> None:
    """Called by a response. The work runs when the layers have returned, or else at once."""
    handover: Handover | None = scope.get(HANDOVER)
    if handover is None:
        await work(receive, send)
    else:
        handover.take(work)
        scope["headers"].clear()  # read by now; a browser sends two kilobytes of them


def as_it_is(scope: Scope) -> Mapping[str, str]:
    """Headers that keep a layer from compressing an answer: it would hold back lines that a
    reader waits for, and a download that was cut could not be resumed."""
    return {} if scope.get(HANDOVER) else {"content-encoding": "identity"}
