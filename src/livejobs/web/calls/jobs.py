"""The job over REST: create, read, list, answer, cancel, delete."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from typing import Annotated, Any, Final

import anyio
import msgspec
from msgspec import Meta as Bound
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope

from livejobs import clock
from livejobs.access.keyring import Grant, Keyring
from livejobs.core import reports as say
from livejobs.core import wire
from livejobs.core.access import Principal, require_project
from livejobs.core.cursor import Cursor, parse
from livejobs.core.decoding import decoded
from livejobs.core.errors import Conflict, Invalid, NotFound
from livejobs.core.model import FLAGS, ID_PATTERN, STATUSES
from livejobs.hooks.making import of_new_job
from livejobs.jobs.state import Slot
from livejobs.service import LiveJobs
from livejobs.store.base import Query
from livejobs.web import http
from livejobs.web.guard import TOKEN
from livejobs.web.instant import Instant, Offer
from livejobs.web.ready import Answer, Given, Ready, ready
from livejobs.web.streams.events import job_events, seen_ids
from livejobs.web.tags import not_modified, quote, tags

VIEW_LASTS: Final = 24 * 3600 * 1000  # ms
MOST_SKIPPED: Final = 1_000_000
AT_ONCE: Final = 100  # jobs that are cancelled in one transaction
POLL_AGAIN: Final = b"2"  # seconds, for Retry-After while a job is unfinished
POLL: Final = "poll"  # the key of a poll's answer in the slot


# Creating


async def create(request: Request) -> Response:
    live = http.service(request)
    http.check_json(request.scope)
    body = await http.read_body(request.scope, request.receive, live.bounds.body)
    creating, by, asked = live.creating, http.principal(request), say.decode_new_job(body)
    slot, made = await creating.once(asked, by=by, key=_idempotency(request))
    return await _created(request, slot, asked, made=made)


async def put(request: Request) -> Response:
    live = http.service(request)
    http.check_json(request.scope)
    body = await http.read_body(request.scope, request.receive, live.bounds.body)
    id = request.path_params["id"]
    creating, by, asked = live.creating, http.principal(request), say.decode_new_job(body)
    slot, made = await creating.put(id, asked, by=by)
    return await _created(request, slot, asked, made=made)


async def _created(request: Request, slot: Slot, asked: say.NewJob, *, made: bool) -> Response:
    live, by = http.service(request), http.principal(request)
    headers = {"location": f"{slot.base}/v1/jobs/{slot.head.id}", "cache-control": "no-store"}
    body, keyring = await live.state(slot), live.keyring
    if keyring.closed:
        body = _with(body, "view", _view(keyring, slot, by))
    if made and asked.webhooks:
        hooks = live.hooks
        found = await hooks.list(by, slot.head)
        body = _with(body, "webhooks", of_new_job(found, asked.webhooks))
    return http.JSONBytes(body, 201 if made else 200, headers)


def _with(job: bytes, name: str, value: object) -> bytes:
    """Add a member that only the creator gets."""
    return job[:-1] + b',"%s":' % name.encode() + wire.encode(value) + b"}"


def _view(keyring: Keyring, slot: Slot, by: Principal) -> dict[str, str]:
    """A token and an address to give to a browser: it may see this job, for a day, and no more."""
    now = clock.now_ms()
    until = min(by.expires_at or sys.maxsize, now + VIEW_LASTS)
    grant = Grant("view", (slot.head.project,), frozenset({slot.head.id}), until)
    token = keyring.mint(by, grant, now)
    return {"token": token, "url": f"{slot.base}/jobs/{slot.head.id}?token={token}"}


def _idempotency(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= 255:
        raise Invalid.at("/Idempotency-Key", "This header takes 1 to 255 characters.")
    return key


# Reading


def plain(scope: Scope) -> bool:
    """Whether the request asks for the job as it is now, and for no more."""
    if scope["query_string"]:
        return False
    for name, value in scope["headers"]:
        if name == b"prefer" or (name == b"accept" and b"event-stream" in value.lower()):
            return False
    return True


async def poll(scope: Scope, receive: Receive) -> Answer:
    """The answer to a plain request, from ready bytes: no request, no response, no encoding."""
    live: LiveJobs = scope["app"].live
    slot = await live.find(scope["path_params"]["id"], scope[http.PRINCIPAL])
    if live.shared:
        await _reach(live, slot, scope)
    made: Ready | None = slot.current().answers.get(POLL)
    return (made or await current(live, slot)).to(scope)


def _known(offer: Offer, by: Principal) -> Answer | None:
    """The same, if nothing must be read or learned first."""
    slot = offer.live.at_hand(offer.parameters["id"], by)
    if slot is None or (offer.live.shared and _newer(slot, offer.scope)):
        return None
    made = _made(slot)
    return None if made is None else made.to(offer.scope)


def _give(offer: Offer, answer: Answer) -> None:
    offer.reply.give(answer)


INSTANT: Final = Instant(_known, _give)


async def snapshot(request: Request) -> Response:
    if http.accepts(request, "text/event-stream"):
        return await job_events(request)
    live = http.service(request)
    slot = await live.find(request.path_params["id"], http.principal(request))
    await _reach(live, slot, request.scope)
    waited = await _wait(request, live, slot)
    answer = (await current(live, slot)).to(request.scope)
    if waited is not None:
        answer = answer.with_header(b"preference-applied", b"wait=%d" % waited)
    return Given(answer)


async def _reach(live: LiveJobs, slot: Slot, scope: Scope) -> None:
    """If the client has a newer state from another node, learn it first."""
    for cursor in _newer(slot, scope):
        await live.reach(slot, cursor)


def _newer(slot: Slot, scope: Scope) -> list[Cursor]:
    """The cursors that the client knows, and this node does not."""
    known = [
        parse(tag.removeprefix(b"W/").strip(b'"').decode("latin-1").partition("+")[0])
        for tag in tags(scope["headers"], b"if-none-match") or ()
    ]
    return [it for it in known if it and it.epoch == slot.epoch and it.seq > slot.seq]


async def current(live: LiveJobs, slot: Slot) -> Ready:
    """The answers to a poll, made once for each state of the job."""
    return _made(slot) or _make(slot, await live.state(slot))


def _made(slot: Slot) -> Ready | None:
    """None: the job's entries must be read first."""
    known: Ready | None = slot.current().answers.get(POLL)
    if known is None and slot.tail is not None:
        known = _make(slot, slot.state_json(clock.now_ms()))
    return known


