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


class Joined:
    def __init__(self) -> None:
        self.progress: Said = {}
        self.steps: dict[str, Said] = {}
        self.counters: dict[str, Any] = {}

    def __bool__(self) -> bool:
        return bool(self.progress or self.steps or self.counters)

    @property
    def full(self) -> bool:
        return len(self.steps) >= STEPS or len(self.counters) >= STEPS

    def say(self, said: Mapping[str, Any]) -> None:
        """Progress. Fields that are not named stay as they are."""
        progress = self.progress
        if "percent" in progress and not said.keys().isdisjoint(_WHOLE):
            del progress["percent"]
        if "current" in said:
            progress.pop("advance", None)
        progress.update(said)

    def advance(self, by: Any) -> None:
        progress = self.progress
        progress.pop("percent", None)
        progress["advance"] = progress.get("advance", 0) + by

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
        if self.progress:
            taken.append(("progress", {"type": "progress", **self.progress}))
        if self.counters:
            taken.append(("count", {"type": "count", "counters": self.counters}))
        self.progress, self.steps, self.counters = {}, {}, {}
        return iter(taken)
