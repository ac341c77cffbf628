"""Keys and tokens: who a credential belongs to, and whether it is still valid.

A key is `lj_<id>_<secret>`. The store has only a digest of the secret, compared in constant time;
the secret is random and long, so a fast hash is enough. A token is a JWT signed with this server's
secret, or by the issuer in the settings. A token of this server names the key that created it, and
ends with that key.
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
from livejobs.store.audit import AuditRecord
from livejobs.store.keys import Key, KeyStore

ISSUER: Final = "livejobs"
REMEMBERED: Final = 10_000  # verified credentials, so that a poll need not verify again
LONG: Final = 512  # characters; longer ones (tokens for many jobs) are remembered by a digest
USED_EVERY: Final = 60_000  # ms; the precision of a key's last use
LOOK_EVERY: Final = 3  # seconds between checks of the credential of a long response
NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z"
# A key with such a name would look like an identity of the server itself.
RESERVED: Final = frozenset({
    "admin", "administrator", "anonymous", "anyone", "livejobs", "operator", "root", "server",
    "system",
})  # fmt: skip

_KEY = re.compile(r"lj_([a-z0-9]{8})_([A-Za-z0-9_-]{43})\Z")
_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"


class Grant(Struct, frozen=True):
    """The rights of a new token."""

    scope: Scope
    projects: tuple[str, ...] | None
    jobs: frozenset[str] | None
    expires_at: int
    session_until: int | None = None  # the token is of a login


def operator() -> Principal:
    """Anyone who can read the data directory. They can read everything anyway."""
    return Principal("operator")


def check_name(name: str) -> None:
    """Raise Invalid unless a new key may have this name."""
    if not re.match(NAME_PATTERN, name):
        raise Invalid.at(
            "/name", "A name is a letter or digit, then up to 63 of A-Za-z0-9._@-. Choose another."
        )
    if name.lower() in RESERVED:
        raise Invalid.at("/name", f"The name {name!r} is reserved. Choose another.")


def unauthorized(detail: str, code: str = "unauthorized") -> Unauthorized:
    # Only the scheme: the body says what is wrong with the credential.
    return Unauthorized(detail, code=code, headers={"WWW-Authenticate": 'Bearer realm="livejobs"'})


def new_key(
    name: str,
    scopes: tuple[Scope, ...],
    projects: tuple[str, ...] | None,
    *,
    now: int,
    expires_at: int | None = None,
) -> tuple[Key, str]:
    """The key to store, and the credential, which is shown only once."""
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


def _mark(credential: str) -> str | bytes:
    """What a credential is remembered by. The digest is bytes, so no credential equals it."""
    return credential if len(credential) <= LONG else _digest(credential)


def load_secret(path: Path) -> bytes:
    """The signing secret beside the database, created on the first start with mode 0600."""
    try:
        secret = bytes.fromhex(path.read_text().strip())
    except (FileNotFoundError, ValueError):
        secret = _new_secret()
        # Written completely or not at all: half a secret would end every token at the next start.
        fresh = path.with_suffix(".new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(secret.hex())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    return secret


def proposed_secret(path: Path | None) -> bytes:
    """A secret for nodes that share a database. If one of them was alone before, it is its own,
    so that its tokens stay valid."""
    try:
        return bytes.fromhex(path.read_text().strip()) if path is not None else _new_secret()
    except (FileNotFoundError, ValueError):
        return _new_secret()


def _new_secret() -> bytes:
    return secrets.token_bytes(32)


class Keyring:
    """All keys, in memory: there are few, and every request needs them."""

    def __init__(
        self, store: KeyStore, *, admin_key: str | None = None, issuer: Issuer | None = None
    ) -> None:
        self._store = store
        self.issuer = issuer
        self._admin = None if admin_key is None else _digest(admin_key)
        self._sign_with(secrets.token_bytes(32))  # until `load` reads the stored one
        self._keys: dict[str, Key] = {}
        # The principal of each verified credential; whether it is still valid is checked each
        # time. The lookup needs no digest: the hash of a str or bytes depends on a secret of this
        # process, and only equal hashes are compared, so the time of a miss reveals nothing.
        self._verified: OrderedDict[str | bytes, Principal] = OrderedDict()
        self._used: dict[str, int] = {}
        self.closed = admin_key is not None or issuer is not None  # access control is on

    def _sign_with(self, secret: bytes) -> None:
        self._secret = secret
        # Tokens of the admin key name the key too, so that they end when it changes. Anyone can
        # read a token, so the name is not a digest of the key alone: with that, a weak key could
        # be guessed offline.
        admin = hmac.digest(secret, self._admin or b"", "sha256").hex()[:8]
        self._admin_id = "" if self._admin is None else f"admin-{admin}"

    def stamp(self, purpose: str, value: bytes) -> bytes:
        """Proof that this server, or another node of it, has made the value. No token is signed
        over a NUL, so a stamp is never the signature of one."""
        return hmac.digest(self._secret, purpose.encode() + b"\0" + value, "sha256")

    async def load(self, secret: bytes | None = None) -> None:
        """Read the keys, at the start and when another node has changed them. With `secret`,
        tokens stay valid after a restart."""
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
        """Add a key. The first one turns access control on, and it stays on while the server
        runs: to revoke the last key must close the server, not open it."""
        await self._store.save_key(key, record)
        self._keys[key.id] = key
        self.closed = True

    async def revoke(self, id: str, record: AuditRecord | None = None) -> None:
        # First, so that the key opens nothing while it is dropped.
        key = self._keys.pop(id)
        try:
            await self._store.drop_key(id, record)
        except Exception:  # not on cancellation: then the store may have dropped the key
            self._keys[id] = key
            raise
        self._used.pop(id, None)

    async def note_uses(self) -> None:
        """Save when keys were last used: once a sweep, not with every request."""
        for id, at in list(self._used.items()):
            key = self._keys.get(id)
            if key is not None and at - (key.last_used_at or 0) >= USED_EVERY:
                self._keys[id] = replace(key, last_used_at=at)
                await self._store.note_use(self._keys[id])

    # Credentials

    def identify(self, credential: str, now: int, *, keys: bool = True) -> Principal:
        """The caller. With `keys` False only tokens are accepted: URLs and cookies end up in logs
        and in other people's hands."""
        known = self.recall(credential, now, keys=keys)
        if known is None:
            self._verified[_mark(credential)] = self._verify(credential)
            if len(self._verified) > REMEMBERED:
                self._verified.popitem(last=False)
            known = self.recall(credential, now, keys=keys)
            assert known is not None, "it was remembered just now"
        return known

    def recall(self, credential: str, now: int, *, keys: bool = True) -> Principal | None:
        """The same for a credential that was verified before. None: it was not."""
        known = self._verified.get(_mark(credential))
        if known is None:
            return None
        if not (keys or known.token):
            raise unauthorized("Only a token is accepted here, not a key.", "token_required")
        self.require_valid(known, now)
        if known.key is not None and not known.token:
            self._used[known.key] = now
        return known

    def require_valid(self, principal: Principal, now: int) -> None:
        """Check again: the credential may have ended since its request began."""
        why_not = self.valid(principal, now)
        if why_not is not None:
            raise unauthorized(why_not, "expired")

    def valid(self, principal: Principal, now: int) -> str | None:
        """Why the principal is no longer valid; None while it is."""
        if (
            self.closed and principal.name == ANONYMOUS.name
        ):  # or a token made while the server was open
            return "There are keys now: send a key or a token."
        if principal.expires_at is not None and principal.expires_at <= now:
            return "The credential has expired."
        key = principal.key
        if key is not None and key not in self._keys and key != self._admin_id:
            return "The key was revoked."
        return None

    def _verify(self, credential: str) -> Principal:
        # The admin key in the settings can have any form, so check it first.
        if self._admin is not None and hmac.compare_digest(self._admin, _digest(credential)):
            return Principal("key:admin", key=self._admin_id)
        return self._token(credential) if credential.count(".") == 2 else self._key(credential)

    def _key(self, credential: str) -> Principal:
        found = _KEY.match(credential)
        key = self._keys.get(found[1]) if found else None
        if found is None or key is None or not hmac.compare_digest(key.digest, _digest(found[2])):
            raise unauthorized("The key is unknown or was revoked.", "bad_credential")
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
                # The clock of the server that made it may be ahead, so iat is not compared.
                options={
                    "require": ["exp", "iss", "aud"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            return msgspec.convert(claims, Claims).principal()
        # OverflowError: PyJWT raises it for an infinite time.
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError, TypeError, OverflowError):
            raise unauthorized("The token is not valid on this server.", "bad_credential") from None

    def mint(self, by: Principal, grant: Grant, now: int) -> str:
        claims = Claims(
            sub=by.name,
            exp=grant.expires_at // 1000,
            scope=grant.scope,
            projects=UNSET if grant.projects is None else grant.projects,
            jobs=UNSET if grant.jobs is None else tuple(sorted(grant.jobs)),
            key=UNSET if by.key is None else by.key,
            session=UNSET if grant.session_until is None else grant.session_until // 1000,
        )
        common = {"iss": ISSUER, "aud": ISSUER, "iat": now // 1000, "jti": secrets.token_hex(8)}
        return jwt.encode(common | msgspec.to_builtins(claims), self._secret, algorithm="HS256")


class Claims(Struct, frozen=True):
    """The claims of this server's own tokens. An absent claim is no limit; an empty one allows
    nothing."""

    sub: str
    exp: int
    scope: Scope
    projects: tuple[str, ...] | UnsetType = UNSET
    jobs: tuple[str, ...] | UnsetType = UNSET
    key: str | UnsetType = UNSET
    session: int | UnsetType = UNSET  # the end of a login, up to which its token can be renewed

    def principal(self) -> Principal:
        return Principal(
            self.sub,
            self.scope,
            None if self.projects is UNSET else self.projects,
            None if self.jobs is UNSET else frozenset(self.jobs),
            key=None if self.key is UNSET else self.key,
            expires_at=self.exp * 1000,
            token=True,
            session_until=None if self.session is UNSET else self.session * 1000,
        )
