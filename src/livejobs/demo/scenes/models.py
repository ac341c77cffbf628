"""Models: trained for some epochs, each a result with its numbers."""

from __future__ import annotations

import json
import math
import random
from typing import Any, Final

from livejobs.demo.scene import Scene, Stage

EPOCHS: Final = 10
BATCHES: Final = 4


def new_training(dice: random.Random) -> dict[str, Any]:
    name, parameters = dice.choice((("tide-forecast", "4.1M"), ("ship-detector", "25M")))
    return {
        "title": f"Train {name}, run {dice.randrange(100, 999)}",
        "meta": {"parameters": parameters, "optimizer": "adamw", "learning_rate": 0.0003},
        "tags": ["training", "gpu"],
    }


def training(stage: Stage) -> Any:
    job, history = stage.job, []
    for epoch in job.track(range(1, EPOCHS + 1), unit="epochs"):
        job.progress(message=f"Epoch {epoch} of {EPOCHS}")
        for _ in job.track(range(BATCHES), name="epoch", title=f"Epoch {epoch}"):
            stage.takes(stage.dice.uniform(0.7, 1.2))
        history.append(measured(stage.dice, epoch))
        job.result(history[-1])
        loss, accuracy = history[-1]["loss"], history[-1]["accuracy"]
        job.log(f"epoch {epoch:2}  loss \x1b[36m{loss:.4f}\x1b[0m  acc {accuracy:.3f}")
    rows = ["epoch,loss,accuracy", *(",".join(map(str, row.values())) for row in history), ""]
    job.upload("\n".join(rows).encode(), "metrics.csv", media_type="text/csv")
    job.upload(json.dumps({**stage.about["meta"], **history[-1]}, indent=2).encode(), "model.json")
    return history[-1]


def measured(dice: random.Random, epoch: int) -> dict[str, Any]:
    loss = 0.18 + 1.9 * math.exp(-epoch / 3.2) + dice.uniform(-0.03, 0.03)
    return {"epoch": epoch, "loss": round(loss, 4), "accuracy": round(1 - loss / 2.4, 4)}


SCENES: Final = (
    Scene(
        "training", new_training, training, ("well", "retries", "well", "is cancelled"),
        "The node was taken away by the cloud", every=(30, 60),
    ),
)  # fmt: skip
