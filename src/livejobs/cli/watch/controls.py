"""What the keys of `livejobs watch` do: from a state and a key to the next state and an act."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, TypeVar

from livejobs.cli.text import plain

T = TypeVar("T")
Job = Mapping[str, Any]

STATUSES: Final = (None, "running", "queued", "succeeded", "failed", "cancelled")
LEVELS: Final = ("debug", "info", "warning", "error")
TEXT: Final = 100  # characters of a filter


class Quit(NamedTuple):
    pass


class Cancel(NamedTuple):
    job: str


class Open(NamedTuple):
    """Show this job alone."""

    job: str


class Back(NamedTuple):
    """Show all jobs again."""


Act = Quit | Cancel | Open | Back


@dataclass(frozen=True, slots=True)
class Controls:
    #: Of a list: only jobs of this status.
    status: str | None = None
    #: Only jobs, or log lines, with this text.
    text: str = ""
    #: Only log lines of at least this level.
    level: str = "debug"
    #: The id of the selected job.
    selected: str | None = None
    #: The next keys are part of the text.
    typing: bool = False
    #: The job to cancel, if the next key is y.
    confirm: str | None = None
    #: The job that is shown alone. None: a list is shown.
    alone: str | None = None
    #: The command began with this job, so there is no list to go back to.
    only: bool = False
    #: One sentence, until the next key.
    notice: str = ""

    def shows(self, job: Job) -> bool:
        if self.status is not None and job["status"] != self.status:
            return False
        words = (job["id"], job["title"] or "", job["type"] or "")
        return self.text.lower() in " ".join(words).lower()

    def prints(self, entry: Mapping[str, Any]) -> bool:
        if LEVELS.index(entry["level"]) < LEVELS.index(self.level):
            return False
        return self.text.lower() in entry["message"].lower()


Step = tuple[Controls, Act | None]


def pressed(now: Controls, key: str, jobs: Sequence[Job]) -> Step:
    """`jobs`: the ones on the screen, in their order."""
    now = replace(now, notice="")
    if now.confirm is not None:
        job, now = now.confirm, replace(now, confirm=None)
        return now, Cancel(job) if key in ("y", "Y") else None
    if now.typing:
        return _typed(now, key), None
    return KEYS.get(key, _nothing)(now, jobs)


def _typed(now: Controls, key: str) -> Controls:
    if key == "enter":
        return replace(now, typing=False)
    if key == "escape":
        return replace(now, typing=False, text="")
    if key == "backspace":
        return replace(now, text=now.text[:-1])
    if len(key) == 1 and key.isprintable() and len(now.text) < TEXT:
        return replace(now, text=now.text + key)
    return now


def _nothing(now: Controls, jobs: Sequence[Job]) -> Step:
    return now, None


def _quit(now: Controls, jobs: Sequence[Job]) -> Step:
    return now, Quit()


def _back(now: Controls, jobs: Sequence[Job]) -> Step:
    """Escape undoes one thing: the text, the job that is shown alone."""
    if now.text:
        return replace(now, text=""), None
    if now.alone is None or now.only:
        return now, None
    return replace(now, alone=None, level="debug"), Back()


def _type(now: Controls, jobs: Sequence[Job]) -> Step:
    return replace(now, typing=True, text=""), None


def _filter(now: Controls, jobs: Sequence[Job]) -> Step:
    if now.alone is not None:
        return replace(now, level=_next(LEVELS, now.level)), None
    return replace(now, status=_next(STATUSES, now.status)), None


def _cancel(now: Controls, jobs: Sequence[Job]) -> Step:
    job = next((job for job in jobs if job["id"] == (now.alone or now.selected)), None)
    if job is None:
        return now, None
    if job["completed_at"] is not None:
        return replace(now, notice=f"Job {plain(job['id'])} has ended already."), None
    return replace(now, confirm=job["id"]), None


def _open(now: Controls, jobs: Sequence[Job]) -> Step:
    if now.alone is not None or now.selected not in _ids(jobs):
        return now, None
    assert now.selected is not None
    return replace(now, alone=now.selected, text=""), Open(now.selected)


def _move(by: int) -> Callable[[Controls, Sequence[Job]], Step]:
    def move(now: Controls, jobs: Sequence[Job]) -> Step:
        ids = _ids(jobs)
        if not ids or now.alone is not None:
            return now, None
        at = ids.index(now.selected) + by if now.selected in ids else 0
        return replace(now, selected=ids[max(0, min(at, len(ids) - 1))]), None

    return move


def _ids(jobs: Sequence[Job]) -> list[str | None]:
    return [job["id"] for job in jobs]


def _next(values: Sequence[T], value: T) -> T:
    return values[(values.index(value) + 1) % len(values)]


KEYS: Final[Mapping[str, Callable[[Controls, Sequence[Job]], Step]]] = {
    "q": _quit,
    "escape": _back,
    "/": _type,
    "f": _filter,
    "c": _cancel,
    "enter": _open,
    "up": _move(-1),
    "k": _move(-1),
    "down": _move(1),
    "j": _move(1),
    "pageup": _move(-10),
    "pagedown": _move(10),
    "home": _move(-1_000_000),
    "end": _move(1_000_000),
}
