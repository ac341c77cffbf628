"""Chapters of a book: spoken segment by segment, or heard and written down."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from livejobs.demo.scene import MEDIA, Scene, Stage

BOOKS: Final = (
    "The Lighthouse, chapter", "Ein Winter am Meer, Kapitel", "Lettres de la côte, chapitre",
    "El farero, capítulo", "Дневник смотрителя, глава",
)  # fmt: skip
CHAPTER: Final = MEDIA / "chapter.mp3"
SPOKEN: Final = (  # what is said in it, and for how many seconds
    ("Before dawn the keeper climbed the ninety-one steps to the lamp.", 3.53),
    ("He wound the clock, trimmed the light, and looked out over the bay.", 3.84),
    ("The wind had turned in the night, and the sea lay flat and grey.", 3.80),
    ("A single sail stood beyond the rocks, waiting for the tide.", 3.73),
    ("He wrote the hour in his book, and under it one word: calm.", 3.76),
    ("Then the sun came up, and for a while nobody needed him.", 3.56),
)


class Line(NamedTuple):
    id: str
    start: float
    end: float
    text: str


def lines() -> Iterator[Line]:
    start = 0.0
    for number, (text, seconds) in enumerate(SPOKEN, 1):
        yield Line(f"seg-{number:02}", round(start, 2), round(start + seconds, 2), text)
        start += seconds


def subtitles(comma: str = ".") -> str:
    """WebVTT has a point in its times, and SRT a comma."""
    return "\n".join(
        f"{number}\n{_time(line.start, comma)} --> {_time(line.end, comma)}\n{line.text}\n"
        for number, line in enumerate(lines(), 1)
    )


def _time(seconds: float, comma: str) -> str:
    return f"00:00:{seconds:06.3f}".replace(".", comma)


def new_speech(dice: random.Random) -> dict[str, Any]:
    return {
        "title": f"{dice.choice(BOOKS)} {dice.randrange(1, 24)}",
        "total": len(SPOKEN),
        "unit": "segments",
        "meta": {"voice": dice.choice(("slt", "aria", "noor", "kenji")), "sample_rate": 16000},
        "tags": ["audio"],
    }


def speech(stage: Stage) -> Any:
    job = stage.job
    for line in job.track(list(lines()), unit="segments"):
        job.meta(current_segment_id=line.id)
        job.progress(message=f"Speaking {line.id}")
        stage.takes(stage.dice.uniform(1.5, 3.5))
        if stage.dice.random() < 0.1:
            job.item_error("The voice model timed out on this segment", item=line.id)
            job.log(f"{line.id}: \x1b[33mtimed out\x1b[0m", "warning", source="tts")
            continue
        where = f"/v1/jobs/{job.id}/files/chapter.mp3#t={line.start},{line.end}"
        seconds = round(line.end - line.start, 2)
        job.result({"segment_id": line.id, "audio_url": where, "duration": seconds})
        job.log(f"{line.id}: {line.text}", source="tts")
    job.meta(current_segment_id=None)
    job.upload(CHAPTER)
    job.upload(("WEBVTT\n\n" + subtitles()).encode(), "chapter.vtt", media_type="text/vtt")
    return {"seconds": round(sum(seconds for _, seconds in SPOKEN), 2)}


RECORDINGS: Final = ("interview-leuchtturm", "stand-up", "lecture-07", "podcast-112", "entrevista")


def new_transcription(dice: random.Random) -> dict[str, Any]:
    name = f"{dice.choice(RECORDINGS)}-{dice.randrange(100, 999)}"
    return {
        "title": f"Transcribe {name}.mp3",
        "meta": {"endpoint": "/v1/media/transcribe", "id": name},
        "tags": ["audio"],
    }


def transcription(stage: Stage) -> Any:
    job = stage.job
    job.progress(message="Listening")  # how far it is, nobody can know
    for line in lines():
        stage.takes(stage.dice.uniform(1.2, 3))
        job.result({"start": line.start, "end": line.end, "text": line.text})
        job.log(f"[{line.start:5.2f} → {line.end:5.2f}] {line.text}", source="whisper")
    job.upload(subtitles(",").encode(), "transcript.srt", media_type="application/x-subrip")
    job.upload("\n".join(line.text for line in lines()).encode(), "transcript.txt")
    return "Transcription completed successfully."


SCENES: Final = (
    Scene(
        "speech", new_speech, speech, ("well", "well", "retries", "well", "fails"),
        "The voice is no longer available", workers=2,
    ),
    Scene(
        "transcribe", new_transcription, transcription, ("stalls", "well", "fails", "well"),
        "The speech model does not answer",
    ),
)  # fmt: skip
