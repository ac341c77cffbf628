"""Films: a job for the whole, and a child for each of its shots."""

from __future__ import annotations

import random
from typing import Any, Final

from livejobs.demo.scene import MEDIA, Scene, Stage

FILMS: Final = {
    "Harbour at dawn": ("Lighthouse, wide", "Sail, tracking", "Sun over the ridge", "Title card"),
    "Nordlys, trailer": ("Fjord fra lufta", "Polarlys", "Sluttekst"),
    "Гавань на рассвете": ("Маяк", "Парус", "Титры"),
    "La costa en otoño": ("Faro", "Mercado", "Tormenta"),
}
FRAMES: Final = (96, 120, 144, 192)


def new_film(dice: random.Random) -> dict[str, Any]:
    name = dice.choice([*FILMS])
    shots = FILMS[name]
    return {
        "title": f"{name} ({len(shots)} shots)",
        "unit": "shots",
        "meta": {"film": name, "resolution": "640x360", "codec": "h264"},
        "tags": ["film"],
    }


def film(stage: Stage) -> Any:
    job, name = stage.job, stage.about["meta"]["film"]
    job.flush()  # a child needs its parent on the server
    shots = [
        stage.add("render", parent=job.id, title=f"{name}: {shot}", tags=["shot"])
        for shot in FILMS[name]
    ]
    for shot in job.track(shots, unit="shots"):
        job.progress(message=f"Rendering {shot.about['title']}")
        while not shot.ended.wait(3):
            job.heartbeat()  # notices that the film was cancelled
        if shot.failed:
            job.item_error(shot.failed, item=shot.about["title"])
    job.progress(message="Joining the shots")
    stage.takes(2)
    job.log("concat: \x1b[36mcodec copy\x1b[0m, faststart", source="ffmpeg")
    job.upload(MEDIA / "clip.mp4", "film.mp4")
    job.upload(MEDIA / "poster.png")
    return {"shots": len(shots), "failed": sum(shot.failed is not None for shot in shots)}


def new_render(dice: random.Random) -> dict[str, Any]:
    return {
        "title": "Shot",
        "total": dice.choice(FRAMES),
        "unit": "frames",
        "steps": [
            {"name": "load", "title": "Load scene", "weight": 1},
            {"name": "render", "title": "Render frames", "weight": 8},
            {"name": "encode", "title": "Encode", "weight": 2},
        ],
        "meta": {"projectPath": "/projects/coast/shot.blend", "outputPath": "/renders/shot.mp4"},
    }


def render(stage: Stage) -> Any:
    job, total = stage.job, stage.about["total"]
    job.step("load")
    load(stage)
    job.step("load", "succeeded")
    job.step("render")
    render_frames(stage, total)
    job.step("render", "succeeded")
    job.step("encode")
    stage.takes(1.5)
    rate = stage.dice.uniform(600, 900)
    job.log(f"frame={total:5} fps= 24 q=27.0 bitrate={rate:.1f}kbits/s speed=1.4x", source="ffmpeg")
    job.upload(MEDIA / "clip.mp4", "shot.mp4")
    job.step("encode", "succeeded")
    return {"frames": total}


def load(stage: Stage) -> None:
    stage.job.log("Reading scene and textures", source="blender")
    stage.takes(2)
    objects, textures = stage.dice.randrange(30, 90), stage.dice.randrange(8, 30)
    stage.job.log(f"{objects} objects, {textures} textures", source="blender")


def render_frames(stage: Stage, total: int) -> None:
    job, dice = stage.job, stage.dice
    frame = 0
    while frame < total:
        stage.takes(dice.uniform(0.7, 1.3))
        frame = min(total, frame + dice.randrange(3, 9))
        job.progress(frame, message=f"Frame {frame} of {total}")
        used, left = dice.uniform(700, 900), (total - frame) // 6
        job.log(
            f"\x1b[2mFra:{frame:04}\x1b[0m Mem:{used:.1f}M | \x1b[32mSample 64/64\x1b[0m"
            f" | Remaining 00:{left:02}", "debug", source="blender",
        )  # fmt: skip
        if dice.random() < 0.06:
            job.log(f"\x1b[33mTexture sand_04 of frame {frame} was resampled\x1b[0m", "warning")


SCENES: Final = (
    Scene("film", new_film, film, ("well",), every=(50, 90)),
    Scene(
        "render", new_render, render,
        ("well", "retries", "well", "well", "fails", "well", "well", "is cancelled", "well"),
        "Out of memory on gpu-3: 11.2 GiB of 12 GiB in use", every=None, workers=2,
    ),
)  # fmt: skip
