"""Answer the most frequent requests (reports, polls, polls of faces) before the framework, whose
layers would cost more than the answer.

The routes and their rules are the framework's own: only its layers are left out. When an
answer fails here, the framework raises the same error again, so that one place makes error
answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import Any, Final

from starlette._utils import get_route_path
from starlette.applications import Starlette
from starlette.convertors import StringConvertor
from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound, Route
from starlette.types import Receive, Scope, Send

from livejobs.service import LiveJobs
from livejobs.web.instant import RAISED, Offer, Reply

PLAIN: Final = re.compile(rb"(?:/[A-Za-z0-9._:~-]+)+/?")
LONGEST: Final = 256  # bytes of a target
REMEMBERED: Final = 2000  # targets


class Hot(Route):
    """A route with a fast path."""

    @cached_property
    def conversions(self) -> list[tuple[str, Callable[[str], Any]]]:
        """Of the parameters that are not plain text."""
        return [
            (name, convertor.convert)
            for name, convertor in self.param_convertors.items()
            if not isinstance(convertor, StringConvertor)
        ]

    async def answer_fast(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer a request that matches. False: nothing was sent, the framework has to answer."""
        raise NotImplementedError

    def take(self, offer: Offer) -> bool:
        """Whether this route takes a request that matches (see instant.py)."""
        return False


class FastPath:
    def __init__(self, app: Starlette, live: LiveJobs, hot: Sequence[Hot]) -> None:
        self._app = app
        self._live = live
        self._powers = live.powers
        self._at = lru_cache(REMEMBERED)(self._find)  # most requests are for a few jobs
        self._by_method: dict[str, list[Hot]] = {}
        for route in hot:
            for method in route.methods or ():
                self._by_method.setdefault(method, []).append(route)

    async def answered(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Whether the request was answered. Raises what its handler raised."""
        route, parameters = self._match(scope["method"], get_route_path(scope))
        if route is None:
            return False
        if "path_params" in scope:  # of an app around this one
            parameters = {**scope["path_params"], **parameters}
        # A scope that our own runner made is ours to change.
        own = scope if self._powers.called_directly(scope, send) else dict(scope)
        own["app"], own["path_params"] = self._app, parameters
        return await route.answer_fast(own, receive, send)

    def taken(self, target: bytes, scope: Scope, body: bytes, reply: Reply) -> bool:
        """Whether the request was taken. Raises what must be answered the normal way."""
        found = self._at(scope["method"], target) if len(target) <= LONGEST else None
        if found is None:
            return False
        route, parameters, scope["path"] = found
        return route.take(Offer(self._live, scope, parameters, body, reply))

    def _find(self, method: str, target: bytes) -> tuple[Hot, dict[str, Any], str] | None:
        """Only for a target that is a path, and means the same before and after decoding."""
        if PLAIN.fullmatch(target) is None:
            return None
        path = target.decode("ascii")
        route, parameters = self._match(method, path)
        return None if route is None else (route, parameters, path)

    def _match(self, method: str, path: str) -> tuple[Hot | None, dict[str, Any]]:
        """As `Route.matches` does, for a third of its cost."""
        for route in self._by_method.get(method, ()):
            if (found := route.path_regex.match(path)) is not None:
                parameters = found.groupdict()
                for name, convert in route.conversions:
                    parameters[name] = convert(parameters[name])
                return route, parameters
        return None, {}


class Raised(BaseRoute):
    """The first route: it matches a request that failed on the fast path, and raises its error."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return (Match.FULL if RAISED in scope else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise scope.pop(RAISED)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        raise NoMatchFound(name, path_params)  # an app around ours asks every route
