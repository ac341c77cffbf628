"""How the next head is made: a copy of the head, changed until it is handed out."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import force_setattr as put
from msgspec.structs import replace

from livejobs.core import progress as gauge
from livejobs.core.model import FINISHED, Entry, Head, Progress, Status, Step
from livejobs.core.reducer.moves import MOVES, Event, Finished


class Steps:
    """The steps of a job while reports change them, found by name."""

    def __init__(self, base: tuple[Step, ...]) -> None:
        self.base = base
        self._there = {step.name: step for step in base}
        self._changed: dict[str, Step] = {}

    def find(self, name: str) -> Step | None:
        return self._changed.get(name) or self._there.get(name)

    def change(self, step: Step) -> None:
        self._changed[step.name] = step

    def discard(self) -> None:
        self._changed = {}

    def take(self) -> tuple[Step, ...]:
        """Return all steps, new ones at the end, and forget the changes."""
        changed, self._changed = self._changed, {}
        if not changed:
            return self.base
        kept = tuple([changed.pop(step.name, step) for step in self.base])
        return kept + tuple(changed.values())


class Draft:
    """The next head while it is made. This is the one way in which a head changes: the draft
    copies it once, fields are put into the copy, and `finish` hands the copy out. Until then
    nobody else has it. A new head for every report of a call would cost as much as the reports;
    steps are joined at the end for the same reason."""

    _owned: tuple[str, ...] = ()  # dictionaries that were copied
    _steps: Steps | None = None  # None: no report has changed a step
    _known: tuple[Steps, ...] = ()  # a retry starts with the planned steps again
    measured = True  # False: there is progress that the rate does not include yet

    def __init__(self, head: Head, now: int) -> None:
        self.head = replace(head, updated_at=now)
        self.now = now
        self.entries: list[Entry] = []

    def put(self, **fields: Any) -> None:
        for name, value in fields.items():
            put(self.head, name, value)

    def move(self, event: Event) -> bool:
        """Look up the event, change the status, and return whether it changed. There is no other
        way to change a status. Raises Finished for a finished job; ends the job when the new
        status is a finished one."""
        head = self.head
        try:
            status = MOVES[head.status, event]
        except KeyError:
            if head.finished:
                raise Finished(head) from None
            raise
        if status == head.status:
            return False
        put(head, "status", status)
        self.forget_question()
        if status in FINISHED:
            self._end(status)
        return True

    def forget_question(self) -> None:
        """Nobody waits for an answer any more, and an answer that nobody has fetched is void."""
        self.put(waiting=None, answer=None, replied=None)

    def own(self, name: str) -> dict[str, Any]:
        """A dictionary of the head, copied at its first change and changed in place after it."""
        values: dict[str, Any] = getattr(self.head, name)
        if name not in self._owned:
            values = values.copy()
            put(self.head, name, values)
            self._owned += (name,)
        return values

    def steps(self) -> Steps:
        if self._steps is None:
            base = self.head.steps
            self._steps = next((it for it in self._known if it.base is base), None)
            if self._steps is None:
                self._steps = Steps(base)
                self._known += (self._steps,)  # two at most: the head's and the planned ones
        return self._steps

    def _join_steps(self) -> None:
        if self._steps is not None:
            put(self.head, "steps", self._steps.take())
            self._steps = None

    def _end(self, status: Status) -> None:
        """A step that still runs ends with its job."""
        self._join_steps()
        self.measured = True  # a finished job has no rate
        head, now, ttl = self.head, self.now, self.head.ttl_seconds
        self.put(
            stalled=False,
            progress=replace(head.progress, pace=None, rate=None, eta=None),
            steps=tuple(_step_ended(step, status, now) for step in head.steps),
            completed_at=now,
            expires_at=None if ttl is None else now + int(ttl * 1000),
        )

    def begin_again(self) -> None:
        """Discard the steps and the progress of this attempt."""
        if self._steps is not None:
            self._steps.discard()
            self._steps = None
        self.measured = True
        plan = self.head.plan
        self.put(steps=plan.steps, progress=Progress(total=plan.total, unit=plan.unit))

    def finish(self) -> Head:
        """The next head. The rate takes all reports of one call as one sample."""
        head = self.head
        self._join_steps()
        if not self.measured:
            put(head, "progress", gauge.paced(head.progress, head.steps, self.now))
        return head


_STEP_ENDS: Final[dict[Status, Any]] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "skipped",
}


def _step_ended(step: Step, status: Status, now: int) -> Step:
    if step.status != "running":
        return step
    return replace(step, status=_STEP_ENDS[status], completed_at=now)
