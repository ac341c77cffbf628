"""The two that are asked most, a report and a poll, met before the framework: its layers would
cost more than all that is to be done. What goes wrong here goes wrong once more within them, so
that one place answers errors.
"""

from __future__ import annotations

from typing import Final

from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from livejobs.web import jobs, reports

JOBS: Final = "/v1/jobs/"
RAISED: Final = "livejobs.raised"


async def met(scope: Scope, receive: Receive, send: Send) -> bool:
    """Whether it was answered."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if not path.startswith(JOBS):
        return False
    id, slash, rest = path[len(JOBS) :].partition("/")
    try:
        if scope["method"] == "GET":
            return not slash and await jobs.plain_snapshot(id, scope, send)
        if scope["method"] == "POST" and rest == "reports" and id:
            await reports.answer_now(id, scope, receive, send)
            return True
    except Exception as error:  # noqa: BLE001  answered by the framework's handlers, see Raised
        scope[RAISED] = error
    return False


class Raised(BaseRoute):
    """The first route: of a request that has failed already."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return (Match.FULL if RAISED in scope else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise scope.pop(RAISED)
