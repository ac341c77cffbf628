"""What a face is: the same jobs in the wire shape of another status API.

A face is a table of ways, each an address with a method, and a pure function from a job to the
answer of that API. This module has the nouns, and the facts that every face words in its own way;
routes.py serves them. Only `Call` waits: it reads what a shape is given.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec
from msgspec import Raw, Struct
from starlette.requests import Request
from starlette.responses import Response

from livejobs.config import Settings
from livejobs.core.access import Action, Principal
from livejobs.core.errors import Forbidden, Invalid, LivejobsError, NotFound
from livejobs.core.model import EntryKind, Head, Number
from livejobs.core.progress import percent as percent_of
from livejobs.core.reducer import ErrorLine, LogLine
from livejobs.core.times import rfc3339
from livejobs.core.wire import encode
from livejobs.jobs.entries import Whole
from livejobs.jobs.state import Slot
from livejobs.live.channel import Viewer
from livejobs.live.form import Form
from livejobs.live.frames import FORM
from livejobs.live.options import Options
from livejobs.live.sink import Sink
from livejobs.service import LiveJobs
from livejobs.store.base import EntryQuery
from livejobs.web.calls.jobs import hold
from livejobs.web.files.calls import CHANGED, PreconditionFailed, Unsatisfiable
from livejobs.web.http import JSONBytes
from livejobs.web.streams.response import EVENTS, Headers, Stream

T = TypeVar("T")
Line = TypeVar("Line")

JSON: Final = "application/json"
LOG_SIZE: Final = 16 << 20  # characters of a job's log in one answer: the last of a longer one
LOG_LINES: Final = 100_000
LOGS_AT_ONCE: Final = 1000


# What a shape is given


class ResultLine(Struct):
    n: int
    at: str
    value: Raw


class Listed(Generic[Line]):
    """All entries of a kind. What is made of an entry is kept as the list grows."""

    def __init__(
        self,
        line: type[Line],
        entries: Sequence[Raw] = (),
        made: dict[Any, Any] | None = None,
    ) -> None:
        self._line = line
        self._entries = entries
        self._made = {} if made is None else made

    def each(self, make: Callable[[Line], T | None]) -> Sequence[T]:
        """What `make` returns for each entry, without None. It must be the same function each
        time: earlier results are found by it."""
        made: Made = self._made.setdefault(make, Made())
        for entry in self._entries[made.seen :]:
            one = make(msgspec.json.decode(entry, type=self._line))
            if one is not None:
                made.list.append(one)
        made.seen = len(self._entries)
        return made.list


class Made:
    def __init__(self) -> None:
        self.seen = 0
        self.list: list[Any] = []


class Around(NamedTuple):
    """What belongs to a job beside its head, as of the same moment. A way names the kinds of
    entries that it needs; the others are empty."""

    results: Listed[ResultLine] = Listed(ResultLine)
    errors: Listed[ErrorLine] = Listed(ErrorLine)
    logs: Sequence[LogLine] = ()
    base: str = ""  # before every link, where the app is mounted


Shape: TypeAlias = Callable[[Head, Around], Any]
Needs: TypeAlias = Callable[[Head], Sequence[EntryKind]]


def all_of(*kinds: EntryKind) -> Needs:
    """All entries of these kinds, in every state of the job."""

    def needs(head: Head) -> Sequence[EntryKind]:
        return kinds

    return needs


nothing: Final = all_of()


# The nouns


class Call(NamedTuple):
    """An admitted request to a face."""

    request: Request
    live: LiveJobs
    by: Principal
    face: Face

    async def job(self, id: str) -> Slot:
        """The job, if the caller may see it; else this face's error."""
        return await find(self.live, self.face, id, self.by)

    async def seen(self, slot: Slot, shape: Shape, needs: Needs = nothing) -> Any:
        return await seen(self.live, slot, shape, needs)

    async def ended(self, slot: Slot, seconds: float) -> None:
        """Wait until the job has ended, the time is over, or the client has disconnected."""
        await hold(self.request, slot, seconds, since=None, finished=True)

    def follow(
        self,
        slot: Slot,
        form: Form,
        since: int,
        hello: bytes,
        *,
        headers: Headers = EVENTS,
        seconds: float | None = None,
    ) -> Response:
        """First `hello`, then the changes after this seq as the form words them, to the job's end
        or for so many seconds."""
        options, hub = Options("form", form=form), self.live.hub

        def subscribe(sink: Sink) -> Viewer:
            return hub.watch_job(sink, FORM, slot, options, since, 0)

        return Stream(
            hub, self.by, subscribe, hello=hello, wire=FORM, headers=headers, seconds=seconds
        )

    def json(self, value: Any, status: int = 200) -> Response:
        return JSONBytes(encode(value), status, {"cache-control": "no-store"})


