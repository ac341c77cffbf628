"""Admit a request: who sends it, whether they may, from where, and how often.

Every route has a Rule, and every request to a handler passes `admit` first. `admit` works on the
ASGI scope, so that the fast path and sockets ask the same question without a request object.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from urllib.parse import unquote_plus

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope

from livejobs import clock
from livejobs.access.issuer import UnknownSigner
from livejobs.access.keyring import Keyring, unauthorized
from livejobs.access.limits import Limiter, party
from livejobs.core.access import ANONYMOUS, Action, Principal, require
from livejobs.core.errors import Forbidden, LivejobsError, TooMany
from livejobs.service import LiveJobs
from livejobs.web.http import PRINCIPAL, header, once, takes
from livejobs.web.instant import Instant
from livejobs.web.ready import Answer

COOKIE: Final = b"livejobs_token="
MOST_COOKIES: Final = 300  # that are read; browsers keep at most 180 for a site
LONGEST: Final = 32 << 10  # characters of a credential: a token names at most 100 jobs
TOKEN: Final = "livejobs.token"  # noqa: S105 - the key in the scope of a token from the address
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

NO_CREDENTIAL: Final = "A key or a token is required. Send the header 'Authorization: Bearer KEY'."

ANYONE: Final = Principal("anyone", "view")

Handler = Callable[[Request], Awaitable[Response]]
Client: TypeAlias = Sequence[Any] | None  # as in the scope: host and port


Rate: TypeAlias = Literal["read", "report"]


class Fast(NamedTuple):
    """How to answer without the framework. `answer` is awaited once the caller is admitted, and
    only for a request that is `plain`: the handler answers all others. `instant` waits for
    nothing at all."""

    plain: Callable[[Scope], bool]
    answer: Callable[[Scope, Receive], Awaitable[Answer]]
    instant: Instant[Any]


class Rule(NamedTuple):
    """The rule of one method of a route."""

    action: Action | None  # None: everyone may, as it holds no data
    rate: Rate
    handler: Handler
    fast: Fast | None = None


def read(action: Action, handler: Handler, fast: Fast | None = None) -> Rule:
    return Rule(action, "read", handler, fast)


def change(action: Action, handler: Handler, fast: Fast | None = None) -> Rule:
    return Rule(action, "report", handler, fast)


def public(handler: Handler) -> Rule:
    return Rule(None, "read", handler)


class Misdirected(LivejobsError):
    status, title, default_code = 421, "Misdirected request", "misdirected"


async def admit(live: LiveJobs, scope: Scope, action: Action, rate: Rate) -> Principal:
    """The caller, once it is known, allowed to, and not too fast."""
    live.check_running()
    by = await identify(live.keyring, scope)
    check_origin(live, scope, by)
    check_rate(live.limiter(rate), by, scope.get("client"))
    require(by, action)
    scope[PRINCIPAL] = by
    return by


def admit_at_once(live: LiveJobs, scope: Scope, action: Action) -> Principal | None:
    """The caller, by all checks of `admit` but the rate. None: something must be waited for or
    refused. Nothing has changed then, so `admit` does it."""
    try:
        live.check_running()
        by = identify_at_once(live.keyring, scope)
        if by is not None:
            check_origin(live, scope, by)
            require(by, action)
    except LivejobsError:
        return None
    return by


def admit_anyone(live: LiveJobs, scope: Scope, rate: Rate) -> Principal:
    """For what a setting has made public: everyone may read it, but not too fast."""
    live.check_running()
    check_rate(live.limiter(rate), ANYONE, scope.get("client"))
    scope[PRINCIPAL] = ANYONE
    return ANYONE


async def identify(keyring: Keyring, scope: Scope) -> Principal:
    if not keyring.closed:
        return ANONYMOUS
    credential, way = find_credential(scope)
    if credential is None:
        raise unauthorized(NO_CREDENTIAL)
    by = await worth(keyring, credential, keys=way == "header")
    return replace(by, cookie=True) if way == "cookie" else by


def identify_at_once(keyring: Keyring, scope: Scope) -> Principal | None:
    """None: there is no credential, or it must be verified first."""
    if not keyring.closed:
        return ANONYMOUS
    credential, way = once(find_credential, scope)
    if credential is None:
        return None
    by = keyring.recall(credential, clock.now_ms(), keys=way == "header")
    return replace(by, cookie=True) if by is not None and way == "cookie" else by


async def worth(keyring: Keyring, credential: str, *, keys: bool = True) -> Principal:
    """The caller with this credential. If need be, fetch the keys of the outside issuer."""
    if len(credential) > LONGEST:
        raise unauthorized(f"A credential has at most {LONGEST} characters.", "bad_credential")
    try:
        return keyring.identify(credential, clock.now_ms(), keys=keys)
    except UnknownSigner:
        assert keyring.issuer is not None, "only an issuer raises this"
        await keyring.issuer.refresh()
        return keyring.identify(credential, clock.now_ms(), keys=keys)


def find_credential(scope: Scope) -> tuple[str | None, Literal["header", "query", "cookie"]]:
    """The first credential found: in a header, in the address, in a cookie."""
    cookies = []
    for name, value in scope["headers"]:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip().decode("latin-1"), "header"
        if name == b"x-api-key":
            return value.decode("latin-1").strip(), "header"
        if name == b"cookie":
            cookies.append(value)
    if TOKEN in scope:
        return scope[TOKEN], "query"
    return (_of_cookies(cookies), "cookie") if cookies else (None, "header")


def take_token(scope: Scope) -> None:
    """Take a token out of the address before anything else, so that no access log has it. A server
    or an app around ours logs this same scope, so the scope itself is changed."""
    tokens: list[bytes] = []
    others: list[bytes] = []
    for pair in scope["query_string"].split(b"&"):
        (tokens if pair.startswith(b"token=") else others).append(pair)
    if tokens:
        scope["query_string"] = b"&".join(others)
        scope[TOKEN] = unquote_plus(tokens[0][len(b"token=") :].decode("latin-1"))


def _of_cookies(headers: Sequence[bytes]) -> str | None:
    """The first token. Not parsed by http.cookies, which takes quadratic time (CVE-2024-7592); a
    token has no character that would be escaped."""
    for pair in b";".join(headers).split(b";", MOST_COOKIES)[:MOST_COOKIES]:
        if (cookie := pair.strip()).startswith(COOKIE):
            return cookie[len(COOKIE) :].strip(b' "').decode("latin-1")
    return None


# Where the request comes from


def check_origin(live: LiveJobs, scope: Scope, by: Principal) -> None:
    """A page of another site must not act with what the browser adds by itself: a cookie, or its
    place on this machine. The same-origin policy forbids such a page to read an answer; a stream
    is refused at once, as it would hold a connection."""
    keyring = live.keyring
    if not by.cookie and keyring.closed:
        return
    harmless = scope["type"] == "http" and scope["method"] in SAFE
    if harmless and not (by.cookie and _streams(scope)):
        return
    refuse_foreign(live, scope)


def refuse_foreign(live: LiveJobs, scope: Scope) -> None:
    """Refuse a page of another site, unless the setting allows it."""
    origin = once(_origin, scope)
    if origin is None or origin in live.settings.cors_origins:
        return
    # An origin is a scheme and a host, and no more; `null` has neither.
    _, is_one, host = origin.lower().partition("://")
    if not is_one or host != (header(scope, b"host") or "").lower():
        raise Forbidden(
            f"Pages of {origin!r} may not use this server. The setting cors_origins allows them.",
            code="foreign_origin",
        )


def _origin(scope: Scope) -> str | None:
    return header(scope, b"origin")


def _streams(scope: Scope) -> bool:
    accepted = header(scope, b"accept") or ""
    return takes(accepted, "text/event-stream") or scope["path"].endswith(("/events", ":subscribe"))


def check_host(allowed: frozenset[str], scope: Scope) -> Misdirected | None:
    """A foreign name may have been pointed here by an attacker (DNS rebinding)."""
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    if len(hosts) == 1 and host_name(hosts[0]) in allowed:
        return None
    sent = repr(hosts[0][:LONGEST_NAME]) if len(hosts) == 1 else f"{len(hosts)} hosts"
    return Misdirected(f"This server does not answer for {sent}. See its setting allowed_hosts.")


LONGEST_NAME: Final = 255
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:@/?#\[\]\\]+)(?::[0-9]{0,5})?", re.IGNORECASE)


@lru_cache(maxsize=256)  # nearly all requests name one of a few hosts
def host_name(host: str) -> str | None:
    """Without the port, which a tunnel or a container may have changed. None: malformed."""
    found = _HOST.fullmatch(host)
    return found[1].lower() if found else None


# Rates


def check_rate(limiter: Limiter | None, by: Principal, client: Client) -> None:
    """Each credential has a rate; where everyone is admin, each address."""
    if limiter is None:
        return
    if retry_after := limiter.take(_caller(by, client), clock.monotonic()):
        raise too_fast(limiter, retry_after)


def took_call(limiter: Limiter | None, by: Principal, client: Client) -> bool:
    """Whether a call of the rate was free, and was taken. If not, `check_rate` refuses."""
    return limiter is None or not limiter.try_take(_caller(by, client), clock.monotonic())


def _caller(by: Principal, client: Client) -> str:
    return address(client) if by is ANONYMOUS or by is ANYONE else by.credential


def address(client: Client) -> str:
    return party(str(client[0])) if client else "-"


def too_fast(limiter: Limiter, retry_after: int) -> TooMany:
    return TooMany(
        f"More than {limiter.rate.calls} calls in {limiter.rate.seconds:g} s. "
        f"Try again in {retry_after} s.",
        code="rate_limited",
        headers={
            "Retry-After": str(retry_after),
            "RateLimit-Policy": limiter.rate.policy,
            "RateLimit": f'"default";r=0;t={retry_after}',
        },
    )
