"""The work of the demo: for each of five types, a new job and the reports until its result.

Failing, stalling and retrying are not written here: hands.py adds them to any job.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, Protocol

from livejobs.demo import samples
from livejobs.service import Job


class Work(Protocol):
    """A job that a worker has taken."""

    job: Job
    dice: random.Random

    async def takes(self, seconds: float) -> None:
        """Let time pass. The job may fail or be cancelled in it."""


class Script(NamedTuple):
    type: str
    new: Callable[[random.Random], dict[str, Any]]  # the job as it is created
    run: Callable[[Work], Awaitable[Any]]  # its result
    fails: tuple[str, ...]  # messages of possible failures
    workers: int = 1


# Rendering

SCENES: Final = ("Harbour at dawn", "Teaser", "City flyover", "Title card", "Product turntable")


def new_render(dice: random.Random) -> dict[str, Any]:
    name = dice.choice(SCENES)
    slug = name.lower().replace(" ", "-")
    return {
        "title": f"{name}, {dice.choice(('draft', 'final'))}",
        "total": dice.choice((180, 240, 360)),
        "unit": "frames",
        "steps": [
            {"name": "load", "title": "Load scene", "weight": 1},
            {"name": "render", "title": "Render frames", "weight": 8},
            {"name": "encode", "title": "Encode", "weight": 2},
        ],
        "meta": {"projectPath": f"/projects/{slug}", "outputPath": f"/renders/{slug}.mp4"},
        "tags": ["demo", "film"],
    }


async def render(work: Work) -> Any:
    job, dice = work.job, work.dice
    total = (await job.state())["progress"]["total"] or 240
    await job.step("load", status="running")
    await job.log("Reading scene and textures")
    await work.takes(2)
    await job.log(f"{dice.randrange(30, 90)} objects, {dice.randrange(8, 30)} textures")
    await job.step("load", status="succeeded")
    await job.step("render", status="running")
    pace = dice.uniform(6, 14)
    frame = 0
    while frame < total:
        await work.takes(0.6)
        frame = min(total, frame + int(dice.gauss(pace, 2) + 1))
        await job.progress(current=max(frame, 0), message=f"Frame {frame} of {total}")
        if dice.random() < 0.25:
            await job.log(f"frame={frame} fps={dice.uniform(9, 24):.1f} size={frame * 31}kB")
        if dice.random() < 0.02:
            await job.log(f"Texture of frame {frame} was resampled", level="warning")
    await job.step("render", status="succeeded")
    await job.step("encode", status="running")
    await work.takes(2)
    await job.put_file("output.mp4", samples.CLIP)
    await job.step("encode", status="succeeded")
    await job.log("Wrote output.mp4")
    return {"frames": total}


# Translating

LANGUAGES: Final = (
    ("de", "Guten Tag.", "Dieses Dokument wurde von niemandem übersetzt."),
    ("fr", "Bonjour.", "Personne n'a traduit ce document."),
    ("es", "Buenos días.", "Nadie ha traducido este documento."),
    ("pt", "Bom dia.", "Ninguém traduziu este documento."),
)
DOCUMENTS: Final = ("contract", "handbook", "invoice", "release-notes")


def new_translation(dice: random.Random) -> dict[str, Any]:
    name, (language, *_) = dice.choice(DOCUMENTS), dice.choice(LANGUAGES)
    return {
        "title": f"{name}.pdf into {language}",
        "meta": {
            "file_path": f"/uploads/{name}.pdf",
            "source_language": "en",
            "target_language": language,
            "processing_type": "advanced",
            "format_preservation": True,
        },
        "tags": ["demo", language],
    }


async def translation(work: Work) -> Any:
    job, dice = work.job, work.dice
    language = (await job.state())["meta"]["target_language"]
    await job.progress(percent=0, message="Extracting text")
    await work.takes(2.5)
    await job.progress(percent=20, message="Translating")
    pages = dice.randrange(8, 24)
    for page in range(1, pages + 1):
        await work.takes(dice.uniform(0.6, 1.4))
        await job.progress(percent=20 + 60 * page // pages, message=f"Page {page} of {pages}")
    await job.log(f"{pages} pages translated, layout kept")
    await job.progress(percent=85, message="Writing the document")
    await work.takes(1.5)
    lines = next(list(text) for code, *text in LANGUAGES if code == language)
    await job.put_file(f"translated-{language}.pdf", samples.page("livejobs", lines))
    return {"pages": pages}


# Speaking

BOOKS: Final = ("The Lighthouse", "A Walk in the Snow", "Letters from the Coast")


def new_speech(dice: random.Random) -> dict[str, Any]:
    return {
        "title": f"{dice.choice(BOOKS)}, chapter {dice.randrange(1, 20)}",
        "total": dice.randrange(6, 14),
        "unit": "segments",
        "tags": ["demo", "audio"],
    }


async def speech(work: Work) -> Any:
    job, dice = work.job, work.dice
    total = (await job.state())["progress"]["total"] or 8
    spoken = 0.0
    for segment in range(1, total + 1):
        id = f"seg-{segment:02}"
        await job.meta(current_segment_id=id)
        await work.takes(dice.uniform(1, 3.5))
        if dice.random() < 0.08:
            await job.error("The voice model timed out on this segment", item=id)
        else:
            seconds = round(dice.uniform(2, 9), 2)
            spoken += seconds
            await job.result({"segment_id": id, "audio_url": f"{id}.wav", "duration": seconds})
        await job.progress(current=segment, message=f"Segment {segment} of {total}")
    await job.meta(current_segment_id=None)
    await job.put_file("chapter.wav", samples.tune(dice))
    return {"seconds": round(spoken, 2)}


# Consolidating memories

COUNTERS: Final = ("memories_merged", "memories_archived", "memories_promoted")


def new_consolidation(dice: random.Random) -> dict[str, Any]:
    return {
        "title": f"Nightly consolidation, shard {dice.randrange(1, 9)}",
        "total": dice.randrange(200, 900),
        "unit": "memories",
        "tags": ["demo", "nightly"],
    }


async def consolidation(work: Work) -> Any:
    job, dice = work.job, work.dice
    total = (await job.state())["progress"]["total"] or 400
    seen = change = 0
    while seen < total:
        await work.takes(dice.uniform(0.7, 1.6))
        seen = min(total, seen + dice.randrange(15, 60))
        counter = dice.choice(COUNTERS)
        await job.count(**{counter: dice.randrange(1, 5)})
        change += 1
        await job.result({"id": f"chg-{change}", "kind": counter.removeprefix("memories_")})
        await job.progress(current=seen, message=f"{total - seen} left")
    await job.count(summaries_created=dice.randrange(1, 6))
    await job.log(f"{change} changes over {total} memories")
    return {"changes": change}


# Transcribing

RECORDINGS: Final = ("interview", "stand-up", "lecture", "podcast")


def new_transcription(dice: random.Random) -> dict[str, Any]:
    name = f"{dice.choice(RECORDINGS)}-{dice.randrange(100, 999)}"
    return {
        "title": f"Transcribe {name}.mp3",
        "meta": {"endpoint": "/v1/media/transcribe", "id": name},
        "tags": ["demo"],
    }


async def transcription(work: Work) -> Any:
    job, dice = work.job, work.dice
    seconds = dice.uniform(5, 16)
    await job.progress(message="Listening")
    for _ in range(int(seconds)):
        await work.takes(1)
        await job.heartbeat()
    await job.put_file("transcript.txt", b"Nobody said anything. It was recorded anyway.\n")
    return "Transcription completed successfully."


SCRIPTS: Final = (
    Script("render", new_render, render, ("Texture /assets/wood.exr is missing", "Out of memory")),
    Script("translation", new_translation, translation, ("The document is protected",), 2),
    Script("speech", new_speech, speech, ("The voice is no longer available",)),
    Script("consolidation", new_consolidation, consolidation, ("The index is locked",)),
    Script("transcribe", new_transcription, transcription, ("The recording is silent",), 2),
)
