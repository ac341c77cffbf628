"""What a worker or a client may send: its types, and the bounds of its fields."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta as Bound
from msgspec import Struct

from livejobs.core.hooks import FORMATS, OF_JOB, Event
from livejobs.core.model import ID_PATTERN, PROJECT_PATTERN, Level, Number, StepStatus
from livejobs.core.questions import PROMPT_BYTES

SAFE: Final = 2**53  # the largest whole number every JSON reader holds exactly

Amount: TypeAlias = Annotated[int, Bound(ge=0, le=SAFE)] | Annotated[float, Bound(ge=0, le=SAFE)]
Signed: TypeAlias = (
    Annotated[int, Bound(ge=-SAFE, le=SAFE)] | Annotated[float, Bound(ge=-SAFE, le=SAFE)]
)
Percent: TypeAlias = Annotated[float, Bound(ge=0, le=100)]
Name: TypeAlias = Annotated[str, Bound(min_length=1, max_length=200)]
Seconds: TypeAlias = Annotated[float, Bound(gt=0, le=10 * 365 * 86_400)]


class Bounds(Struct, frozen=True):
    body: int = 1024 * 1024
    head: int = 128 * 1024
    line: int = 16 * 1024  # of a log message, in UTF-8
    batch: int = 1000


class Report(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """A producer may number its reports, so that it can send them again."""

    producer: Annotated[str, Bound(min_length=1, max_length=128)] | None = None
    n: Annotated[int, Bound(ge=1, le=SAFE)] | None = None
    # The worker is done with this question: it has the answer, or waits for it no longer.
    answered: Annotated[int, Bound(ge=1, le=SAFE)] | None = None


class Start(Report, frozen=True, tag="start"):
    worker: dict[str, Any] | None = None


class Progress(Report, frozen=True, tag="progress"):
    current: Amount | None = None
    advance: Amount | None = None
    total: Amount | None = None
    percent: Percent | None = None
    unit: Annotated[str, Bound(max_length=100)] | None = None
    message: str | None = None


class Step(Report, frozen=True, tag="step"):
    name: Name
    status: StepStatus | None = None
    title: str | None = None
    current: Amount | None = None
    total: Amount | None = None
    weight: Amount | None = None


class Log(Report, frozen=True, tag="log"):
    message: str
    level: Level = "info"
    source: Annotated[str, Bound(max_length=200)] | None = None
    at: Annotated[datetime, Bound(tz=True)] | None = None


class Result(Report, frozen=True, tag="result"):
    value: Any


class Error(Report, frozen=True, tag="error"):
    """One item failed; the job continues."""

    message: str
    item: str | int | float | None = None
    detail: Any = None


class Count(Report, frozen=True, tag="count"):
    counters: dict[str, Signed]


class Meta(Report, frozen=True, tag="meta"):
    set: dict[str, Any]


class Heartbeat(Report, frozen=True, tag="heartbeat"):
    pass


class Ask(Report, frozen=True, tag="ask"):
    """The job waits for the answer of a person."""

    prompt: Annotated[str, Bound(min_length=1, max_length=PROMPT_BYTES)]
    schema: dict[str, Any] | None = None


class Reason(Struct, frozen=True, forbid_unknown_fields=True):
    message: str
    code: str | None = None
    detail: Any = None


class Retry(Report, frozen=True, tag="retry"):
    error: str | Reason | None = None


class Succeed(Report, frozen=True, tag="succeed"):
    result: Any = None


class Fail(Report, frozen=True, tag="fail"):
    message: str
    code: str | None = None
    detail: Any = None


class Cancelled(Report, frozen=True, tag="cancelled"):
    pass


AnyReport: TypeAlias = (
    Start
    | Progress
    | Step
    | Log
    | Result
    | Error
    | Count
    | Meta
    | Heartbeat
    | Ask
    | Retry
    | Succeed
    | Fail
    | Cancelled
)


class PlannedStep(Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    title: str | None = None
    weight: Amount = 1
    total: Amount | None = None


class NewHook(Struct, frozen=True, forbid_unknown_fields=True):
    """A webhook: where to send which events, and how."""

    url: Annotated[str, Bound(min_length=1, max_length=2000)]
    events: Annotated[list[Event], Bound(min_length=1, max_length=20)]
    secret: Annotated[str, Bound(min_length=1, max_length=200)] | None = None
    format: Annotated[str, Bound(extra_json_schema={"enum": list(FORMATS)})] = "standard"


class NewJob(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a create call. Every field is optional."""

    id: Annotated[str, Bound(pattern=ID_PATTERN)] | None = None
    project: Annotated[str, Bound(pattern=PROJECT_PATTERN)] | None = None
    type: Name | None = None
    title: Annotated[str, Bound(max_length=1000)] | None = None
    total: Amount | None = None
    unit: Annotated[str, Bound(max_length=100)] | None = None
    steps: list[Name | PlannedStep] = []
    meta: dict[str, Any] = {}
    tags: Annotated[list[Name], Bound(max_length=50)] = []
    parent: Annotated[str, Bound(pattern=ID_PATTERN)] | None = None
    owner: Name | None = None
    heartbeat_timeout: Seconds | None = None
    ttl_seconds: Seconds | None = None
    webhooks: Annotated[list[NewHook], Bound(max_length=OF_JOB)] = []


class NewAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an answer."""

    value: Any
    n: Annotated[int, Bound(ge=1, le=SAFE)] | None = None  # None: whatever the job waits for


def clamp(value: Number) -> Number:
    """Limit a sum to the numbers that every JSON reader holds exactly."""
    return max(-SAFE, min(SAFE, value))
