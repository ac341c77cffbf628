"""Send a request to a receiver: to an allowed address only, and within bounds of time and size.

Only a server that sends webhooks imports this module, since its library takes a sixth of a start.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import httpcore2

from livejobs.hooks.addresses import Allowed
from livejobs.hooks.formats import Answer, CannotSend, Request
from livejobs.hooks.redirects import MOST, redirected

TIMEOUT: Final = 15.0  # seconds for the whole request
CONNECT: Final = 10.0
ANSWER_BYTES: Final = 64 * 1024  # of an answer that are read
BODY: Final = 2.0  # seconds for the body of an answer
IDLE: Final = 15.0  # seconds that a connection is kept for the next request
AGENT: Final = f"livejobs/{version('livejobs')}"  # it is read from a file
TO_PRIVATE: Final = "The receiver redirects to an address that is not public."
LOOKUPS: Final = 32  # names that are resolved at once

Resolve = Callable[[str, int], Sequence[str]]


class NotAllowed(httpcore2.ConnectError):
    """The receiver's address is not public."""


def system_resolve(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(it[4][0]) for it in found))


class Guarded(httpcore2.AsyncNetworkBackend):
    """Connects to the address that was checked, so the name can't lead elsewhere in between. TLS
    still checks the certificate against the name."""

    def __init__(self, allowed: Allowed, resolve: Resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._net = httpcore2.AnyIOBackend()
        self._lookups = asyncio.Semaphore(LOOKUPS)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        found = await self._addresses(host.strip("[]"), port)
        anywhere = self._allowed.host(host)
        open_ = [it for it in found if anywhere or self._allowed.address(it)]
        if not open_:
            raise NotAllowed(f"{host} has no public address")
        for last, address in enumerate(open_, 1 - len(open_)):
            with suppress(*(() if last == 0 else (httpcore2.ConnectError,))):
                return await self._net.connect_tcp(address, port, timeout, None, socket_options)
        raise AssertionError("the last address is not suppressed")

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        """In a thread of its own: the shared ones would wait behind a slow name server, and the
        process waits for those at its end."""
        loop = asyncio.get_running_loop()
        async with self._lookups:
            found: asyncio.Future[Sequence[str]] = loop.create_future()
            thread = threading.Thread(target=self._look_up, args=(found, host, port), daemon=True)
            thread.start()
            return await found

    def _look_up(self, found: asyncio.Future[Sequence[str]], host: str, port: int) -> None:
        result: Any
        try:
            result = self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            result = httpcore2.ConnectError(f"{host} has no address ({_reason(error)})")
        with suppress(RuntimeError):  # the loop has ended
            found.get_loop().call_soon_threadsafe(_settle, found, result)


def _settle(found: asyncio.Future[Sequence[str]], result: Any) -> None:
    if found.done():
        return
    if isinstance(result, Exception):
        found.set_exception(result)
    else:
        found.set_result(result)


class Sender:
    def __init__(
        self,
        allowed: Allowed,
        *,
        resolve: Resolve = system_resolve,
        tls: Callable[[], ssl.SSLContext] = httpcore2.default_ssl_context,
        timeout: float = TIMEOUT,
    ) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._tls = tls
        self._timeout = timeout
        self._pool: httpcore2.AsyncConnectionPool | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        self._opening = asyncio.Lock()  # it belongs to one event loop
        if pool is not None:
            await pool.aclose()

    async def send(self, request: Request) -> Answer:
        """A few redirects are followed within the same time. Raises CannotSend."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._follow(await self._ready(), request)
        except TimeoutError:
            raise CannotSend(f"No answer within {self._timeout:g} s.") from None
        except NotAllowed:
            raise CannotSend(
                "The receiver's address is not public. See the setting webhook_allow_private."
            ) from None
        except httpcore2.TimeoutException:
            raise CannotSend("The receiver can't be reached in time.") from None
        except httpcore2.ProtocolError:  # its text may quote the answer
            raise CannotSend("The receiver's answer is not HTTP.") from None
        except (httpcore2.NetworkError, ssl.SSLError, OSError) as error:
            raise CannotSend(f"The connection failed: {_reason(error)}.") from None

    async def _follow(self, pool: httpcore2.AsyncConnectionPool, first: Request) -> Answer:
        answer = await self._send(pool, first)
        request, left = redirected(first, answer), MOST
        while request is not None:
            if left == 0:
                raise CannotSend(f"The receiver redirects more than {MOST} times.")
            try:
                answer = await self._send(pool, request)
            except NotAllowed:
                raise CannotSend(TO_PRIVATE) from None
            request, left = redirected(request, answer), left - 1
        return answer

    async def _ready(self) -> httpcore2.AsyncConnectionPool:
        async with self._opening:
            if self._pool is None:
                tls = await asyncio.to_thread(self._tls)  # it reads files
                self._pool = httpcore2.AsyncConnectionPool(
                    ssl_context=tls,
                    max_connections=None,  # whoever sends has a bound
                    max_keepalive_connections=50,
                    keepalive_expiry=IDLE,
                    network_backend=Guarded(self._allowed, self._resolve),
                )
        return self._pool

    async def _send(self, pool: httpcore2.AsyncConnectionPool, request: Request) -> Answer:
        url, credentials = _without_credentials(request.url)
        headers = {"user-agent": AGENT, **request.headers}
        if credentials is not None:
            headers.setdefault("authorization", f"Basic {credentials}")
        timeouts = {"connect": CONNECT, "read": self._timeout, "write": self._timeout}
        extensions = {"timeout": timeouts}
        async with pool.stream(
            request.method, url, headers=list(_raw(headers)), content=request.body,
            extensions=extensions,
        ) as answer:  # fmt: skip
            body = await _beginning(answer)
            names = {n.decode("latin-1").lower(): v.decode("latin-1") for n, v in answer.headers}
            return Answer(answer.status, names, body)


async def _beginning(answer: httpcore2.Response) -> bytes:
    """The status is known, so nobody waits for a slow body, and a body may be cut."""
    body = bytearray()
    with suppress(TimeoutError, httpcore2.NetworkError, httpcore2.ProtocolError):
        async with asyncio.timeout(BODY):
            async for piece in answer.aiter_stream():
                body += piece
                if len(body) >= ANSWER_BYTES:
                    break
    return bytes(body[:ANSWER_BYTES])


def _raw(headers: dict[str, str]) -> Iterable[tuple[bytes, bytes]]:
    return ((name.encode(), value.encode("latin-1")) for name, value in headers.items())


def _without_credentials(url: str) -> tuple[str, str | None]:
    parts = urlsplit(url)
    user, at, place = parts.netloc.rpartition("@")
    if not at:
        return url, None
    return parts._replace(netloc=place).geturl(), b64encode(unquote(user).encode()).decode()


def _reason(error: BaseException) -> str:
    """Without addresses that were found, which would tell of a network."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split())[:200]
    return text.rstrip(".") or "the receiver closed it"