def _make(slot: Slot, body: bytes) -> Ready:
    """The body is older than the tag: a queued job's place is part of both."""
    again = () if slot.head.finished else ((b"retry-after", POLL_AGAIN),)
    made = ready(body, slot.tag(clock.now_ms()), *again)
    slot.current().keep(POLL, made, size=0)  # the body is the slot's own
    return made


async def _wait(request: Request, live: LiveJobs, slot: Slot) -> int | None:
    """Hold the answer for as long as the client asked, while it knows the current state. Returns
    the seconds that the client prefers."""
    finished = http.choice(request, "until", ("finished",)) is not None
    seconds = http.preferred_wait(request.headers)
    if seconds is None and not finished:
        return None
    tag, cursor = quote(slot.tag(clock.now_ms())), quote(slot.cursor)
    known = not_modified(request.scope["headers"], tag, cursor)
    if finished or known:
        since = slot.seq if known else None
        await hold(request, slot, seconds or 30, since=since, finished=finished)
    return seconds


async def hold(
    request: Request, slot: Slot, seconds: float, *, since: int | None, finished: bool
) -> None:
    """Wait for the job, or until the client disconnects."""
    wait = http.service(request).wait
    await while_there(request, wait(slot, since=since, seconds=seconds, finished=finished))


async def while_there(request: Request, waiting: Awaitable[object]) -> None:
    """Wait for it, or until the client disconnects."""
    async with anyio.create_task_group() as group:
        group.start_soon(_cancel_when_gone, request, group.cancel_scope)
        await waiting
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
        skip=http.whole(request, "skip", 0, least=0, most=MOST_SKIPPED),
    )
    now = clock.now_ms()
    jobs = b",".join(slot.head_json(now) for slot in found.slots)
    rest = wire.encode({"next": found.next, "counts": found.counts})
    headers = {"cache-control": "private, no-cache", "vary": http.VARY}
    if found.next is not None:
        token = {"token": request.scope[TOKEN]} if TOKEN in request.scope else {}
        url = request.url.remove_query_params("skip")
        query_string = url.include_query_params(after=found.next, **token).query
        headers["link"] = f'<{live.settings.base_path}/v1/jobs?{query_string}>; rel="next"'
    return http.JSONBytes(b'{"jobs":[' + jobs + b"]," + rest[1:], 200, headers)


