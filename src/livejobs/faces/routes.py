"""The routes of the faces. Every address admits requests as the rest of the server does, and
answers in the shape of its face, errors included.

A poll is answered with ready bytes, made once for each state of the job.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from livejobs.core import wire
from livejobs.core.access import NEEDS, Principal
from livejobs.core.errors import LivejobsError
from livejobs.faces.base import Call, Face, Way, find, seen
from livejobs.jobs.state import Slot
from livejobs.service import LiveJobs
from livejobs.web import guard, http, problems
from livejobs.web.fast import Hot
from livejobs.web.ids import echoed, request_id, sent_id
from livejobs.web.instant import Offer
from livejobs.web.ready import Given, Ready, ready

log = logging.getLogger("livejobs.faces")


class MethodNotAllowed(LivejobsError):
    status, title, default_code = 405, "Method not allowed", "method_not_allowed"


def routes(faces: Iterable[Face]) -> list[Address]:
    """One for each address, with all its methods."""
    found: list[Address] = []
    for face in faces:
        for path in dict.fromkeys(way.path for way in face.ways):
            ways = {way.method: way for way in face.ways if way.path == path}
            found.append(Address(face, path, ways))
    return found


class Address(Hot):
    def __init__(self, face: Face, path: str, ways: Mapping[str, Way]) -> None:
        self._ways = ways
        self.door = Door(face, ways, job_parameter(path))
        super().__init__(path, self.door, methods=list(ways))

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The door answers a wrong method too, in the shape of its face."""
        await self.app(scope, receive, send)

    async def answer_fast(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Polls only. The door needs nothing of the framework, so both ways are one."""
        way = way_of(self._ways, scope)
        if way is None or way.shape is None:
            return False
        await self.app(scope, receive, send)
        return True

    def take(self, offer: Offer) -> bool:
        """Take a poll whose answer is made."""
        way = self._ways.get(offer.scope["method"])
        return way is not None and way.shape is not None and self.door.take(offer, way)


def way_of(ways: Mapping[str, Way], scope: Scope) -> Way | None:
    return ways.get("GET" if scope["method"] == "HEAD" else scope["method"])


def job_parameter(path: str) -> str | None:
    """The name of the path's one parameter. An app around ours may add parameters of its own."""
    found = re.search(r"\{(\w+)", path)
    return None if found is None else found[1]


class Door:
    def __init__(self, face: Face, ways: Mapping[str, Way], parameter: str | None) -> None:
        self.face = face
        self.ways = ways
        self._parameter = parameter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        live: LiveJobs = scope["app"].live
        id = "" if self._parameter is None else scope["path_params"][self._parameter]
        try:
            response = await self._answer(live, id, scope, receive)
        except LivejobsError as error:
            live.note_refusal(error)
            response = refuse(self.face, error, id, sent_id(scope))
        except ClientDisconnect:
            raise
        except Exception:  # a bug; the client gets an answer in the shape of its face
            named = request_id(scope)
            log.exception("the face %r failed", self.face.name, extra={"request_id": named})
            response = refuse(self.face, UNEXPECTED, id, named)
        await response(scope, receive, send)

    async def _answer(self, live: LiveJobs, id: str, scope: Scope, receive: Receive) -> Response:
        way = way_of(self.ways, scope)
        if way is None:
            raise self._method_not_allowed()
        by = await self._admit(live, scope, way)
        if way.shape is None:
            assert way.handler is not None, "a way has a shape or a handler"
            return await way.handler(Call(Request(scope, receive), live, by, self.face))
        slot = await find(live, self.face, id, by)
        made: Ready | None = None if slot.forms is None else slot.forms.answers.get(way.path)
        made = made or await self._make(live, slot, way)
        return Given(made.to(scope))

    def take(self, offer: Offer, way: Way) -> bool:
        live, scope = offer.live, offer.scope
        by = self._admit_at_once(live, scope, way)
        id = "" if self._parameter is None else offer.parameters[self._parameter]
        slot = None if by is None else live.at_hand(id, by)
        if by is None or slot is None or slot.forms is None:
            return False
        made: Ready | None = slot.forms.answers.get(way.path)
        if made is None or not guard.took_call(live.limiter("read"), by, scope["client"]):
            return False
        offer.reply.give(made.to(scope))
        return True

    def _admit_at_once(self, live: LiveJobs, scope: Scope, way: Way) -> Principal | None:
        if NEEDS[way.action] != "view":
            return None
        if self.face.public(live.settings):
            return guard.ANYONE if live.running else None
        return guard.admit_at_once(live, scope, way.action)

    async def _admit(self, live: LiveJobs, scope: Scope, way: Way) -> Principal:
        if NEEDS[way.action] != "view":
            return await guard.admit(live, scope, way.action, "report")
        if self.face.public(live.settings):
            return guard.admit_anyone(live, scope, "read")
        return await guard.admit(live, scope, way.action, "read")

    async def _make(self, live: LiveJobs, slot: Slot, way: Way) -> Ready:
        assert way.shape is not None
        made = await seen(live, slot, way.shape, way.entries)
        answer = ready(wire.encode(made), str(slot.cursor))
        slot.current().keep(way.path, answer, answer.size)
        return answer

    def _method_not_allowed(self) -> MethodNotAllowed:
        allowed = ", ".join([*self.ways, *(["HEAD"] if "GET" in self.ways else [])])
        return MethodNotAllowed(f"This address takes {allowed}.", headers={"Allow": allowed})


UNEXPECTED: Final = LivejobsError(problems.UNEXPECTED)


def refuse(face: Face, error: LivejobsError, id: str, request: str | None) -> Response:
    """`request`: the id of the request, if it has one."""
    headers = {"cache-control": "no-store", **error.headers, **echoed(request)}
    if error.status == 503:
        headers.setdefault("Retry-After", "5")
    body = msgspec.json.encode(face.refusal(error, id))
    return http.JSONBytes(body, error.status, headers)
