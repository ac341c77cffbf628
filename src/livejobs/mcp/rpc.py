"""JSON-RPC 2.0, as MCP uses it: one message a request, and errors with codes.

An id and a progress token are kept as the JSON text that the client sent, and go back as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from livejobs.core.decoding import decoded
from livejobs.core.errors import BadJson, LivejobsError

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
HEADER_MISMATCH: Final = -32020
MISSING_CAPABILITY: Final = -32021
UNSUPPORTED_VERSION: Final = -32022

LONGEST_TOKEN: Final = 256  # bytes of an id or a progress token: each notification repeats it
NO_ID: Final = b"null"

encode: Final = msgspec.json.Encoder().encode


class RpcError(Exception):
    def __init__(self, code: int, message: str, data: Mapping[str, Any] | None = None) -> None:
        self.code = code
        self.message = message
        self.data = data

    def document(self, id: bytes) -> bytes:
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = self.data
        return encode({"jsonrpc": "2.0", "id": Raw(id), "error": error})


class Message(Struct, frozen=True):
    """A request; without an id, a notification."""

    jsonrpc: str
    method: str
    id: Raw = Raw()
    params: Raw = Raw(b"{}")

    @property
    def notification(self) -> bool:
        return not bytes(self.id)


class _Identified(Struct, frozen=True):
    id: Raw = Raw(NO_ID)


_message: Final = msgspec.json.Decoder(Message)
_identified: Final = msgspec.json.Decoder(_Identified)


def parse(body: bytes) -> Message:
    if body.lstrip(b" \t\r\n").startswith(b"["):
        raise RpcError(INVALID_REQUEST, "Send one message, not a batch.")
    try:
        message: Message = decoded(_message, body)
    except BadJson as error:
        raise RpcError(PARSE_ERROR, error.detail) from None
    except LivejobsError as error:
        raise RpcError(INVALID_REQUEST, f"This is no JSON-RPC request. {error.detail}") from None
    if message.jsonrpc != "2.0":
        raise RpcError(INVALID_REQUEST, "'jsonrpc' must be \"2.0\".")
    if not message.notification and token(message.id) is None:
        raise RpcError(INVALID_REQUEST, f"'id' must be {_TOKEN}.")
    return message


def id_of(body: bytes) -> bytes:
    """The id in a message that may be wrong otherwise, for the answer that says so."""
    try:
        found: _Identified = _identified.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NO_ID
    return token(found.id) or NO_ID


_TOKEN: Final = f"text or a whole number of at most {LONGEST_TOKEN} bytes"
_WHOLE: Final = re.compile(rb"-?\d+")
_text: Final = msgspec.json.Decoder(str)


def token(value: Raw) -> bytes | None:
    """An id or a progress token as it was sent. None: it is neither text nor a whole number."""
    sent = bytes(value).strip()
    if len(sent) > LONGEST_TOKEN:
        return None
    if sent.startswith(b'"'):
        try:
            _text.decode(sent)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return sent
    return sent if _WHOLE.fullmatch(sent) else None


def params(decoder: msgspec.json.Decoder[Any], sent: Raw) -> Any:
    """The parameters of a method. A wrong one is the client's error, not its model's."""
    try:
        return decoded(decoder, bytes(sent))
    except LivejobsError as error:
        raise RpcError(INVALID_PARAMS, sentence(error)) from None


def sentence(error: LivejobsError) -> str:
    """What is wrong and where, for a reader who sees no other field of the error."""
    if not error.errors:
        return error.detail
    where, what = error.errors[0]
    said = error.detail if what in error.detail else f"{error.detail} {what}"
    return f"{where[1:]}: {said}" if where else said


def result(id: bytes, value: Mapping[str, Any]) -> bytes:
    return encode({"jsonrpc": "2.0", "id": Raw(id), "result": value})


def notification(method: str, params: Mapping[str, Any]) -> bytes:
    return encode({"jsonrpc": "2.0", "method": method, "params": params})
