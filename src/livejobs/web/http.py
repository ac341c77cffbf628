"""Read requests: bodies up to a limit, query parameters, and a few headers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope

from livejobs import clock
from livejobs.core.access import Principal
from livejobs.core.errors import (
    BodyTooLarge,
    FieldError,
    Invalid,
    LivejobsError,
    UnsupportedMediaType,
)
from livejobs.service import LiveJobs

T = TypeVar("T")

PRINCIPAL: Final = "livejobs.principal"  # in the scope, once admitted
NOTES: Final = "livejobs.notes"  # in the scope: what is known of all requests with this head
JSON: Final = "application/json"
NDJSON: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
VARY: Final = "Accept, Authorization, Origin, Prefer"


class BadRequest(LivejobsError):
    status, title, default_code = 400, "Bad request", "bad_request"


class JSONBytes(Response):
    """JSON that is already encoded."""

    media_type = JSON


def service(request: Request) -> LiveJobs:
    live: LiveJobs = request.app.state.live
    return live


def principal(request: Request) -> Principal:
    """The caller that was admitted (see guard.py)."""
    by: Principal = request.scope[PRINCIPAL]
    return by


def once(find: Callable[[Scope], T], scope: Scope) -> T:
    """What `find` finds in the head of the request. Where our own runner recognizes heads, it is
    asked once for all requests with the same head, so it must read nothing else."""
    notes = scope.get(NOTES)
    if notes is None:
        return find(scope)
    if find not in notes:
        notes[find] = find(scope)
    found: T = notes[find]
    return found


def header(scope: Scope, wanted: bytes) -> str | None:
    for name, value in scope["headers"]:
        if name == wanted:
            text: str = value.decode("latin-1")
            return text
    return None


def media_type(scope: Scope) -> str:
    sent = media_type_of(scope)
    if sent is None:
        raise BadRequest("The request has more than one Content-Type. Send one.")
    return sent


def media_type_of(scope: Mapping[str, Any]) -> str | None:
    """None: there are several, and each server might read another one."""
    values = [value for name, value in scope["headers"] if name == b"content-type"]
    if len(values) > 1:
        return None
    return _bare_type(values[0]) if values else ""


@lru_cache(maxsize=64)  # nearly all requests send one of a few types
def _bare_type(value: bytes) -> str:
    return value.partition(b";")[0].strip().lower().decode("latin-1")


def check_json(scope: Scope) -> None:
    check_coding(scope)
    sent = media_type(scope)
    if sent and sent != JSON and not sent.endswith("+json"):
        raise _unsupported(sent, JSON)


def takes_lines(scope: Scope) -> bool:
    """Whether the body is NDJSON. Any type but NDJSON and JSON is refused."""
    check_coding(scope)
    sent = media_type(scope)
    if sent in NDJSON:
        return True
    if sent and sent != JSON and not sent.endswith("+json"):
        raise _unsupported(sent, f"{JSON}, application/x-ndjson")
    return False


def check_coding(scope: Scope) -> None:
    coding = header(scope, b"content-encoding")
    if coding is not None and coding.lower() != "identity":
        raise UnsupportedMediaType(
            f"Content-Encoding {coding!r} is not supported here. Send the body without it.",
            headers={"Accept-Encoding": "identity"},
        )


def _unsupported(sent: str, taken: str) -> UnsupportedMediaType:
    return UnsupportedMediaType(
        f"Content-Type {sent!r} is not supported here. Send one of: {taken}.",
        headers={"Accept-Post": taken},
    )


def require_valid(scope: Scope) -> None:
    """Check the caller again, after its body has arrived or after a wait: its key may have been
    revoked since it was admitted."""
    live: LiveJobs = scope["app"].live
    keyring = live.keyring
    keyring.require_valid(scope[PRINCIPAL], clock.now_ms())


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body. A body that is too large is refused as soon as that is known."""
    declared = header(scope, b"content-length") or ""
    if declared.isdigit() and int(declared) > limit:
        raise too_large(limit)
    body, more = bytearray(), True  # bytes would be copied with each small piece
    while more:  # as request.stream() does, but cheaper
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > limit:
            raise too_large(limit)
        more = message.get("more_body", False)
    require_valid(scope)
    return bytes(body)


def too_large(limit: int, what: str = "A body", **extra: Any) -> BodyTooLarge:
    detail = f"{what} takes at most {limit} bytes."
    # The rest of the body is not read, so the connection can't be used again.
    return BodyTooLarge(
        detail, errors=[FieldError("", detail)], headers={"Connection": "close"}, extra=extra
    )


def accepts(request: Request, media: str) -> bool:
    """Whether the client names this type; `*/*` does not name it."""
    return takes(request.headers.get("accept", ""), media)


_REFUSED: Final = re.compile(r"q\s*=\s*0(?:\.0{0,3})?")


def takes(accept: str, media: str) -> bool:
    """Whether an Accept header names this type, and not only to refuse it (q=0)."""
    for accepted in accept.lower().split(","):
        media_range, *parameters = (part.strip() for part in accepted.split(";"))
        if media_range == media and not any(map(_REFUSED.fullmatch, parameters)):
            return True
    return False


_PREFER_WAIT: Final = re.compile(
    r'(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?=$|[,;])', re.IGNORECASE
)
LONGEST_WAIT: Final = 60  # under the usual timeouts of proxies


def preferred_wait(headers: Headers) -> int | None:
    """The seconds of `Prefer: wait=N`, capped. A malformed preference is ignored."""
    found = _PREFER_WAIT.search(",".join(headers.getlist("prefer")))
    seconds = int(found[1]) if found else 0
    return min(seconds, LONGEST_WAIT) or None


# Query parameters. The refusal of a wrong value points at its name.


def bad_query(name: str, takes: str) -> Invalid:
    return Invalid.at(f"/{name}", f"Query parameter {name!r} takes {takes}.")


def whole(request: Request, name: str, default: T, *, least: int, most: int) -> int | T:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise bad_query(name, f"a whole number from {least} to {most}")
    if not least <= int(text) <= most:
        raise bad_query(name, f"a whole number from {least} to {most}")
    return int(text)


def choice(request: Request, name: str, choices: Sequence[str]) -> str | None:
    text = request.query_params.get(name)
    if text is not None and text not in choices:
        raise bad_query(name, "one of: " + ", ".join(choices))
    return text


def switch(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false").lower()
    if text not in ("1", "true", "0", "false", ""):
        raise bad_query(name, "true or false")
    return text in ("1", "true")


def number(request: Request, name: str, default: float, *, least: float, most: float) -> float:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise bad_query(name, f"a number from {least:g} to {most:g}")
    return value


NAMES: Final = 100  # in one parameter or field


def names(request: Request, name: str) -> tuple[str, ...]:
    """The values of `a,b` and of repeated parameters."""
    values = [one for text in request.query_params.getlist(name) for one in text.split(",") if one]
    if len(values) > NAMES:
        raise bad_query(name, f"at most {NAMES} names")
    return tuple(dict.fromkeys(values))


def several(request: Request, name: str, choices: Sequence[str]) -> tuple[Any, ...]:
    """The values of `a,b` and of repeated parameters."""
    values = names(request, name)
    if any(one not in choices for one in values):
        raise bad_query(name, "one or more of: " + ", ".join(choices))
    return values
