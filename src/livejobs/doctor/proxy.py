"""The way from a client to the server, through the proxies in front of it: a request, a stream and
a WebSocket through the public URL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final

import httpx2
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException

from livejobs.doctor.finding import Finding, failure, ok, warning

SOON: Final = 5.0  # seconds. A server sends the first event of a feed at once, a ping after 15.
FEED: Final = "/v1/events?limit=1"
DOCS: Final = "See docs/proxies.md for a configuration that was tested."


async def look(url: str, key: str | None) -> AsyncIterator[Finding]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    url = url.rstrip("/")
    try:
        async with httpx2.AsyncClient(headers=headers, timeout=SOON) as client:
            yield await _request(client, url)
            yield await _stream(client, url)
        yield await _socket(url, headers)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, TimeoutError) as error:
        yield failure(
            "public url",
            f"{shown(url)} does not answer: {_reason(error)}.",
            "Start the server, and check the name, the certificate and the proxy.",
        )


def shown(url: str) -> str:
    """Without a user and a password."""
    scheme, mark, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{mark}{place.rpartition('@')[2]}{slash}{path}"


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


async def _request(client: httpx2.AsyncClient, url: str) -> Finding:
    answer = await client.get(f"{url}/healthz")
    if answer.status_code != 200 or "ok" not in answer.text[:100]:
        return failure(
            "public url",
            f"{shown(url)}/healthz answers {answer.status_code}, and not as livejobs does.",
            "Check that the URL is that of livejobs, and that the proxy passes on all paths.",
        )
    return ok("public url", f"{shown(url)} answers.")


async def _stream(client: httpx2.AsyncClient, url: str) -> Finding:
    try:
        async with (
            asyncio.timeout(SOON),
            client.stream("GET", f"{url}{FEED}", headers={"accept": "text/event-stream"}) as answer,
        ):
            if answer.status_code != 200:
                return _refused(answer.status_code)
            if answer.headers.get("content-encoding", "identity") != "identity":
                return warning(
                    "streams",
                    "The proxy compresses event streams, which delays events.",
                    f"Turn compression off for text/event-stream. {DOCS}",
                )
            async for _ in answer.aiter_raw():
                return ok("streams", "The first event arrived at once: no proxy buffers.")
    except (TimeoutError, httpx2.ReadTimeout):
        return failure(
            "streams",
            f"No event arrived within {SOON:g} s: a proxy holds them back.",
            f"Turn response buffering off in the proxy (nginx: proxy_buffering off). {DOCS}",
        )
    return failure("streams", "The stream ended before its first event.", DOCS)


def _refused(status: int) -> Finding:
    if status in (401, 403):
        return warning(
            "streams",
            f"Not checked: the server answers {status}.",
            "Set LIVEJOBS_KEY to a key with the scope view.",
        )
    return failure("streams", f"An event stream is answered with {status}.", DOCS)


async def _socket(url: str, headers: Mapping[str, str]) -> Finding:
    address = f"ws{url.removeprefix('http')}/v1/ws"
    try:
        async with (
            asyncio.timeout(SOON),
            connect(address, additional_headers=headers, proxy=None),
        ):
            return ok("websockets", "A WebSocket was opened.")
    except InvalidStatus as error:
        status = error.response.status_code
        found = f"A WebSocket is answered with {status}."
    except (WebSocketException, TimeoutError, OSError) as error:
        found = f"A WebSocket can't be opened: {_reason(error)}."
    remedy = f"Let the proxy pass on the headers Upgrade and Connection. {DOCS}"
    return warning("websockets", found, remedy)
