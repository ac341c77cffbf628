"""One request of a client: who sends it, in which era of the protocol, and what it declares.

The modern era (2026-07-28) has no session: each request names its version and the client's
capabilities in `_meta`. The legacy era opens with `initialize`. A request shows which one it is of.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from sys import intern
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct
from starlette.requests import Request
from starlette.types import Scope

from livejobs.core.access import Principal
from livejobs.mcp import rpc
from livejobs.mcp.lasting import Key, Lasting
from livejobs.mcp.rpc import RpcError
from livejobs.service import LiveJobs
from livejobs.web import http
from livejobs.web.guard import address

Era: TypeAlias = Literal["modern", "legacy"]

MODERN: Final = ("2026-07-28",)
LEGACY: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
UNNAMED: Final = "2025-03-26"  # of a legacy request without the header

PREFIX: Final = "io.modelcontextprotocol/"
VERSION_HEADER: Final = b"mcp-protocol-version"
METHOD_HEADER: Final = b"mcp-method"
NAME_HEADER: Final = b"mcp-name"


class _Meta(Struct, frozen=True):
    version: Raw = msgspec.field(default=Raw(), name=f"{PREFIX}protocolVersion")
    capabilities: Raw = msgspec.field(default=Raw(), name=f"{PREFIX}clientCapabilities")
    progress: Raw = msgspec.field(default=Raw(), name="progressToken")


class _Params(Struct, frozen=True):
    meta: _Meta = msgspec.field(default=_Meta(), name="_meta")


_params: Final = msgspec.json.Decoder(_Params)
_capabilities: Final = msgspec.json.Decoder(dict[str, Any])


class Form(Struct, frozen=True):
    """How a client reads its answers. A stream keeps this, and nothing else of its request."""

    id: bytes  # JSON, as it was sent
    version: str
    origin: str  # of the server, as the client knows it

    @property
    def modern(self) -> bool:
        return self.version in MODERN

    @property
    def links(self) -> bool:
        """Whether the client knows links to resources in results."""
        return self.version >= "2025-06-18"


class Call(Struct, frozen=True):
    live: LiveJobs
    request: Request
    by: Principal
    form: Form
    lasting: Lasting
    method: str
    params: Raw
    capabilities: Mapping[str, Any]  # the client's; a legacy client's are not known
    progress: bytes | None  # the token for notifications of progress; JSON, as it was sent

    @property
    def modern(self) -> bool:
        return self.form.modern

    @property
    def era(self) -> Era:
        return "modern" if self.modern else "legacy"

    def declares(self, extension: str) -> bool:
        """Whether the client has declared this extension of the protocol."""
        known = self.capabilities.get("extensions")
        return isinstance(known, dict) and extension in known


def call_of(request: Request, message: rpc.Message, lasting: Lasting, *, named: str | None) -> Call:
    """`named`: the parameter that the header Mcp-Name repeats, for this method."""
    meta = _meta(message)
    header = _header(request.scope, VERSION_HEADER)
    modern = bool(bytes(meta.version)) or header in MODERN
    version = _modern(request.scope, message, meta, named) if modern else _legacy(message, header)
    return Call(
        live=http.service(request),
        request=request,
        by=http.principal(request),
        form=Form(bytes(message.id).strip(), intern(version), intern(origin_of(request))),
        lasting=lasting,
        method=message.method,
        params=message.params,
        capabilities=rpc.params(_capabilities, meta.capabilities) if modern else {},
        progress=_progress(meta),
    )


def key_of(request: Request, id: bytes) -> Key:
    """Of the client's call with this id, among those that last."""
    return http.principal(request).credential, address(request.scope.get("client")), id


class _Cancelled(Struct, frozen=True):
    id: Raw = msgspec.field(default=Raw(), name="requestId")


_cancelled: Final = msgspec.json.Decoder(_Cancelled)


def cancelled_id(message: rpc.Message) -> bytes:
    """The id of the call to cancel. One that is malformed is of no call."""
    try:
        found: _Cancelled = rpc.params(_cancelled, message.params)
    except RpcError:
        return b""
    return bytes(found.id).strip()


def origin_of(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _meta(message: rpc.Message) -> _Meta:
    found: _Params = rpc.params(_params, message.params)
    return found.meta


def _progress(meta: _Meta) -> bytes | None:
    if not bytes(meta.progress):
        return None
    token = rpc.token(meta.progress)
    if token is None:
        raise RpcError(rpc.INVALID_PARAMS, "'progressToken' must be text or a whole number.")
    return token


def _legacy(message: rpc.Message, header: str | None) -> str:
    version = UNNAMED if header is None else header
    if version not in LEGACY and message.method != "initialize":
        raise unsupported(version, LEGACY)
    return version


def unsupported(version: str, supported: tuple[str, ...]) -> RpcError:
    return RpcError(
        rpc.UNSUPPORTED_VERSION,
        "This server does not support this version of the protocol.",
        {"supported": supported, "requested": version},
    )


# Modern requests


_text: Final = msgspec.json.Decoder(str)
_by_name: Final = msgspec.json.Decoder(dict[str, Raw])


def _modern(scope: Scope, message: rpc.Message, meta: _Meta, named: str | None) -> str:
    """The version, once everything that a modern request needs is there and agrees."""
    for field, sent in (
        ("protocolVersion", meta.version),
        ("clientCapabilities", meta.capabilities),
    ):
        if not bytes(sent):
            raise RpcError(rpc.INVALID_PARAMS, f"'_meta' lacks '{PREFIX}{field}'.")
    version: str = rpc.params(_text, meta.version)
    _agree(scope, VERSION_HEADER, version)
    _agree(scope, METHOD_HEADER, message.method)
    if named is not None:
        _agree(scope, NAME_HEADER, _name(message, named))
    if version not in MODERN:
        raise unsupported(version, MODERN)
    return version


def _name(message: rpc.Message, named: str) -> str | None:
    """None: there is none, or it is no text. The method itself refuses that."""
    sent: Raw = rpc.params(_by_name, message.params).get(named, Raw())
    try:
        return _text.decode(sent)
    except msgspec.DecodeError:
        return None


def _agree(scope: Scope, name: bytes, value: str | None) -> None:
    header = _header(scope, name)
    if value is not None and (header is None or _plain(header) != value):
        raise RpcError(
            rpc.HEADER_MISMATCH,
            f"The header {name.decode()} is missing, or differs from the body.",
        )


def _header(scope: Scope, wanted: bytes) -> str | None:
    values = [value for name, value in scope["headers"] if name == wanted]
    if len(values) > 1:  # readers in between might take another one than we do
        raise RpcError(rpc.HEADER_MISMATCH, f"The header {wanted.decode()} comes twice.")
    return values[0].decode("latin-1").strip() if values else None


_ENCODED: Final = re.compile(r"=\?base64\?(.*)\?=")


def _plain(header: str) -> str | None:
    """The value of a header that may be wrapped in base64. None: the wrapping is damaged."""
    found = _ENCODED.fullmatch(header)
    if found is None:
        return header
    try:
        return base64.b64decode(found[1], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
