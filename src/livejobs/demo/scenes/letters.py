"""Newsletters: written, then held until a person allows to send them."""

from __future__ import annotations

import random
from typing import Any, Final

from livejobs.demo.scene import Scene, Stage

LETTERS: Final = ("November news", "Herbstbrief", "Lettre aux abonnés", "Novedades de la costa")
PATIENCE: Final = 120.0  # seconds
LEAST: Final = 6.0  # seconds: an answer comes with a heartbeat, however fast the demo runs
CHOICES: Final = {"enum": ["send", "hold back"]}


def new_letter(dice: random.Random) -> dict[str, Any]:
    return {
        "title": f"{dice.choice(LETTERS)}, {dice.randrange(4, 19)} articles",
        "steps": ["write", "approve", "send"],
        "meta": {"subscribers": dice.randrange(2_000, 20_000)},
        "tags": ["mail"],
    }


def letter(stage: Stage) -> Any:
    job, subscribers = stage.job, stage.about["meta"]["subscribers"]
    job.step("write")
    job.progress(message="Collecting the articles")
    stage.takes(3)
    job.step("write", "succeeded")
    job.log(f"Written for {subscribers:,} subscribers; 2 links were shortened")
    job.step("approve")
    job.progress(message="Waiting for somebody to approve it")
    patience = max(LEAST, stage.span(PATIENCE))
    if job.ask(f"Send to {subscribers:,} subscribers?", CHOICES, patience) != "send":
        job.log("Nobody allowed it, so nothing is sent", "warning")
        job.step("approve", "failed")
        job.step("send", "skipped")
        return {"sent": 0}
    job.step("approve", "succeeded")
    job.progress(message="Sending")
    for _ in job.track(range(8), name="send"):
        stage.takes(1.5)
    return {"sent": subscribers}


SCENES: Final = (
    Scene("newsletter", new_letter, letter, ("well",), every=(60, 120)),
)  # fmt: skip
