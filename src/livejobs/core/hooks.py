"""Webhooks: which events a change causes, and which webhooks take them.

A change of a job is compared with the head before it. So every event follows from two heads, and
is written in the transaction of the change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from msgspec import Struct

from livejobs.core.model import Head, HookRef

Event: TypeAlias = Literal[
    "created", "started", "progress", "waiting", "stalled", "finished", "failed", "cancelled"
]
Format: TypeAlias = Literal["standard", "cloudevents", "slack", "discord", "ntfy", "a2a"]

EVENTS: Final[tuple[Event, ...]] = get_args(Event)
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
SIGNED: Final[frozenset[Format]] = frozenset({"standard", "cloudevents"})

OF_JOB: Final = 10  # most webhooks of one job
OF_PROJECT: Final = 50  # most webhooks of one project


class Hook(Struct, frozen=True, omit_defaults=True):
    """A webhook of a project or of one job."""

    id: str
    project: str
    url: str
    events: tuple[Event, ...]
    format: Format
    created_at: int
    by: str  # who created it
    job: str | None = None  # None: it takes the events of all jobs of its project
    secret: str | None = None  # what its messages are signed with, or its token at the receiver
    old_secret: str | None = None  # the one before the last rotation
    old_until: int = 0  # until then, messages are signed with both
    ended_at: int | None = None
    ended: str | None = None  # why nothing is sent any more
    name: str | None = None  # what its creator calls it, among the webhooks of its job
    authorization: str | None = None  # this header of its messages, in the format a2a

    @property
    def ref(self) -> HookRef:
        narrow = self.format not in SIGNED
        return HookRef(self.id, self.events, receiver_of(self.url), narrow)

    def secrets(self, now: int) -> tuple[str, ...]:
        """What to sign with now. During the overlap of a rotation, the receiver may know either."""
        old = self.old_secret if now < self.old_until else None
        return tuple(it for it in (self.secret, old) if it is not None)


class Call(Struct, frozen=True):
    """A delivery that a change causes."""

    hook: str
    event: Event
    receiver: str


def receiver_of(url: str) -> str:
    """Scheme, host and port: whoever is slow or away is so for all webhooks at this place."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def events(before: Head | None, after: Head) -> Iterator[Event]:
    """What has happened, from the widest event to the narrowest."""
    if before is None:
        yield "created"
    if _begun(after) and (before is None or _begun(before) != _begun(after)):
        yield "started"
    if after.status == "running" and before is not None and _work(before) != _work(after):
        yield "progress"
    if after.waiting is not None and (before is None or before.waiting != after.waiting):
        yield "waiting"
    if after.stalled and not (before is not None and before.stalled):
        yield "stalled"
    if after.finished and not (before is not None and before.finished):
        yield "finished"
        if after.status == "failed":
            yield "failed"
        elif after.status == "cancelled":
            yield "cancelled"


def _begun(head: Head) -> tuple[int, int] | None:
    return None if head.started_at is None else (head.attempt, head.started_at)


def _work(head: Head) -> tuple[object, ...]:
    """The progress that people see. Rate and ETA change without it."""
    it = head.progress
    return it.reported, it.current, it.total, it.unit, it.message, head.steps


class Book:
    """The webhooks of projects, as this server knows them."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[HookRef, ...]] = {}

    def take(self, hooks: Iterable[Hook]) -> None:
        """Replace all of them. Ended ones take nothing."""
        of: dict[str, tuple[HookRef, ...]] = {}
        for hook in hooks:
            if hook.ended is None and hook.job is None:
                of[hook.project] = (*of.get(hook.project, ()), hook.ref)
        self._of = of

    def hears(self, head: Head) -> bool:
        """Whether any webhook takes events of the job."""
        return bool(head.hooks) or head.project in self._of

    def calls(self, before: Head | None, after: Head) -> tuple[Call, ...]:
        of_project = self._of.get(after.project, ())
        if not (of_project or after.hooks):  # nearly always, so nothing is made before it is known
            return ()
        refs = (*of_project, *after.hooks)
        happened = tuple(events(before, after))
        return tuple(call for ref in refs for call in _calls(ref, happened))


def _calls(ref: HookRef, happened: tuple[Event, ...]) -> Iterator[Call]:
    wanted = [event for event in happened if event in ref.events]
    # One message for a change is enough for a person: the narrowest says the most. In the format
    # a2a, all messages of a change would be the same.
    for event in wanted[-1:] if ref.narrow else wanted:
        yield Call(ref.id, event, ref.receiver)
