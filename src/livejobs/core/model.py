"""The nouns. All are frozen: a change makes a new one. Times are milliseconds since 1970, UTC.

A job is a small Head, its current state, and append-only Entries: logs, results, errors.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct

Number: TypeAlias = int | float
Status: TypeAlias = Literal["queued", "running", "succeeded", "failed", "cancelled"]
StepStatus: TypeAlias = Literal["pending", "running", "succeeded", "failed", "skipped"]
Level: TypeAlias = Literal["debug", "info", "warning", "error"]
Flag: TypeAlias = Literal["stalled", "waiting"]
EntryKind: TypeAlias = Literal["logs", "results", "errors"]

STATUSES: Final[tuple[Status, ...]] = ("queued", "running", "succeeded", "failed", "cancelled")
FINISHED: Final[frozenset[str]] = frozenset({"succeeded", "failed", "cancelled"})
FLAGS: Final[tuple[Flag, ...]] = ("stalled", "waiting")
KINDS: Final[tuple[EntryKind, ...]] = ("logs", "results", "errors")
LEVELS: Final[tuple[Level, ...]] = ("debug", "info", "warning", "error")

ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}\Z"
PROJECT_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"


class Pace(Struct, frozen=True, array_like=True):
    """The state of the rate estimate: decayed work over decayed time (see progress.py)."""

    unit: Literal["current", "percent"]
    at: int  # when `value` was reported
    value: float
    since: int  # when measuring began
    work: float  # decayed sum of the work
    time: float  # decayed sum of the seconds


class Progress(Struct, frozen=True, omit_defaults=True):
    """The progress that the worker reported, and the rate and ETA that follow from it."""

    # A reported percent, until current or total is reported again; 'said' in every database.
    reported: int | None = msgspec.field(default=None, name="said")
    current: Number | None = None
    total: Number | None = None
    unit: str | None = None
    message: str | None = None
    pace: Pace | None = None
    rate: float | None = None
    eta: float | None = None  # seconds


class Step(Struct, frozen=True, omit_defaults=True):
    name: str
    title: str | None = None
    status: StepStatus = "pending"
    weight: Number = 1
    current: Number | None = None
    total: Number | None = None
    started_at: int | None = None
    completed_at: int | None = None


class Plan(Struct, frozen=True, omit_defaults=True):
    """What the job was created with. A retry starts from here again."""

    total: Number | None = None
    unit: str | None = None
    steps: tuple[Step, ...] = ()


class Children(Struct, frozen=True, omit_defaults=True):
    """How many jobs have this job as their parent, by status."""

    queued: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        return self.queued + self.running + self.succeeded + self.failed + self.cancelled


class Failure(Struct, frozen=True, omit_defaults=True):
    """Why a job failed or was retried."""

    message: str
    code: str | None = None
    detail: Any = None


class Question(Struct, frozen=True, omit_defaults=True):
    """What a job needs from a person."""

    n: int  # 1, 2, 3 … within the job
    prompt: str
    at: int
    schema: dict[str, Any] | None = None  # of the answer; None: any JSON


class Answer(Struct, frozen=True):
    """The answer to a question, kept until the worker confirms that it has it."""

    n: int
    value: Any
    by: str


class File(Struct, frozen=True, omit_defaults=True):
    """A file of a job. Its bytes are in the file area under `key`, at a path, or at a URL."""

    name: str
    size: int | None  # as of `at`; None: not known
    media_type: str
    sha256: str | None = None
    at: int = 0
    key: str = ""  # a file that replaces this one has another key
    path: str | None = None  # attached from this machine
    url: str | None = None  # attached from elsewhere

    @property
    def kept(self) -> bool:
        """Whether its bytes are in the file area."""
        return self.path is None and self.url is None


class Kept(Struct, frozen=True, array_like=True):
    """What is kept of a job's entries of a kind, when the server limits it (see trimming.py)."""

    removed: int = 0  # the n of the last entry that was removed
    pieces: tuple[tuple[int, int], ...] = ()  # of the others: the last n, and the bytes


class HookRef(Struct, frozen=True, omit_defaults=True, array_like=True):
    """What a change must know of a webhook: which events it takes, and where they go. The rest,
    with the secret, is kept elsewhere (see core/hooks.py)."""

    id: str
    events: tuple[str, ...]
    receiver: str  # scheme, host and port of its URL
    narrow: bool = False  # of the events of one change, it takes only the narrowest


class Head(Struct, frozen=True, omit_defaults=True):
    """The current state of a job, without its entries, as the database keeps it."""

    id: str
    project: str
    owner: str
    created_at: int
    updated_at: int
    queued_at: int  # of this attempt
    type: str | None = None
    title: str | None = None
    status: Status = "queued"
    stalled: bool = False
    cancel_requested: bool = False
    attempt: int = 1
    progress: Progress = Progress()
    steps: tuple[Step, ...] = ()
    plan: Plan = Plan()
    counters: dict[str, Number] = {}
    meta: dict[str, Any] = {}
    tags: tuple[str, ...] = ()
    parent: str | None = None
    children: Children = Children()
    results_total: int = 0
    errors_total: int = 0
    logs_total: int = 0
    error: Failure | None = None
    result: Any = None
    worker: dict[str, Any] | None = None
    waiting: Question | None = None
    answer: Answer | None = None
    replied: Question | None = None  # what `answer` is the answer to
    questions: int = 0  # how many were asked
    asker: tuple[str, int] | None = None  # the producer of the last question, and its number there
    files: tuple[File, ...] = ()
    started_at: int | None = None
    completed_at: int | None = None
    heartbeat_at: int | None = None  # as of the last change; a heartbeat alone is not a change
    heartbeat_timeout: float | None = None  # seconds; None: the server's setting
    ttl_seconds: float | None = None  # how long to keep it after its end; None: for ever
    expires_at: int | None = None
    producers: dict[str, int] = {}  # the highest number accepted from each
    kept: dict[EntryKind, Kept] = {}
    hooks: tuple[HookRef, ...] = ()  # the job's own webhooks

    @property
    def finished(self) -> bool:
        return self.status in FINISHED

    @property
    def flags(self) -> tuple[Flag, ...]:
        """What a job can be found by that comes and goes while its status stays."""
        stalled: tuple[Flag, ...] = ("stalled",) if self.stalled else ()
        return stalled if self.waiting is None else (*stalled, "waiting")

    def total(self, kind: EntryKind) -> int:
        """How many entries of a kind the job has."""
        if kind == "logs":
            return self.logs_total
        return self.results_total if kind == "results" else self.errors_total

    def removed(self, kind: EntryKind) -> int:
        """How many of them, the oldest, are no longer kept."""
        return self.kept[kind].removed if kind in self.kept else 0


class Entry(Struct, frozen=True):
    """One item of an append-only list, with its JSON ready to send."""

    kind: EntryKind
    n: int  # 1, 2, 3 … within the job and kind
    level: int  # index into LEVELS; 0 for results and errors
    value: Raw


def size_of(entries: Iterable[Entry]) -> int:
    """How many bytes their values take together. Joining them is faster than asking each."""
    return len(b"".join([entry.value for entry in entries]))


class Stored(Struct, frozen=True):
    """A head with the seq of its last change."""

    head: Head
    seq: int


class Record(Struct, frozen=True):
    """An entry as read from the store, with its seq and its job."""

    seq: int
    entry: Entry
    job: str = ""


encode_head = msgspec.json.Encoder().encode
decode_head = msgspec.json.Decoder(Head).decode
