"""One address with the rule of each of its methods."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from livejobs.web import http
from livejobs.web.fast import Hot
from livejobs.web.guard import Rule, admit, admit_at_once, took_call
from livejobs.web.instant import Offer
from livejobs.web.ready import give


class Resource(Hot):
    """All methods of an address are one route, so that a 405 can list them."""

    def __init__(self, path: str, **rules: Rule) -> None:
        self.rules: Final = rules
        super().__init__(path, self._dispatch, methods=list(rules))

    async def _dispatch(self, request: Request) -> Response:
        rule = self.rules.get(request.method) or self.rules["GET"]  # which answers HEAD too
        if rule.action is not None:
            await admit(http.service(request), request.scope, rule.action, rule.rate)
        return await rule.handler(request)

    async def answer_fast(self, scope: Scope, receive: Receive, send: Send) -> bool:
        rule = self.rules.get(scope["method"])
        if rule is None or rule.fast is None or not rule.fast.plain(scope):
            return False
        if rule.action is not None:
            await admit(scope["app"].live, scope, rule.action, rule.rate)
        await give(await rule.fast.answer(scope, receive), scope, send)
        return True

    def take(self, offer: Offer) -> bool:
        rule, scope, live = self.rules.get(offer.scope["method"]), offer.scope, offer.live
        if rule is None or rule.fast is None or rule.action is None:
            return False
        if not http.once(rule.fast.plain, scope):
            return False
        by = admit_at_once(live, scope, rule.action)
        if by is None:
            return False
        prepared = rule.fast.instant.prepare(offer, by)
        if prepared is None or not took_call(live.limiter(rule.rate), by, scope["client"]):
            return False
        rule.fast.instant.act(offer, prepared)
        return True
