"""What a face is: the same jobs in the wire shape of another status API.

A face is a table of ways, each an address with a method, and a pure function from a job to the
answer of that API. This module has the nouns, and the facts that every face words in its own way;
routes.py serves them. Only `Call` waits: it reads what a shape is given, and changes jobs.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from livejobs.config import Settings
from livejobs.core.access import Action, Principal, require, require_project
from livejobs.core.decoding import decoded
from livejobs.core.errors import Forbidden, Invalid, LivejobsError, NotFound
from livejobs.core.model import Head, Number
from livejobs.core.progress import percent as percent_of
from livejobs.core.reports import NewJob
from livejobs.core.times import rfc3339
from livejobs.core.wire import encode
from livejobs.faces.following import follow
from livejobs.faces.given import Around as Around  # noqa: PLC0414 - base has all that a face needs
from livejobs.faces.given import Needs, Shape, nothing, seen
from livejobs.faces.given import ResultLine as ResultLine  # noqa: PLC0414 - the same
from livejobs.faces.given import all_of as all_of  # noqa: PLC0414 - the same
from livejobs.jobs.state import Slot
from livejobs.live.form import Form
from livejobs.service import LiveJobs
from livejobs.store.base import Query
from livejobs.web import http
from livejobs.web.calls.jobs import hold, while_there
from livejobs.web.documents.parameters import Parameter
from livejobs.web.files.calls import CHANGED, PreconditionFailed, Unsatisfiable
from livejobs.web.streams.events import seen_ids

T = TypeVar("T")

JSON: Final = "application/json"


# The nouns


class Place(NamedTuple):
    """The job that an address names."""

    id: str
    project: str | None  # None: the address does not say

    def has(self, head: Head) -> bool:
        return self.project in (None, head.project)


class Names(NamedTuple):
    """The path's parameters that are a job's id and its project; empty for none. An app around ours
    may add parameters of its own."""

    job: str
    project: str

    def read(self, parameters: Mapping[str, Any]) -> Place:
        id = parameters[self.job] if self.job else ""
        return Place(id, parameters[self.project] if self.project else None)


class Call(NamedTuple):
    """An admitted request to a face. Each verb checks that the caller may use it, since a way
    names only one action."""

    request: Request
    live: LiveJobs
    by: Principal
    face: Face
    way: Way

    # Reading

    async def job(self, id: str | None = None) -> Slot:
        """The job with this id, by default the one that the address names; else this face's
        error."""
        place = self.way.names.read(self.request.path_params)
        return await find(self.live, self.face, place._replace(id=id or place.id), self.by)

    async def seen(self, slot: Slot, shape: Shape, needs: Needs = nothing) -> Any:
        return await seen(self.live, slot, shape, needs)

    async def ended(self, slot: Slot, seconds: float) -> None:
        """Wait until the job has ended, the time is over, or the client has disconnected."""
        await hold(self.request, slot, seconds, since=None, finished=True)

    async def until(self, slot: Slot, reached: Callable[[Head], bool], seconds: float) -> None:
        """The same, but until this holds of the job."""
        until = self.live.until
        await while_there(self.request, until(slot, lambda: reached(slot.head), seconds))

    def among(self, project: str | None = None, **filters: Any) -> Query:
        """The jobs of a project that the caller may see, by default of the caller's own. For
        `live.list` and `live.latest`."""
        name = project or self.by.default_project
        require(self.by, "view")
        require_project(self.by, name)
        return Query((name,), ids=tuple(sorted(seen_ids(self.by))), **filters)

    async def body(self, type: type[T], default: T | None = None) -> T:
        """The body, as JSON of this type. `default` stands for an empty body, whose media type
        does not matter then: some clients send the type of a form with it."""
        scope = self.request.scope
        body = await http.read_body(scope, self.request.receive, self.live.bounds.body)
        if not body and default is not None:
            return default
        http.check_json(scope)
        value: T = decoded(msgspec.json.Decoder(type), body)
        return value

    # Changing

    async def create(self, new: NewJob, key: str | None = None) -> tuple[Slot, bool]:
        """The job, and whether it is new. `key`: an idempotency key."""
        require(self.by, "create")
        creating = self.live.creating
        return await creating.once(new, by=self.by, key=key)

    async def answer(self, slot: Slot, value: Any, n: int | None = None) -> Slot:
        """Answer what the job waits for."""
        require(self.by, "cancel")
        return await self.live.answer(slot.head.id, value, n=n, by=self.by)

    async def cancel(self, slot: Slot, *, force: bool = False) -> Slot:
        require(self.by, "cancel")
        return await self.live.cancel(slot.head.id, force=force, by=self.by)

    async def delete(self, slot: Slot) -> None:
        require(self.by, "delete")
        await self.live.delete(slot.head.id, by=self.by)

    # Answering

    def follow(self, slot: Slot, form: Form, since: int, hello: bytes, **more: Any) -> Response:
        """A stream: first `hello`, then the changes after this seq as the form words them."""
        return follow(self.live.hub, self.by, slot, form, since, hello=hello, **more)

    def json(self, value: Any, status: int = 200) -> Response:
        headers = {"cache-control": "no-store"}
        return Response(encode(value), status, headers, self.face.media_type)


class Way(NamedTuple):
    """An address with a method. With `shape`, the answer is made by it from the job that the path
    names, and kept until the job changes. Without, `handler` makes the answer. With both, the
    handler answers requests with a query, which may ask for another shape."""

    path: str
    summary: str
    shape: Shape | None = None
    entries: Needs = nothing  # of which kinds the shape is given all
    handler: Callable[[Call], Awaitable[Response]] | None = None
    stream: Form | None = None  # of a handler that returns `Call.follow` with it
    method: str = "GET"  # HEAD is answered by GET, unless there is a way for it
    action: Action = "view"  # one that needs more than the scope `view` has the rate of reports
    # for the OpenAPI document
    returns: Any = None  # the type of the JSON; None: a file
    example: Any = None
    takes: Any = None  # the type of the body
    takes_example: Any = None
    status: int = 200
    empty: tuple[tuple[int, str], ...] = ()  # its answers without a body: status and meaning
    refuses: tuple[LivejobsError, ...] = ()  # its errors, beside those of every face
    #: The path's parameter that is the job's id. None: its first; empty: it names no job.
    job: str | None = None
    project: str = ""  # the parameter that is the job's project, if the path has one
    public: Callable[[Settings], bool] | None = None  # in place of the face's
    query: tuple[Parameter, ...] = ()  # for the OpenAPI document
    needs_body: bool = True  # the same; of one that takes a body
    media_type: str = ""  # the same; in place of the face's

    @property
    def names(self) -> Names:
        first = re.search(r"\{(\w+)", self.path)
        job = (first[1] if first else "") if self.job is None else self.job
        return Names(job, self.project)

    def ready_for(self, scope: Scope) -> bool:
        """Whether the shape answers this request."""
        return self.shape is not None and not (self.handler and scope["query_string"])


def nobody(settings: Settings) -> bool:
    return False


def everybody(settings: Settings) -> bool:
    return True


@dataclass(frozen=True)
class Face:
    name: str
    ways: tuple[Way, ...]
    refusal: Callable[[LivejobsError, str], Mapping[str, Any]]  # of an error and the id asked for
    denies: bool = False  # another project's job is 403, not 404
    public: Callable[[Settings], bool] = nobody  # whether it takes no credential
    # How long finished jobs of a type are kept where nothing else is set, in seconds.
    retention: Mapping[str, float] = field(default_factory=dict)
    #: What its addresses begin with, such as "/ogc". All else below it is 404 in the face's shape.
    #: A face with a prefix is off unless the settings name it.
    prefix: str = ""
    media_type: str = JSON  # of its answers
    error_type: str = JSON
    error_headers: Mapping[str, str] = field(default_factory=dict)
    #: Statuses of its errors, where it has others than we have.
    statuses: Mapping[int, int] = field(default_factory=dict)
    #: In place of `refusal`, for a face whose errors depend on more of the request than the id.
    refusal_to: Callable[[LivejobsError, Request], Mapping[str, Any]] | None = None
    #: What each request must satisfy, beside its access. It raises the face's error.
    check: Callable[[Scope, Way], None] | None = None

    def status(self, error: LivejobsError) -> int:
        return self.statuses.get(error.status, error.status)

    def holds(self, path: str) -> bool:
        """Whether an address lies below the prefix."""
        return bool(self.prefix) and (path + "/").startswith(self.prefix + "/")


def access_denied() -> Forbidden:
    return Forbidden("Access denied", code="foreign_job")


def no_file() -> NotFound:
    return NotFound("The job has no file.", code="no_file")


# Further errors of a download, caused by its headers and its query; for the OpenAPI document.
NOT_SENT: Final = (
    no_file(),
    PreconditionFailed(CHANGED),
    Unsatisfiable("The file has 1000 bytes, and none of them is in the requested range."),
    Invalid("Query parameter 'inline' takes true or false."),
)


# Reading


async def find(live: LiveJobs, face: Face, place: Place, by: Principal) -> Slot:
    slot = await live.find(place.id)
    if not place.has(slot.head):
        raise NotFound.job(place.id)
    check_sees(face, by, slot.head)
    return slot


def check_sees(face: Face, by: Principal, head: Head) -> None:
    if not by.sees(head):
        raise access_denied() if face.denies else NotFound.job(head.id)


# Facts about a job


def detail_of(error: LivejobsError, words: Mapping[str, str]) -> str:
    """The face's own sentence for an error, by its code; ours if it has none."""
    return words.get(error.code, error.detail)


def percent(head: Head) -> int:
    return percent_of(head) or 0


def failure(head: Head, *, cancelled: str | None = "Cancelled") -> str | None:
    """Why the job has failed; None if it has not. `cancelled` is the reason of a cancelled job,
    where the source has no status for it. The reason of a retry is not a failure."""
    if head.status == "cancelled":
        return cancelled
    return head.error.message if head.status == "failed" and head.error is not None else None


def whole(value: Number | None) -> int:
    """For clients that expect an integer."""
    return int(value or 0)


def text(values: Mapping[str, Any], name: str) -> str:
    """A value of free-form data, if it is a string; else empty."""
    value = values.get(name)
    return value if isinstance(value, str) else ""


def integer(values: Mapping[str, Any], name: str) -> int:
    value = values.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def header_text(value: str) -> str:
    """The characters that a header can carry, cut to a length that every client accepts."""
    return "".join(one for one in value[:200] if " " <= one <= "~").strip()


def first_file(head: Head) -> str:
    return head.files[0].name if head.files else ""


def seconds_time(ms: int) -> str:
    """RFC 3339 without a fraction, for clients whose pattern has none."""
    return f"{rfc3339(ms)[:19]}Z"
