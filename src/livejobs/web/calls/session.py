"""Log a browser in with a key, and out again. The browser gets a token in a cookie that scripts
can't read. The token lasts a day and can be renewed, so a login that nobody uses ends by itself."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from livejobs import clock
from livejobs.access.keyring import Grant
from livejobs.core import wire
from livejobs.core.access import Principal, actions, below
from livejobs.core.errors import Forbidden
from livejobs.core.times import wire_time
from livejobs.web import http
from livejobs.web.calls.admin import NO_STORE
from livejobs.web.guard import COOKIE, find_credential

DAY: Final = 24 * 3600 * 1000
TOKEN_LASTS: Final = DAY  # ms
SESSION_LASTS: Final = 30 * DAY  # ms, however often it is renewed
NAME: Final = COOKIE.decode().rstrip("=")


async def show(request: Request) -> Response:
    """What the caller may do, so that a page shows only what will work."""
    return _shown(request, http.principal(request))


async def begin(request: Request) -> Response:
    """Log in with the key or token of a header, or renew the login of the cookie."""
    keyring, by = http.service(request).keyring, http.principal(request)
    if not keyring.closed:  # everyone is admin, and a token would end with the first key
        return _shown(request, by)
    now = clock.now_ms()
    grant = Grant(by.scope, by.projects, by.jobs, *_ends(request, by, now))
    token = keyring.mint(by, grant, now)
    answer = _shown(request, keyring.identify(token, now))
    _set_cookie(request, answer, token, (grant.expires_at - now) // 1000)
    return answer


async def end(request: Request) -> Response:
    """Log out. It needs no credential: also a cookie that has expired must go."""
    answer = Response(status_code=204, headers=NO_STORE)
    _set_cookie(request, answer, "", 0)
    return answer


def _ends(request: Request, by: Principal, now: int) -> tuple[int, int]:
    """The end of the token, and of the session."""
    _, way = find_credential(request.scope)
    if way == "query":
        # A page of another site could send this request with a token of its own, and the browser's
        # user would work in the name of a stranger.
        raise Forbidden("Send the key in a header to log in.", code="key_required")
    if by.session_until is not None:
        until = by.session_until
    elif by.token:  # a login must not outlive the token that it was made from
        until = by.expires_at or now
    else:
        until = min(by.expires_at or now + SESSION_LASTS, now + SESSION_LASTS)
    return min(until, now + TOKEN_LASTS), until


def _set_cookie(request: Request, answer: Response, token: str, seconds: int) -> None:
    # Lax, so that a link in a mail can open a file. Requests that change something are checked by
    # their Origin (see guard.py). A proxy may end TLS, but the page's origin shows it.
    origin = request.headers.get("origin", "")
    answer.set_cookie(
        NAME,
        token,
        max_age=seconds,
        path=http.service(request).settings.base_path or "/",
        secure=request.url.scheme == "https" or origin.startswith("https://"),
        httponly=True,
        samesite="lax",
    )


def _shown(request: Request, by: Principal) -> Response:
    keyring = http.service(request).keyring
    shown: dict[str, Any] = {
        "name": by.name,
        "open": not keyring.closed,
        "scopes": below(by.scope),
        "may": actions(by),
        "projects": by.projects,
        "default_project": by.default_project,
        "jobs": None if by.jobs is None else sorted(by.jobs),
        "expires_at": wire_time(by.expires_at),
        "session_until": wire_time(by.session_until),
    }
    return http.JSONBytes(wire.encode(shown), 200, NO_STORE)
