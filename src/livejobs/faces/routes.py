"""The routes of the faces. Every address admits requests as the rest of the server does, and
answers in the shape of its face, errors included.

A poll is answered with ready bytes, made once for each state of the job.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace
from starlette._utils import get_route_path
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from livejobs.core import wire
from livejobs.core.access import NEEDS, Principal
from livejobs.core.errors import LivejobsError, NotFound
from livejobs.faces.base import Call, Face, Place, Way, find
from livejobs.faces.given import seen
from livejobs.jobs.state import Slot
from livejobs.service import LiveJobs
from livejobs.web import guard, problems
from livejobs.web.fast import Hot
from livejobs.web.ids import echoed, request_id, sent_id
from livejobs.web.instant import Offer
from livejobs.web.ready import Given, Ready, ready

log = logging.getLogger("livejobs.faces")


class MethodNotAllowed(LivejobsError):
    status, title, default_code = 405, "Method not allowed", "method_not_allowed"


def routes(faces: Iterable[Face]) -> list[Hot]:
    """One for each address, and one for all addresses below a prefix."""
    found: list[Hot] = []
    for face in faces:
        each = addresses(face)
        found += [it for it in each if not face.holds(it.path)]
        if face.prefix:
            found.append(Gate(face, [it for it in each if face.holds(it.path)]))
    return found


def addresses(face: Face) -> list[Address]:
    """Each with all its methods."""
    return [
        Address(face, path, {way.method: way for way in face.ways if way.path == path})
        for path in dict.fromkeys(way.path for way in face.ways)
    ]


class Address(Hot):
    def __init__(self, face: Face, path: str, ways: Mapping[str, Way]) -> None:
        self._ways = ways
        self.door = Door(face, ways)
        super().__init__(path, self.door, methods=list(ways))

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The door answers a wrong method too, in the shape of its face."""
        await self.app(scope, receive, send)

    async def answer_fast(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Polls only. The door needs nothing of the framework, so both ways are one."""
        way = way_of(self._ways, scope)
        if way is None or not way.ready_for(scope):
            return False
        await self.app(scope, receive, send)
        return True

    def take(self, offer: Offer) -> bool:
        """Take a poll whose answer is made."""
        way = self._ways.get(offer.scope["method"])
        return way is not None and way.ready_for(offer.scope) and self.door.take(offer, way)


def way_of(ways: Mapping[str, Way], scope: Scope) -> Way | None:
    method = scope["method"]
    return ways.get("GET") if method == "HEAD" and "HEAD" not in ways else ways.get(method)


class Found(NamedTuple):
    address: Address
    parameters: dict[str, Any]


class Gate(Hot):
    """All addresses below the prefix of a face. A request for anything else is compared with the
    prefix, and with nothing more."""

    def __init__(self, face: Face, addresses: Sequence[Address]) -> None:
        self._face = face
        # `{id}:cancel` is tried before `{id}`, which would match it too.
        self.addresses = sorted(addresses, key=lambda it: it.path.endswith("}"))
        methods = {method for it in addresses for method in it.methods or ()}
        super().__init__(face.prefix, self._nothing_there, methods=sorted(methods))
        self.path_regex = re.compile(rf"{re.escape(face.prefix)}(?:/.*)?\Z", re.DOTALL)

    async def _nothing_there(self, request: Request) -> Response:
        error = NotFound("There is nothing at this address.")
        return refuse(self._face, error, "", request.scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._find(scope["method"], get_route_path(scope))
        if found is None:
            await self.app(scope, receive, send)
        else:
            scope["path_params"] = {**scope["path_params"], **found.parameters}
            await found.address.handle(scope, receive, send)

    async def answer_fast(self, scope: Scope, receive: Receive, send: Send) -> bool:
        found = self._find(scope["method"], get_route_path(scope))
        if found is None:
            return False
        scope["path_params"] = {**scope["path_params"], **found.parameters}
        return await found.address.answer_fast(scope, receive, send)

    def take(self, offer: Offer) -> bool:
        found = self._find(offer.scope["method"], offer.scope["path"])
        return found is not None and found.address.take(replace(offer, parameters=found.parameters))

    def _find(self, method: str, path: str) -> Found | None:
        """The address with this path that takes the method; else the first with this path, which
        refuses it. An id may end like a verb: `GET a:cancel` is the job `a:cancel`."""
        matches = ((it, it.path_regex.match(path)) for it in self.addresses)
        found = [Found(it, match.groupdict()) for it, match in matches if match is not None]
        takes = [it for it in found if method in (it.address.methods or ())]
        return next(iter(takes or found), None)


class Door:
    def __init__(self, face: Face, ways: Mapping[str, Way]) -> None:
        self.face = face
        self.ways = ways
        self._names = next(iter(ways.values())).names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        live: LiveJobs = scope["app"].live
        place = self._names.read(scope["path_params"])
        try:
            response = await self._answer(live, place, scope, receive)
        except LivejobsError as error:
            live.note_refusal(error)
            response = refuse(self.face, error, place.id, scope)
        except ClientDisconnect:
            raise
        except Exception:  # a bug; the client gets an answer in the shape of its face
            named = request_id(scope)
            log.exception("the face %r failed", self.face.name, extra={"request_id": named})
            response = refuse(self.face, UNEXPECTED, place.id, scope)
        await response(scope, receive, send)

    async def _answer(
        self, live: LiveJobs, place: Place, scope: Scope, receive: Receive
    ) -> Response:
        way = way_of(self.ways, scope)
        if way is None:
            raise self._method_not_allowed()
        by = await self._admit(live, scope, way)
        if self.face.check is not None:
            self.face.check(scope, way)
        if not way.ready_for(scope):
            assert way.handler is not None, "a way has a shape or a handler"
            return await way.handler(Call(Request(scope, receive), live, by, self.face, way))
        slot = await find(live, self.face, place, by)
        made: Ready | None = None if slot.forms is None else slot.forms.answers.get(way.path)
        made = made or await self._make(live, slot, way)
        return Given(made.to(scope))

    def take(self, offer: Offer, way: Way) -> bool:
        live, scope = offer.live, offer.scope
        by = self._admit_at_once(live, scope, way)
        place = self._names.read(offer.parameters)
        slot = None if by is None else live.at_hand(place.id, by)
        if by is None or slot is None or slot.forms is None or not place.has(slot.head):
            return False
        made: Ready | None = slot.forms.answers.get(way.path)
        if made is None or not self._passes(scope, way):
            return False
        if not guard.took_call(live.limiter("read"), by, scope["client"]):
            return False
        offer.reply.give(made.to(scope))
        return True

    def _passes(self, scope: Scope, way: Way) -> bool:
        if self.face.check is None:
            return True
        try:
            self.face.check(scope, way)
        except LivejobsError:
            return False
        return True

    def _admit_at_once(self, live: LiveJobs, scope: Scope, way: Way) -> Principal | None:
        if NEEDS[way.action] != "view":
            return None
        if self._is_public(live, way):
            return guard.ANYONE if live.running else None
        return guard.admit_at_once(live, scope, way.action)

    async def _admit(self, live: LiveJobs, scope: Scope, way: Way) -> Principal:
        if NEEDS[way.action] != "view":
            return await guard.admit(live, scope, way.action, "report")
        if self._is_public(live, way):
            return guard.admit_anyone(live, scope, "read")
        return await guard.admit(live, scope, way.action, "read")

    def _is_public(self, live: LiveJobs, way: Way) -> bool:
        return (way.public or self.face.public)(live.settings)

    async def _make(self, live: LiveJobs, slot: Slot, way: Way) -> Ready:
        assert way.shape is not None
        made = await seen(live, slot, way.shape, way.entries)
        answer = ready(wire.encode(made), str(slot.cursor), media_type=self.face.media_type)
        slot.current().keep(way.path, answer, answer.size)
        return answer

    def _method_not_allowed(self) -> MethodNotAllowed:
        both = {*self.ways, "HEAD"} if "GET" in self.ways else {*self.ways}
        allowed = ", ".join(sorted(both, key=METHODS.index))
        return MethodNotAllowed(f"This address takes {allowed}.", headers={"Allow": allowed})


METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
UNEXPECTED: Final = LivejobsError(problems.UNEXPECTED)


def refuse(face: Face, error: LivejobsError, id: str, scope: Scope) -> Response:
    sent = echoed(sent_id(scope))
    headers = {"cache-control": "no-store", **face.error_headers, **error.headers, **sent}
    if error.status == 503:
        headers.setdefault("Retry-After", "5")
    if face.refusal_to is None:
        body = face.refusal(error, id)
    else:
        body = face.refusal_to(error, Request(scope))
    return Response(msgspec.json.encode(body), face.status(error), headers, face.error_type)
