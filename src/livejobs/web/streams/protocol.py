"""`livejobs.v1`: the messages of a client, and the codes that close its connection."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta as Bound
from msgspec import Struct

from livejobs.core.errors import Invalid, LivejobsError
from livejobs.core.model import Status
from livejobs.live.options import View

PROTOCOL: Final = "livejobs.v1"

GOING_AWAY: Final = 1001
BAD_MESSAGE: Final = 4400
TOO_MUCH: Final = 4429
NOT_FOUND: Final = 4404

Id: TypeAlias = int | Annotated[str, Bound(max_length=100)]
LONGEST_NAME: Final = 200
Name: TypeAlias = Annotated[str, Bound(max_length=LONGEST_NAME)]
Names: TypeAlias = str | list[str]  # "a,b", as in a query, or a list


class Message(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op"):
    id: Id | None = None


class Feed(Struct, frozen=True, forbid_unknown_fields=True):
    project: Name | None = None
    type: Names = msgspec.field(default_factory=list)
    status: str | list[Status] = msgspec.field(default_factory=list)
    tag: Names = msgspec.field(default_factory=list)
    jobs: Names | None = None  # empty: none
    parent: Name | None = None
    owner: Name | None = None


class Subscribe(Message, frozen=True, tag="subscribe"):
    job: str | None = None
    feed: Feed | None = None
    since: str | None = None
    logs: bool = False
    view: View = "delta"
    rate: Annotated[float, Bound(ge=0.1, le=60)] = 30.0
    tail: Annotated[int, Bound(ge=0, le=1000)] = 100
    limit: Annotated[int, Bound(ge=1, le=1000)] = 100


class Unsubscribe(Message, frozen=True, tag="unsubscribe"):
    pass


class Report(Message, frozen=True, tag="report"):
    job: str = ""
    reports: msgspec.Raw = msgspec.Raw(b"[]")


class Auth(Message, frozen=True, tag="auth"):
    token: str = ""


class Ping(Message, frozen=True, tag="ping"):
    pass


AnyMessage: TypeAlias = Subscribe | Unsubscribe | Report | Auth | Ping
_decode: Final = msgspec.json.Decoder(AnyMessage).decode


class Named(Struct, frozen=True):
    """The id of any message, to answer a message that is not valid."""

    id: Id | None = None


_decode_named: Final = msgspec.json.Decoder(Named).decode


class Closing(Exception):
    """Close the connection, for a reason that the client gave."""

    def __init__(self, code: int, reason: str) -> None:
        self.code, self.reason = code, reason


def parse(text: str) -> AnyMessage:
    try:
        message: AnyMessage = _decode(text)
        return message
    except msgspec.ValidationError as error:
        raise Invalid(str(error), code="bad_message") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Closing(BAD_MESSAGE, "Send messages as JSON text.") from None


def id_of(text: str) -> Id | None:
    """The message's id, whatever else is wrong with it."""
    try:
        return _decode_named(text).id
    except msgspec.MsgspecError:
        return None


def required_id(message: Message) -> Id:
    if message.id is None:
        raise Invalid.at("/id", "A subscription needs an id.")
    return message.id


def close_code(error: LivejobsError) -> int:
    return {401: 4401, 403: 4403, 404: NOT_FOUND, 429: TOO_MUCH}.get(error.status, BAD_MESSAGE)
