"""The memories of an assistant: merged, archived and summed up at night."""

from __future__ import annotations

import random
from typing import Any, Final

from livejobs.demo.scene import Scene, Stage

COUNTERS: Final = ("memories_merged", "memories_archived", "memories_promoted")


def new_consolidation(dice: random.Random) -> dict[str, Any]:
    return {
        "title": f"Nightly consolidation, shard {dice.randrange(1, 9)}",
        "total": dice.randrange(300, 900),
        "unit": "memories",
        "tags": ["nightly"],
    }


def consolidation(stage: Stage) -> Any:
    job, dice, total = stage.job, stage.dice, stage.about["total"]
    seen = change = 0
    while seen < total:
        stage.takes(dice.uniform(1.2, 2.4))
        seen = min(total, seen + dice.randrange(25, 70))
        counter, change = dice.choice(COUNTERS), change + 1
        job.count(counter, dice.randrange(1, 5))
        job.result({"id": f"chg-{change}", "kind": counter.removeprefix("memories_")})
        job.progress(seen, message=f"{total - seen} left")
    job.count(summaries_created=dice.randrange(1, 6))
    job.log(f"{change} changes over {total} memories")
    return {"changes": change}


SCENES: Final = (
    Scene(
        "consolidation", new_consolidation, consolidation,
        ("well", "is cancelled", "well", "stalls", "fails"), "The index is locked",
    ),
)  # fmt: skip