def query(request: Request) -> Query:
    """The filters of lists and feeds."""
    parameters = request.query_params
    q = parameters.get("q") or None
    if q is not None and not 3 <= len(q) <= 200:
        raise http.bad_query("q", "3 to 200 characters")
    return Query(
        projects=projects(request),
        statuses=http.several(request, "status", STATUSES),
        type=parameters.get("type") or None,
        tag=parameters.get("tag") or None,
        parent=parameters.get("parent") or None,
        owner=parameters.get("owner") or None,
        flag=next((it for it in FLAGS if it == http.choice(request, "flag", FLAGS)), None),
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


# Answering and ending


async def answer(request: Request) -> Response:
    live = http.service(request)
    http.check_json(request.scope)
    body = await http.read_body(request.scope, request.receive, live.bounds.body)
    given, by = say.decode_answer(body), http.principal(request)
    slot = await live.answer(request.path_params["id"], given.value, n=given.n, by=by)
    return http.JSONBytes(await live.state(slot), 202, {"cache-control": "no-store"})


async def cancel(request: Request) -> Response:
    live = http.service(request)
    force = http.switch(request, "force")
    slot = await live.cancel(request.path_params["id"], force=force, by=http.principal(request))
    return http.JSONBytes(await live.state(slot), 202, {"cache-control": "no-store"})


class CancelMany(Struct, frozen=True, forbid_unknown_fields=True):
    jobs: Annotated[list[Annotated[str, Bound(pattern=ID_PATTERN)]],
                    Bound(min_length=1, max_length=1000)]  # fmt: skip
    force: bool = False


_cancel_many: Final = msgspec.json.Decoder(CancelMany)


async def cancel_many(request: Request) -> Response:
    """Each job has its own result: that one has ended meanwhile does not stop the others."""
    live, by = http.service(request), http.principal(request)
    http.check_json(request.scope)
    body = await http.read_body(request.scope, request.receive, live.bounds.body)
    asked: CancelMany = decoded(_cancel_many, body)
    ids = list(dict.fromkeys(asked.jobs))
    results: list[dict[str, Any]] = []
    # Some at once share a transaction. All at once would hold up everyone else for too long.
    for at in range(0, len(ids), AT_ONCE):
        some = ids[at : at + AT_ONCE]
        calls = [live.cancel(id, force=asked.force, by=by) for id in some]
        found = await asyncio.gather(*calls, return_exceptions=True)
        results += map(_cancelled, some, found)
    return http.JSONBytes(wire.encode({"results": results}), 200, {"cache-control": "no-store"})


def _cancelled(id: str, result: Slot | BaseException) -> dict[str, Any]:
    if isinstance(result, Slot):
        return {"job": id, "ok": True, "status": result.head.status}
    if isinstance(result, NotFound | Conflict):
        return {"job": id, "ok": False, "code": result.code, "detail": result.detail}
    raise result


async def delete(request: Request) -> Response:
    await http.service(request).delete(request.path_params["id"], by=http.principal(request))
    return Response(status_code=204)
