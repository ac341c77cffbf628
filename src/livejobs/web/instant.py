"""Answer a request whose body came whole with its head, without a task: now, or when its report is
on disk.

The server offers such a request to the app (`App.instant`), and the app takes it or declines.
Everything that may end in a refusal is looked at first and changes nothing: in doubt the app
declines, and the request takes the normal way as if nothing had been asked. So refusals are made
in one place only. Then the request takes a call of its caller's rate, and is carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from msgspec import Struct
from starlette.types import Scope

from livejobs.core.access import Principal
from livejobs.service import LiveJobs
from livejobs.web.ready import Answer

T = TypeVar("T")
RAISED = "livejobs.raised"  # in the scope: what went wrong, for the framework's handlers


class Reply(Protocol):
    """To the client of one request that was taken. One of these is called, once."""

    def give(self, answer: Answer) -> None: ...

    def hand_back(self) -> None:
        """Let the app answer the request the normal way."""


#: Takes a request, or not: its target, its scope without path, its body.
Hook: TypeAlias = Callable[[bytes, Scope, bytes, Reply], bool]


class Offer(Struct, frozen=True):
    """A request that the app may take."""

    live: LiveJobs
    scope: Scope
    parameters: Mapping[str, Any]  # of the path
    body: bytes
    reply: Reply

    def fail(self, error: Exception) -> None:
        """The framework's handlers answer the error."""
        self.scope[RAISED] = error
        self.reply.hand_back()


class Instant(NamedTuple, Generic[T]):
    """How one method of a route takes a request."""

    #: What `act` needs. None: decline. Nothing changes here.
    prepare: Callable[[Offer, Principal], T | None]
    #: Carry it out. An error that is raised here is answered as if a handler had raised it.
    act: Callable[[Offer, T], None]
