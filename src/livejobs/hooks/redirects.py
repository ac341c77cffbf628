"""Where a redirect leads. The sender checks each address that it connects to, and so this one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from livejobs.hooks.formats import A2A_TOKEN, Answer, CannotSend, Request

MOST: Final = 3  # redirects of one request
# These keep the method and the body. The others make a GET of a POST, in most clients.
FOLLOWED: Final = frozenset({307, 308})
PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
SECRET: Final = ("authorization", A2A_TOKEN)  # for the receiver that the webhook names
_URL: Final = re.compile(r"[!-~]{1,8000}")


def redirected(request: Request, answer: Answer) -> Request | None:
    """The same request for the address to which the receiver redirects; None if it does not.
    Raises CannotSend."""
    if answer.status not in FOLLOWED:
        return None
    before = urlsplit(request.url)
    after = _place(request.url, answer.headers.get("location", ""))
    if (before.scheme, after.scheme) == ("https", "http"):
        raise CannotSend("The receiver redirects from https to http.")
    headers = dict(request.headers)
    if _origin(before) != _origin(after):
        for name in SECRET:
            headers.pop(name, None)
        after = after._replace(netloc=after.netloc.rpartition("@")[2])
    elif "@" in before.netloc:
        after = after._replace(netloc=before.netloc)
    return request._replace(url=after._replace(fragment="").geturl(), headers=headers)


def _place(url: str, location: str) -> SplitResult:
    try:
        parts = urlsplit(urljoin(url, location))
        usable = parts.scheme in PORTS and parts.hostname is not None and parts.port != 0
    except ValueError:
        usable = False
    if not usable or _URL.fullmatch(location) is None:
        raise CannotSend("The receiver redirects to something that is no address.")
    return parts


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or PORTS[parts.scheme]
