"""What is asked most — reports, polls, and the polls of faces — met before the framework: its
layers would cost more than all that is to be done. What goes wrong here goes wrong once more
within them, so that one place answers errors.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from livejobs.web.calls import jobs, reports

JOBS: Final = "/v1/jobs/"
RAISED: Final = "livejobs.raised"


async def met(scope: Scope, receive: Receive, send: Send) -> bool:
    """Whether it was answered. If it failed it was not, and Raised has the reason."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    try:
        if path.startswith(JOBS):
            return await _job(path[len(JOBS) :], scope, receive, send)
        return await _face(path, scope, receive, send)
    except Exception as error:  # noqa: BLE001  answered by the framework's handlers
        scope[RAISED] = error
        return False


async def _job(path: str, scope: Scope, receive: Receive, send: Send) -> bool:
    id, slash, rest = path.partition("/")
    if scope["method"] == "GET":
        return not slash and await jobs.plain_snapshot(id, scope, send)
    if scope["method"] == "POST" and rest == "reports" and id:
        await reports.answer_now(id, scope, receive, send)
        return True
    return False


async def _face(path: str, scope: Scope, receive: Receive, send: Send) -> bool:
    for address in scope["app"].addresses:
        if found := address.path_regex.match(path):
            convert = address.param_convertors
            said = found.groupdict().items()
            scope["path_params"] = {name: convert[name].convert(value) for name, value in said}
            await address.app(scope, receive, send)
            return True
    return False


class Raised(BaseRoute):
    """The first route: of a request that has failed already."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return (Match.FULL if RAISED in scope else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise scope.pop(RAISED)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        raise NoMatchFound(name, path_params)  # an app around ours asks every route
