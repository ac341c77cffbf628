"""Keys, tokens and the audit trail over REST."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta as Bound
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from livejobs import clock
from livejobs.access.keyring import NAME_PATTERN, Grant, check_name
from livejobs.access.keyring import new_key as made_key
from livejobs.core import wire
from livejobs.core.access import Principal, Scope, below, highest, require_project
from livejobs.core.decoding import decoded
from livejobs.core.errors import Conflict, Forbidden, Invalid, NotFound
from livejobs.core.model import ID_PATTERN, PROJECT_PATTERN, Head
from livejobs.core.times import wire_time
from livejobs.jobs.changes.acts import act_on
from livejobs.service import LiveJobs
from livejobs.store.audit import AuditEntry, AuditRecord
from livejobs.store.keys import Key
from livejobs.web import http

NO_STORE: Final = {"cache-control": "no-store"}
Project = Annotated[str, Bound(pattern=PROJECT_PATTERN)]
Job = Annotated[str, Bound(pattern=ID_PATTERN)]


class NewKey(Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Bound(pattern=NAME_PATTERN)]
    scopes: Annotated[list[Scope], Bound(min_length=1)]
    projects: Annotated[list[Project], Bound(min_length=1, max_length=100)] | None = None
    expires_at: Annotated[datetime, Bound(tz=True)] | None = None


class NewToken(Struct, frozen=True, forbid_unknown_fields=True):
    jobs: Annotated[list[Job], Bound(min_length=1, max_length=100)] | None = None
    project: Project | None = None
    scopes: Annotated[list[Scope], Bound(min_length=1)] = msgspec.field(
        default_factory=lambda: ["view"]
    )
    ttl_seconds: Annotated[int, Bound(ge=1, le=86_400)] = 900


_new_key: Final = msgspec.json.Decoder(NewKey)
_new_token: Final = msgspec.json.Decoder(NewToken)


# Keys


async def keys(request: Request) -> Response:
    keyring, by = http.service(request).keyring, http.principal(request)
    shown = [_shown(key) for key in keyring.all() if _governs(by, key)]
    return http.JSONBytes(wire.encode({"keys": shown}), 200, NO_STORE)


async def new_key(request: Request) -> Response:
    live = http.service(request)
    keyring = live.keyring
    asked: NewKey = decoded(_new_key, await _json(request, live))
    check_name(asked.name)
    by, now = http.principal(request), clock.now_ms()
    if by.token:
        raise Forbidden(
            "A token can't create keys, as they would outlive it. Use an admin key.",
            code="key_required",
        )
    # Only among keys that the caller may see, or the answer would reveal others.
    if any(key.name == asked.name and _governs(by, key) for key in keyring.all()):
        raise Conflict(
            f"A key named {asked.name!r} exists already. Choose another name.", code="key_exists"
        )
    projects = None if asked.projects is None else tuple(asked.projects)
    for project in projects or ():
        require_project(by, project)
    if projects is None and by.projects is not None:
        projects = by.projects  # an admin of some projects makes keys for those
    until = None if asked.expires_at is None else int(asked.expires_at.timestamp() * 1000)
    if until is not None and until <= now:
        raise Invalid.at("/expires_at", "Expected a time in the future.")
    if by.expires_at is not None:  # a new key does not outlive its maker
        until = min(until or by.expires_at, by.expires_at)
    key, secret = made_key(asked.name, tuple(asked.scopes), projects, now=now, expires_at=until)
    await keyring.add(key, _audit(by, "key.create", key))
    return http.JSONBytes(wire.encode({**_shown(key), "key": secret}), 201, NO_STORE)


async def revoke_key(request: Request) -> Response:
    keyring, by = http.service(request).keyring, http.principal(request)
    key = keyring.get(request.path_params["id"])
    if key is None or not _governs(by, key):
        raise NotFound("There is no key with this id.", code="key_not_found")
    await keyring.revoke(key.id, _audit(by, "key.revoke", key))
    return Response(status_code=204)


def _audit(by: Principal, action: str, key: Key) -> AuditRecord:
    detail = {"key": key.id, "name": key.name}
    return AuditRecord(clock.now_ms(), by.name, action, detail=detail, by_id=by.key)


def _governs(by: Principal, key: Key) -> bool:
    """An admin of some projects manages only keys of those projects."""
    if by.projects is None:
        return True
    return key.projects is not None and set(key.projects) <= set(by.projects)


def _shown(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": key.scopes,
        "projects": key.projects,
        "created_at": wire_time(key.created_at),
        "expires_at": wire_time(key.expires_at),
        "last_used_at": wire_time(key.last_used_at),
    }


# Tokens


async def new_token(request: Request) -> Response:
    live, by = http.service(request), http.principal(request)
    keyring = live.keyring
    body = await _json(request, live)
    asked: NewToken = decoded(_new_token, body) if body.strip() else NewToken()
    now = clock.now_ms()
    until = now + asked.ttl_seconds * 1000
    heads = await _jobs(live, by, asked)
    grant = Grant(
        _scope(by, asked),
        _projects(by, asked),
        by.jobs if asked.jobs is None else frozenset(asked.jobs),
        until if by.expires_at is None else min(until, by.expires_at),
    )
    # A person gives it to another person; a program makes one for each of its pages. Whoever was
    # given a link could as well pass that on, and must not fill the audit trail.
    if by.cookie and by.jobs is None:
        await live.record(_shares(by, grant, heads, now))
    token = keyring.mint(by, grant, now)
    answer = {"token": token, "expires_at": wire_time(grant.expires_at // 1000 * 1000)}
    return http.JSONBytes(wire.encode(answer), 201, NO_STORE)


def _scope(by: Principal, asked: NewToken) -> Scope:
    scope = highest(asked.scopes)
    if scope not in below(by.scope):
        raise Forbidden(
            f"The credential has the scope {by.scope!r}, so it can't grant {scope!r}.",
            code="missing_scope",
        )
    return scope


def _projects(by: Principal, asked: NewToken) -> tuple[str, ...] | None:
    if asked.project is None:
        return by.projects
    require_project(by, asked.project)
    return (asked.project,)


async def _jobs(live: LiveJobs, by: Principal, asked: NewToken) -> list[Head]:
    """The jobs that the token is for, once it is certain that the caller may see each."""
    heads = [(await live.find(id, by)).head for id in dict.fromkeys(asked.jobs or ())]
    for head in heads:
        if asked.project is not None and head.project != asked.project:
            raise NotFound.job(head.id)
    return heads


def _shares(by: Principal, grant: Grant, heads: list[Head], now: int) -> list[AuditRecord]:
    detail = {"scope": grant.scope, "expires_at": wire_time(grant.expires_at // 1000 * 1000)}
    return [act_on(head, now, by, "share", **detail) for head in heads]


# The audit trail


async def audit(request: Request) -> Response:
    """Newest first. An admin of some projects sees only those projects."""
    live, by = http.service(request), http.principal(request)
    limit, before = _page(request)
    entries = await live.audit(limit=limit, before=before)
    shown = [
        _act(one, by) for one in entries if by.projects is None or one.record.project in by.projects
    ]
    next_ = entries[-1].n if len(entries) == limit else None
    return http.JSONBytes(wire.encode({"acts": shown, "next": next_}), 200, NO_STORE)


async def audit_of_job(request: Request) -> Response:
    """Newest first, down to the job's creation."""
    live, by = http.service(request), http.principal(request)
    head = (await live.find(request.path_params["id"], by)).head
    limit, before = _page(request)
    entries = await live.audit(limit=limit, before=before, job=head.id)
    own = [one for one in entries if _is_of(one.record, head)]
    begun = bool(own) and own[-1].record.action == "create"  # recorded if the owner is another
    more = len(entries) == limit and own[-1:] == [*entries[-1:]] and not begun
    if not (more or begun):
        act = AuditRecord(head.created_at, head.owner, "create", head.project, head.id)
        own.append(AuditEntry(0, act))
    next_ = entries[-1].n if more else None
    acts = [_act(one, by) for one in own]
    return http.JSONBytes(wire.encode({"acts": acts, "next": next_}), 200, NO_STORE)


def _is_of(record: AuditRecord, head: Head) -> bool:
    """A job that was deleted may have had the same id. The time of an act tells little: the clock
    may have been set back after the job was created."""
    if record.project != head.project or record.action == "delete":
        return False
    if record.created_at is None:  # written by an older version
        return record.at >= head.created_at
    return record.created_at == head.created_at


def _page(request: Request) -> tuple[int, int | None]:
    limit = http.whole(request, "limit", 100, least=1, most=1000)
    return limit, http.whole(request, "before", None, least=1, most=2**53)


def _act(one: AuditEntry, by: Principal) -> dict[str, Any]:
    it = one.record
    return {
        "n": one.n,
        "at": wire_time(it.at),
        "by": it.by,
        "by_id": it.by_id if by.may("audit") else None,  # it names a key
        "action": it.action,
        "project": it.project,
        "job": it.job,
        "detail": it.detail,
    }


async def _json(request: Request, live: LiveJobs) -> bytes:
    http.check_json(request.scope)
    return await http.read_body(request.scope, request.receive, live.bounds.body)
