"""Small conversions of a media toolkit: each takes a second or two."""

from __future__ import annotations

import random
from typing import Any, Final

from livejobs.demo.scene import MEDIA, Scene, Stage

SOURCES: Final = ("IMG_2231.heic", "Küste.tiff", "poster-draft.psd", "DSC08114.arw", "prístav.heic")


def new_conversion(dice: random.Random) -> dict[str, Any]:
    return {
        "title": f"{dice.choice(SOURCES)} → PNG",
        "meta": {"endpoint": "/v1/image/convert", "id": f"img-{dice.randrange(10_000, 99_999)}"},
        "tags": ["image"],
    }


def conversion(stage: Stage) -> Any:
    job = stage.job
    job.progress(percent=10, message="Reading")
    stage.takes(stage.dice.uniform(0.2, 0.8))
    job.progress(percent=60, message="Converting")
    stage.takes(stage.dice.uniform(0.2, 0.8))
    job.upload(MEDIA / "poster.png", "image.png")
    return {"width": 640, "height": 360}


SCENES: Final = (
    Scene("convert", new_conversion, conversion, ("well",), every=(8, 20), workers=2),
)  # fmt: skip
