"""What the next report replaces or adds up: progress, the steps' progress, counters.

Only the latest state is worth a request. Amounts said as `advance` and `count` are added up and
sent as sums, not as totals: several processes may advance the same job.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

Said = dict[str, Any]

STEPS: Final = 500  # steps and counters kept until the next request; more are not joined any more
_WHOLE: Final = ("current", "advance", "total")  # these take the place of a percent
_LATEST: Final = ("current", "total")  # what `latest` holds


class Joined:
    """Changed under the guard of its channel, except for `latest`."""

    def __init__(self) -> None:
        self.latest: tuple[Any, ...] = ()
        """The newest `current`, and perhaps `total`, for loops that say nothing else. Set without a
        lock, each time to a new tuple; whoever comes next puts it with the rest."""
        self.total: int | float | None = None  # the newest that was said under the guard
        self.steps: dict[str, Said] = {}
        self.counters: dict[str, Any] = {}
        self._progress: Said = {}
        self._put = self.latest  # what was put with the rest. It is never cleared: a new value
        # that is set just then would be lost

    def __bool__(self) -> bool:
        unsaid = self.latest is not self._put
        return bool(unsaid or self._progress or self.steps or self.counters)

    @property
    def full(self) -> bool:
        return len(self.steps) >= STEPS or len(self.counters) >= STEPS

    @property
    def progress(self) -> Said:
        latest = self.latest
        if latest is not self._put:
            self._put = latest
            self._replace(dict(zip(_LATEST, latest, strict=False)))
        return self._progress

    def say(self, said: Mapping[str, Any]) -> None:
        """Progress. Fields that are not named stay as they are."""
        if self.latest is not self._put:
            _ = self.progress  # what was said before comes first
        self._replace(said)
        if "total" in said and type(said["total"]) in (int, float):  # others may not compare
            self.total = said["total"]

    def _replace(self, said: Mapping[str, Any]) -> None:
        if "percent" in self._progress and not said.keys().isdisjoint(_WHOLE):
            del self._progress["percent"]
        if "current" in said:
            self._progress.pop("advance", None)
        self._progress.update(said)

    def advance(self, by: Any) -> None:
        progress = self.progress
        total = progress.get("advance", 0) + by
        progress.pop("percent", None)
        progress["advance"] = total

    def step(self, name: str, said: Mapping[str, Any]) -> None:
        self.steps.setdefault(name, {"type": "step", "name": name}).update(said)

    def take_step(self, name: str) -> Said:
        return self.steps.pop(name, None) or {"type": "step", "name": name}

    def count(self, counters: Mapping[str, Any]) -> None:
        for name, by in counters.items():
            self.counters[name] = self.counters.get(name, 0) + by

    def take(self) -> Iterator[tuple[str, Said]]:
        """All of it as reports. Nothing is joined afterwards."""
        taken: list[tuple[str, Said]] = [("step", said) for said in self.steps.values()]
        if progress := self.progress:
            taken.append(("progress", {"type": "progress", **progress}))
        if self.counters:
            taken.append(("count", {"type": "count", "counters": self.counters}))
        self._progress, self.steps, self.counters = {}, {}, {}
        return iter(taken)