class Way(NamedTuple):
    """An address with a method. With `shape`, the answer is made by it from the job that the path's
    one parameter names. Without, `handler` makes the answer."""

    path: str
    summary: str
    shape: Shape | None = None
    entries: Needs = nothing  # of which kinds the shape is given all
    handler: Callable[[Call], Awaitable[Response]] | None = None
    stream: Form | None = None  # how the handler's stream words changes: see Call.follow
    method: str = "GET"
    action: Action = "view"
    # for the OpenAPI document
    returns: Any = None  # the type of the JSON; None: a file
    example: Any = None
    takes: Any = None  # the type of the body
    takes_example: Any = None
    status: int = 200
    refuses: tuple[LivejobsError, ...] = ()  # its errors, beside those of every face


def nobody(settings: Settings) -> bool:
    return False


@dataclass(frozen=True)
class Face:
    name: str
    ways: tuple[Way, ...]
    refusal: Callable[[LivejobsError, str], Mapping[str, Any]]  # of an error and the id asked for
    denies: bool = False  # another project's job is 403, not 404
    public: Callable[[Settings], bool] = nobody  # whether it takes no credential
    # How long finished jobs of a type are kept where nothing else is set, in seconds.
    retention: Mapping[str, float] = field(default_factory=dict)


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


async def find(live: LiveJobs, face: Face, id: str, by: Principal) -> Slot:
    slot = await live.find(id)
    check_sees(face, by, slot.head)
    return slot


def check_sees(face: Face, by: Principal, head: Head) -> None:
    if not by.sees(head):
        raise access_denied() if face.denies else NotFound.job(head.id)


async def seen(live: LiveJobs, slot: Slot, shape: Shape, needs: Needs) -> Any:
    """The shape of the job as of one moment: its head, and all entries that it counts."""
    with slot.held_whole():
        while True:
            kinds = needs(slot.head)
            whole = await live.whole(slot) if {"results", "errors"} & {*kinds} else Whole()
            logs = await _logs(live, slot) if "logs" in kinds else ()
            if needs(slot.head) == kinds:  # unchanged while its log was read
                break
        if slot.gone:  # and its entries with it, while they were read
            raise NotFound.job(slot.head.id)
    results = Listed(ResultLine, whole.results, whole.made)
    errors = Listed(ErrorLine, whole.errors, whole.made)
    return shape(slot.head, Around(results, errors, logs, slot.base))


async def _logs(live: LiveJobs, slot: Slot) -> Sequence[LogLine]:
    """All lines, or only the newest if there are very many."""
    lines: deque[LogLine] = deque()
    size, read = 0, max(0, slot.head.logs_total - LOG_LINES)
    while read < slot.head.logs_total and not slot.gone:
        query = EntryQuery(slot.head.id, "logs", after=read, limit=LOGS_AT_ONCE)
        for record in await live.entries(query):
            if record.entry.n <= slot.head.logs_total:
                lines.append(msgspec.json.decode(record.entry.value, type=LogLine))
                size, read = size + len(lines[-1].message) + 1, record.entry.n
        while size > LOG_SIZE:
            size -= len(lines.popleft().message) + 1
    return lines


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
