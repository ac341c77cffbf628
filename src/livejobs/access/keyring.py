"""Keys and tokens: what a credential is worth, from when to when.

A key is `lj_<id>_<secret>`. Only a digest of the secret is kept (it is random and long, so a
fast hash will do) and compared in constant time. A token is a JWT signed with this server's
own secret, or by an issuer named in the settings; it names the key that it stands on, and is
worth nothing without it.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections import OrderedDict
from hashlib import sha256
from pathlib import Path
from typing import Final

import jwt
import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from livejobs.access.issuer import Issuer
from livejobs.core.access import ANONYMOUS, LADDER, Principal, Scope, highest
from livejobs.core.errors import Invalid, Unauthorized
from livejobs.store.base import AuditRecord, Key, KeyStore

ISSUER: Final = "livejobs"
REMEMBERED: Final = 10_000  # credentials that were verified, so that a poll need not do it again
LONG: Final = 512  # characters of one; those past it, tokens for many jobs, are known by a digest
USED_EVERY: Final = 60_000  # ms; how exactly a key's last use is kept
LOOK_EVERY: Final = 3  # seconds: how often what lasts looks whether its credential is still good
NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z"
# A key with such a name would read like an identity that the server gives by itself.
RESERVED: Final = frozenset({
    "admin", "administrator", "anonymous", "anyone", "livejobs", "operator", "root", "server",
    "system",
})  # fmt: skip

_KEY = re.compile(r"lj_([a-z0-9]{8})_([A-Za-z0-9_-]{43})\Z")
_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"


class Grant(Struct, frozen=True):
    """What a token is to allow."""

    scope: Scope
    projects: tuple[str, ...] | None
    jobs: frozenset[str] | None
    expires_at: int


def operator() -> Principal:
    """Whoever can read the data directory: there is nothing left to keep from them."""
    return Principal("operator")


def check_name(name: str) -> None:
    """Whether a new key may be called so."""
    if not re.match(NAME_PATTERN, name):
        raise Invalid.at(
            "/name", "A name is a letter or digit, then up to 63 of A-Za-z0-9._@- Choose another."
        )
    if name.lower() in RESERVED:
        raise Invalid.at("/name", f"The name {name!r} is reserved. Choose another.")


def unauthorized(detail: str, code: str = "unauthorized") -> Unauthorized:
    # The scheme alone: what is wrong with the credential is in the body.
    return Unauthorized(detail, code=code, headers={"WWW-Authenticate": 'Bearer realm="livejobs"'})


def new_key(
    name: str,
    scopes: tuple[Scope, ...],
    projects: tuple[str, ...] | None,
    *,
    now: int,
    expires_at: int | None = None,
) -> tuple[Key, str]:
    """The key as it is kept, and as it is shown this once."""
    id = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    secret = secrets.token_urlsafe(32)
    key = Key(
        id=id,
        name=name,
        digest=_digest(secret),
        scopes=tuple(sorted(set(scopes), key=LADDER.index)),
        projects=projects,
        created_at=now,
        expires_at=expires_at,
    )
    return key, f"lj_{id}_{secret}"


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def load_secret(path: Path) -> bytes:
    """The signing secret beside the database, made on the first start. Only the owner reads it."""
    try:
        secret = bytes.fromhex(path.read_text().strip())
    except (FileNotFoundError, ValueError):
        secret = secrets.token_bytes(32)
        # Written whole or not at all: half a secret would end every token at the next start.
        fresh = path.with_suffix(".new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(secret.hex())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    return secret


class Keyring:
    """All keys in memory, as there are few and every request asks."""

    def __init__(
        self, store: KeyStore, *, admin_key: str | None = None, issuer: Issuer | None = None
    ) -> None:
        self._store = store
        self.issuer = issuer
        self._admin = None if admin_key is None else _digest(admin_key)
        self._sign_with(secrets.token_bytes(32))  # until the one that was kept is read
        self._keys: dict[str, Key] = {}
        # What a credential was once found to be. Whether that is still good is asked each time. A
        # digest of each would be a third of what a key costs, and hide nothing: what does not hash
        # alike under this process's own secret is not compared, so how long a miss takes tells
        # nothing.
        self._verified: OrderedDict[str | bytes, Principal] = OrderedDict()
        self._used: dict[str, int] = {}
        self.closed = admin_key is not None or issuer is not None  # access control is on

    def _sign_with(self, secret: bytes) -> None:
        self._secret = secret
        # Tokens of the admin key name it too, so that they end when another one is set. They can be
        # read by anyone, so the name is no digest of the key alone: a key that somebody thought up
        # could be guessed by it.
        admin = hmac.digest(secret, self._admin or b"", "sha256").hex()[:8]
        self._admin_id = "" if self._admin is None else f"admin-{admin}"

    async def load(self, secret: bytes | None = None) -> None:
        """Read the keys. `secret` signs tokens that outlive this process."""
        if secret is not None:
            self._sign_with(secret)
        self._keys = {key.id: key for key in await self._store.keys()}
        self.closed = self.closed or bool(self._keys)

    def all(self) -> list[Key]:
        used = self._used
        return [
            replace(key, last_used_at=used.get(key.id, key.last_used_at))
            for key in self._keys.values()
        ]

    def get(self, id: str) -> Key | None:
        return self._keys.get(id)

    async def add(self, key: Key, record: AuditRecord | None = None) -> None:
        """From the first one on access control is on, and stays on while the server runs: the
        last key revoked must lock the door, not open it."""
        await self._store.save_key(key, record)
        self._keys[key.id] = key
        self.closed = True

    async def revoke(self, id: str, record: AuditRecord | None = None) -> None:
        # First, so that nobody keeps its last use after it was dropped, and it with it.
        key = self._keys.pop(id)
        try:
            await self._store.drop_key(id, record)
        except Exception:  # whatever the store says no with; cancelled, it may have dropped the key
            self._keys[id] = key
            raise
        self._used.pop(id, None)

    async def note_uses(self) -> None:
        """Keep when keys were last used. For the sweeper: not worth a write each."""
        for id, at in list(self._used.items()):
            key = self._keys.get(id)
            if key is not None and at - (key.last_used_at or 0) >= USED_EVERY:
                self._keys[id] = replace(key, last_used_at=at)
                await self._store.save_key(self._keys[id])

    # What a credential is worth

    def identify(self, credential: str, now: int, *, keys: bool = True) -> Principal:
        """The caller. `keys` False: where only tokens are taken, since addresses and cookies
        end up in logs and other people's hands."""
        # As bytes: nobody can send those.
        mark = credential if len(credential) <= LONG else _digest(credential)
        known = self._verified.get(mark)
        if known is None:
            known = self._verified[mark] = self._verify(credential)
            if len(self._verified) > REMEMBERED:
                self._verified.popitem(last=False)
        if not (keys or known.token):
            raise unauthorized("Only tokens are taken here, not keys.", "token_required")
        self.require_valid(known, now)
        if known.key is not None and not known.token:
            self._used[known.key] = now
        return known

    def require_valid(self, principal: Principal, now: int) -> None:
        """Ask again: the credential may have ended since its request began."""
        why_not = self.valid(principal, now)
        if why_not is not None:
            raise unauthorized(why_not, "expired")

    def valid(self, principal: Principal, now: int) -> str | None:
        """Why the principal is no longer good; None while it is."""
        if self.closed and principal.name == ANONYMOUS.name:  # or its token, made while it was open
            return "There are keys now: this takes one, or a token."
        if principal.expires_at is not None and principal.expires_at <= now:
            return "The credential has expired."
        key = principal.key
        if key is not None and key not in self._keys and key != self._admin_id:
            return "The key was revoked."
        return None

    def _verify(self, credential: str) -> Principal:
        # The one of the settings may look like anything, so it comes first.
        if self._admin is not None and hmac.compare_digest(self._admin, _digest(credential)):
            return Principal("key:admin", key=self._admin_id)
        return self._token(credential) if credential.count(".") == 2 else self._key(credential)

    def _key(self, credential: str) -> Principal:
        found = _KEY.match(credential)
        key = self._keys.get(found[1]) if found else None
        if found is None or key is None or not hmac.compare_digest(key.digest, _digest(found[2])):
            raise unauthorized("The key is not known here, or was revoked.", "bad_credential")
        return Principal(
            f"key:{key.name}",
            highest(key.scopes),
            key.projects,
            key=key.id,
            expires_at=key.expires_at,
        )

    def _token(self, token: str) -> Principal:
        try:
            if self.issuer is not None and jwt.get_unverified_header(token).get("alg") != "HS256":
                return self.issuer.verify(token)
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                issuer=ISSUER,
                audience=ISSUER,
                options={"require": ["exp", "iss", "aud"], "verify_exp": False},
            )
            return msgspec.convert(claims, Claims).principal()
        # OverflowError: of PyJWT, from a time that is infinite.
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError, TypeError, OverflowError):
            raise unauthorized(
                "The token is not one that is good here.", "bad_credential"
            ) from None

    def mint(self, by: Principal, grant: Grant, now: int) -> str:
        claims = Claims(
            sub=by.name,
            exp=grant.expires_at // 1000,
            scope=grant.scope,
            projects=UNSET if grant.projects is None else grant.projects,
            jobs=UNSET if grant.jobs is None else tuple(sorted(grant.jobs)),
            key=UNSET if by.key is None else by.key,
        )
        common = {"iss": ISSUER, "aud": ISSUER, "iat": now // 1000, "jti": secrets.token_hex(8)}
        said = common | msgspec.to_builtins(claims)
        return jwt.encode(said, self._secret, algorithm="HS256")


class Claims(Struct, frozen=True):
    """What a token of ours says beside what every token does. What is not there does not limit;
    what is empty allows nothing."""

    sub: str
    exp: int
    scope: Scope
    projects: tuple[str, ...] | UnsetType = UNSET
    jobs: tuple[str, ...] | UnsetType = UNSET
    key: str | UnsetType = UNSET

    def principal(self) -> Principal:
        return Principal(
            self.sub,
            self.scope,
            None if self.projects is UNSET else self.projects,
            None if self.jobs is UNSET else frozenset(self.jobs),
            key=None if self.key is UNSET else self.key,
            expires_at=self.exp * 1000,
            token=True,
        )
