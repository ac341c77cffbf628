"""The job over REST: create, read, list, cancel, delete."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope, Send

from livejobs import clock
from livejobs.access.keyring import Grant
from livejobs.core import reports as say
from livejobs.core import wire
from livejobs.core.access import Principal, require_project
from livejobs.core.errors import Invalid, NotFound
from livejobs.core.model import STATUSES
from livejobs.jobs.state import Slot
from livejobs.service import LiveJobs
from livejobs.store.base import Query
from livejobs.web import http
from livejobs.web.guard import TOKEN, admit
from livejobs.web.ready import Ready, give, ready
from livejobs.web.streams.events import job_events, seen_ids

VIEW_LASTS: Final = 24 * 3600 * 1000  # ms
POLL_AGAIN: Final = "2"  # seconds, for Retry-After while a job is unfinished
POLL: Final = "poll"  # the key of a poll's answer in the slot


# Creating


async def create(request: Request) -> Response:
    live = http.service(request)
    http.check_json(request.scope)
    body = await http.read_body(request.scope, request.receive, live.bounds.body)
    slot, new = await live.creating.once(
        say.decode_new_job(body), by=http.principal(request), key=_idempotency(request)
    )
    return await _created(request, live, slot, new)


async def put(request: Request) -> Response:
    live = http.service(request)
    http.check_json(request.scope)
    body = await http.read_body(request.scope, request.receive, live.bounds.body)
    id = request.path_params["id"]
    new = say.decode_new_job(body)
    slot, made = await live.creating.put(id, new, by=http.principal(request))
    return await _created(request, live, slot, made)


async def _created(request: Request, live: LiveJobs, slot: Slot, new: bool) -> Response:
    headers = {"location": f"{slot.base}/v1/jobs/{slot.head.id}", "cache-control": "no-store"}
    body = await live.state(slot)
    if live.keyring.closed:
        body = (
            body[:-1] + b',"view":' + wire.encode(_view(live, slot, http.principal(request))) + b"}"
        )
    return http.JSONBytes(body, 201 if new else 200, headers)


def _view(live: LiveJobs, slot: Slot, by: Principal) -> dict[str, str]:
    """What to hand to a browser: it can see this job, for a day, and do nothing else."""
    now = clock.now_ms()
    until = min(by.expires_at or sys.maxsize, now + VIEW_LASTS)
    grant = Grant("view", (slot.head.project,), frozenset({slot.head.id}), until)
    token = live.keyring.mint(by, grant, now)
    return {"token": token, "url": f"{slot.base}/jobs/{slot.head.id}?token={token}"}


def _idempotency(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= 255:
        raise Invalid.at("/Idempotency-Key", "This header takes 1 to 255 characters.")
    return key


# Reading


async def plain_snapshot(id: str, scope: Scope, send: Send) -> bool:
    """A poll of a job in memory, by ready bytes: no request, no response, no encoding. False:
    it asks for more than that, and nothing was sent."""
    live: LiveJobs = scope["app"].state.live
    slot = live.registry.get(id)
    if slot is None or slot.tail is None or scope["query_string"]:
        return False
    known = None
    for name, value in scope["headers"]:
        if name == b"if-none-match":
            known = value if known is None else known + b"," + value
        elif name == b"prefer" or (name == b"accept" and b"event-stream" in value.lower()):
            return False
    by = await admit(live, scope, "view", "read")
    if slot.gone or not by.sees(slot.head):
        raise NotFound.job(slot.head.id)
    made: Ready = slot.current().answers.get(POLL) or _make_answer(slot, await live.state(slot))
    await give(made.to(known), scope, send)
    return True


def _make_answer(slot: Slot, body: bytes) -> Ready:
    again = () if slot.head.finished else ((b"retry-after", POLL_AGAIN.encode()),)
    made = ready(body, slot.tag(clock.now_ms()), *again)
    slot.current().keep(POLL, made, size=0)  # the body is the slot's own
    return made


async def snapshot(request: Request) -> Response:
    if http.accepts(request, "text/event-stream"):
        return await job_events(request)
    live = http.service(request)
    slot = await live.find(request.path_params["id"], http.principal(request))
    headers = {"cache-control": "private, no-cache", "vary": http.VARY}
    known = http.none_match(request.headers)
    waited = await _wait(request, live, slot, known)
    if waited is not None:
        headers["preference-applied"] = f"wait={waited}"
    body = await live.state(slot)  # before the tag: a queued job's place is part of it
    headers["etag"] = f'W/"{slot.tag(clock.now_ms())}"'
    if not slot.head.finished:
        headers["retry-after"] = POLL_AGAIN
    if _matches(slot, known):
        return Response(status_code=304, headers=headers)
    return http.JSONBytes(body, 200, headers)


def _matches(slot: Slot, known: Sequence[str]) -> bool:
    """The whole tag, or the bare cursor by those who don't mind a queued job's place."""
    return bool(known) and (
        slot.tag(clock.now_ms()) in known or str(slot.cursor) in known or "*" in known
    )


async def _wait(request: Request, live: LiveJobs, slot: Slot, known: Sequence[str]) -> int | None:
    """Hold the answer as long as the client asked for and there is nothing new to say."""
    finished = http.choice(request, "until", ("finished",)) is not None
    asked = http.preferred_wait(request.headers)
    if asked is None and not finished:
        return None
    since = slot.seq if _matches(slot, known) else None
    if not finished and since is None:
        return asked
    await hold(request, slot, asked or 30, since=since, finished=finished)
    return asked


async def hold(
    request: Request, slot: Slot, seconds: float, *, since: int | None, finished: bool
) -> None:
    """Wait for the job, but not for a client that has gone."""
    live = http.service(request)
    async with anyio.create_task_group() as group:
        group.start_soon(_cancel_when_gone, request, group.cancel_scope)
        await live.wait(slot, since=since, seconds=seconds, finished=finished)
        group.cancel_scope.cancel()
    http.require_valid(request.scope)


async def _cancel_when_gone(request: Request, scope: anyio.CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def listing(request: Request) -> Response:
    live = http.service(request)
    found = await live.list(
        query(request),
        limit=http.whole(request, "limit", 100, least=1, most=1000),
        after=request.query_params.get("after"),
    )
    now = clock.now_ms()
    jobs = b",".join(slot.head_json(now) for slot in found.slots)
    rest = wire.encode({"next": found.next, "counts": found.counts})
    headers = {"cache-control": "private, no-cache", "vary": http.VARY}
    if found.next is not None:
        token = {"token": request.scope[TOKEN]} if TOKEN in request.scope else {}
        query_string = request.url.include_query_params(after=found.next, **token).query
        headers["link"] = f'<{live.settings.base_path}/v1/jobs?{query_string}>; rel="next"'
    return http.JSONBytes(b'{"jobs":[' + jobs + b"]," + rest[1:], 200, headers)


def query(request: Request) -> Query:
    """The filters of lists and feeds."""
    said = request.query_params
    q = said.get("q") or None
    if q is not None and not 3 <= len(q) <= 200:
        raise http.bad_query("q", "3 to 200 characters")
    return Query(
        projects=projects(request),
        statuses=http.several(request, "status", STATUSES),
        type=said.get("type") or None,
        tag=said.get("tag") or None,
        parent=said.get("parent") or None,
        owner=said.get("owner") or None,
        q=q,
        ids=tuple(sorted(seen_ids(http.principal(request)))),
    )


def projects(request: Request) -> tuple[str, ...] | None:
    by = http.principal(request)
    project = request.query_params.get("project") or by.default_project
    if project == "*":
        return by.projects
    require_project(by, project)
    return (project,)


# Ending


async def cancel(request: Request) -> Response:
    live = http.service(request)
    force = http.switch(request, "force")
    slot = await live.cancel(request.path_params["id"], force=force, by=http.principal(request))
    return http.JSONBytes(await live.state(slot), 202, {"cache-control": "no-store"})


async def delete(request: Request) -> Response:
    await http.service(request).delete(request.path_params["id"], by=http.principal(request))
    return Response(status_code=204)
