"""Tokens of an outside issuer, signed by keys that it publishes (JWKS).

The settings name the issuer, the audience and the address of the keys, and this module names the
algorithms. None of them is taken from a token (RFC 8725). The claim `livejobs` holds the rights:
`{"scopes": […], "projects": […], "jobs": […]}`. Without projects the token sees nothing. If a
claim has another type, the whole token is refused: a claim not understood allows nothing.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Any, Final

import jwt
import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from livejobs import clock
from livejobs.config import Settings
from livejobs.core.access import LADDER, Principal, highest
from livejobs.core.errors import LivejobsError

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
KEYS_GOOD_FOR: Final = 600.0  # seconds
ASK_AGAIN: Final = 10.0  # seconds between requests, however many tokens have unknown keys
TIMEOUT: Final = 5.0  # seconds for a response
MOST_BYTES: Final = 256 * 1024

log = logging.getLogger("livejobs.issuer")


# Seconds since 1970, only as a number: PyJWT also accepts "1" and true.
Date = Annotated[float, Meta(ge=0, le=2**40)]


class Rights(Struct, frozen=True):
    """The claim `livejobs`. An empty list allows nothing; null is refused."""

    scopes: tuple[str, ...] = ("view",)  # may include scopes of other products
    projects: tuple[str, ...] = ()
    jobs: frozenset[str] | UnsetType = UNSET  # absent: all jobs of the projects


class Claims(Struct, frozen=True):
    """The claims that are read from a token, with their types."""

    sub: Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f]{1,255}\Z")]
    exp: Date
    nbf: Date = 0
    iat: Date = 0
    livejobs: Rights = Rights()


class UnknownSigner(Exception):
    """The token's key is unknown, or too old: call `refresh`, then verify again."""


class IssuerUnavailable(LivejobsError):
    """The token may be good: with 503 the client retries."""

    status, title, default_code = 503, "Issuer unavailable", "issuer_unavailable"


class Issuer:
    def __init__(self, issuer: str, audience: str, jwks_url: str) -> None:
        import httpx2  # noqa: PLC0415 - a sixth of a start, which few servers need

        self._http = httpx2
        self.issuer = issuer
        self._audience = audience
        self._url = jwks_url
        self._keys: dict[tuple[str, str], jwt.PyJWK] = {}  # by kid and algorithm
        self._fresh_until = 0.0
        self._ask_after = 0.0
        self._asking: asyncio.Task[None] | None = None
        self._failed = False  # the last request for the keys

    def verify(self, token: str) -> Principal:
        """The caller. Raises jwt.InvalidTokenError, UnknownSigner or IssuerUnavailable."""
        header = jwt.get_unverified_header(token)
        kid, algorithm = str(header.get("kid", "")), str(header.get("alg", ""))
        if algorithm not in ALGORITHMS:
            raise jwt.InvalidAlgorithmError(algorithm)
        key = self._keys.get((kid, algorithm))
        now = clock.monotonic()
        stale = key is None or now > self._fresh_until
        if stale and self._asking is None and now > self._ask_after:
            raise UnknownSigner
        if key is None and self._asking is not None:  # wait for the request under way
            raise UnknownSigner
        if key is None and self._failed:
            raise IssuerUnavailable(
                f"The keys of {self.issuer} can't be read. Try again later.",
                headers={"Retry-After": str(int(ASK_AGAIN))},
            )
        if key is None:
            raise jwt.InvalidKeyError("no such key")
        # PyJWT compares the times with the system's clock. Only the keyring's later checks, which
        # see the same `exp` again, follow `clock`.
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=self.issuer,
            audience=self._audience,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        return _principal(msgspec.convert(claims, Claims))

    async def refresh(self) -> None:
        """Request the keys. All callers share one request."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        await asyncio.shield(self._asking)

    async def _ask(self) -> None:
        """Request the keys. If that fails, the known keys stay valid."""
        self._failed = True
        try:
            async with (
                asyncio.timeout(TIMEOUT),
                self._http.AsyncClient(timeout=TIMEOUT, follow_redirects=False) as client,
            ):
                response = await client.get(self._url)
            response.raise_for_status()
            if len(response.content) > MOST_BYTES:
                raise ValueError("too large")
            self._learn(response.json()["keys"])
            self._failed = False
        except (self._http.HTTPError, TimeoutError, ValueError, KeyError, TypeError) as error:
            log.warning("The keys of %s can't be read from %s: %r", self.issuer, self._url, error)
        finally:
            self._ask_after = clock.monotonic() + ASK_AGAIN
            self._asking = None

    def _learn(self, published: list[dict[str, Any]]) -> None:
        keys = {}
        for one in published:
            try:
                key = jwt.PyJWK(one)
            except jwt.PyJWTError:  # not a signing key, or of an unknown type
                continue
            if key.algorithm_name in ALGORITHMS:
                keys[str(one.get("kid", "")), key.algorithm_name] = key
        self._keys = keys
        self._fresh_until = clock.monotonic() + KEYS_GOOD_FOR


def _principal(claims: Claims) -> Principal:
    rights = claims.livejobs
    scopes = [scope for scope in LADDER if scope in rights.scopes]
    if not scopes:
        raise jwt.InvalidTokenError("no scope")
    return Principal(
        f"sub:{claims.sub}",
        highest(scopes),
        rights.projects,
        None if rights.jobs is UNSET else rights.jobs,
        expires_at=int(claims.exp) * 1000,
        token=True,
    )


def issuer_of(settings: Settings) -> Issuer | None:
    if settings.jwks_url is None or settings.jwt_issuer is None or settings.jwt_audience is None:
        return None
    return Issuer(settings.jwt_issuer, settings.jwt_audience, settings.jwks_url)
