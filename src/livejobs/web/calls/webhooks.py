"""Webhooks and their deliveries over REST."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta as Bound
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from livejobs.core import wire
from livejobs.core.decoding import decoded
from livejobs.core.errors import NotFound
from livejobs.core.model import PROJECT_PATTERN
from livejobs.core.reports import NewHook
from livejobs.core.times import wire_time
from livejobs.hooks.making import made_secret, shown
from livejobs.store.hooks import Delivery
from livejobs.web import http
from livejobs.web.calls.jobs import projects

NO_STORE: Final = {"cache-control": "no-store"}


class NewWebhook(NewHook, frozen=True, forbid_unknown_fields=True):
    """A webhook of a project."""

    project: Annotated[str, Bound(pattern=PROJECT_PATTERN)] | None = None


class Rotation(Struct, frozen=True, forbid_unknown_fields=True):
    secret: Annotated[str, Bound(min_length=1, max_length=200)] | None = None


_new: Final = msgspec.json.Decoder(NewWebhook)
_rotation: Final = msgspec.json.Decoder(Rotation)


async def listing(request: Request) -> Response:
    """Those of projects, or those of one job."""
    live, by = http.service(request), http.principal(request)
    hooks, job = live.hooks, request.query_params.get("job")
    if job is not None:
        found = await hooks.list(by, (await live.find(job, by)).head)
    else:
        wanted = projects(request)
        every = await hooks.list(by)
        found = [it for it in every if wanted is None or it.project in wanted]
    body = wire.encode({"webhooks": [shown(it) for it in found]})
    return http.JSONBytes(body, 200, NO_STORE)


async def create(request: Request) -> Response:
    by, hooks = http.principal(request), http.service(request).hooks
    asked: NewWebhook = decoded(_new, await _json(request))
    hook = await hooks.create(asked, asked.project or by.default_project, by)
    body = wire.encode(shown(hook) | made_secret(hook, asked.secret))
    return http.JSONBytes(body, 201, NO_STORE)


async def show(request: Request) -> Response:
    hooks, by = http.service(request).hooks, http.principal(request)
    hook = await hooks.find(request.path_params["id"], by)
    return http.JSONBytes(wire.encode(shown(hook)), 200, NO_STORE)


async def delete(request: Request) -> Response:
    hooks, by = http.service(request).hooks, http.principal(request)
    await hooks.remove(request.path_params["id"], by)
    return Response(status_code=204)


async def rotate(request: Request) -> Response:
    hooks, by = http.service(request).hooks, http.principal(request)
    body = await _json(request)
    asked: Rotation = decoded(_rotation, body) if body.strip() else Rotation()
    hook = await hooks.rotate(request.path_params["id"], asked.secret, by)
    answer = {**shown(hook), "old_until": wire_time(hook.old_until)}
    return http.JSONBytes(wire.encode(answer | made_secret(hook, asked.secret)), 200, NO_STORE)


async def test(request: Request) -> Response:
    hooks, by = http.service(request).hooks, http.principal(request)
    result = await hooks.test(request.path_params["id"], by)
    return http.JSONBytes(wire.encode(result), 200, NO_STORE)


async def deliveries(request: Request) -> Response:
    """Newest first."""
    hooks, by = http.service(request).hooks, http.principal(request)
    limit = http.whole(request, "limit", 100, least=1, most=1000)
    before = http.whole(request, "before", None, least=1, most=2**53)
    found = await hooks.deliveries(request.path_params["id"], by, limit=limit, before=before)
    next_ = found[-1].n if len(found) == limit else None
    body = wire.encode({"deliveries": [_delivery(it) for it in found], "next": next_})
    return http.JSONBytes(body, 200, NO_STORE)


async def replay(request: Request) -> Response:
    hooks, by = http.service(request).hooks, http.principal(request)
    id, text = request.path_params["id"], request.path_params["n"]
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise NotFound(f"There is no delivery {text!r}.", code="delivery_not_found")
    await hooks.replay(id, int(text), by)
    return Response(status_code=202)


def _delivery(it: Delivery) -> dict[str, Any]:
    return {
        "n": it.n,
        "job": it.job,
        "event": it.event,
        "at": wire_time(it.at),
        "state": it.state,
        "replay": it.replay,
        "attempts": it.attempts,
        "next_at": wire_time(it.next_at),
        "ended_at": wire_time(it.ended_at),
        "code": it.code,
        "ms": it.ms,
        "error": it.error,
    }


async def _json(request: Request) -> bytes:
    live = http.service(request)
    http.check_json(request.scope)
    return await http.read_body(request.scope, request.receive, live.bounds.body)
