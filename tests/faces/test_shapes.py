"""What each face makes of a job, state by state and field by field, types included, beside the
examples of its source."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from livejobs.core.errors import NotFound
from livejobs.faces import consolidation, render, tasks, toolkit, translation
from livejobs.faces.base import Face
from livejobs.faces.registry import BUILT_IN
from tests.faces.jobs import CREATED, Told, created, schema

OK = {"type": "succeed"}
BOOM = {"type": "fail", "message": "Out of memory"}
START = {"type": "start"}

ENVELOPE: Final[dict[str, Any]] = {"seconds": 0.00149, "queue_length": 0, "build": "1.0.0"}


def envelope(told: Told) -> Any:
    job = toolkit.shape(told.head, "1.0.0")
    return json.loads(json.dumps(toolkit.envelope(job, **ENVELOPE)))


def by_shape(face: Face) -> Callable[[Told], Any]:
    shape = face.ways[0].shape
    assert shape is not None
    return lambda told: told.seen(shape)


SEEN: dict[str, Callable[[Told], Any]] = {
    "consolidation": by_shape(consolidation.FACE),
    "translation": by_shape(translation.FACE),
    "render": by_shape(render.FACE),
    "tasks": by_shape(tasks.FACE),
    "toolkit": envelope,
}
STATES = {
    "queued": created(),
    "running": created().later(1000, START),
    "running, with progress": created().later(1000, {"type": "progress", "percent": 45.9}),
    "back in the queue": created().later(1000, {"type": "retry", "error": "worker went away"}),
    "succeeded": created().later(1000, OK),
    "failed": created().later(1000, BOOM),
    "cancelled before it started": created().cancelled(1000),
    "cancelled": created().later(1000, START).cancelled(2000),
}


def exactly(seen: Any, expected: Any) -> None:
    """Equal, and of the same types: Python takes 1, 1.0 and True for equal."""
    assert json.dumps(seen, indent=1) == json.dumps(expected, indent=1)


def test_every_face_is_looked_at_here() -> None:
    assert SEEN.keys() == {name for name, face in BUILT_IN.items() if not face.prefix}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("face", SEEN)
def test_every_state_is_as_the_source_says_it_can_be(face: str, state: str) -> None:
    schema(face).validate(SEEN[face](STATES[state]))


@pytest.mark.parametrize("face", SEEN)
def test_values_of_the_wrong_type_do_not_get_through(face: str) -> None:
    names = [
        "file_path", "source_language", "target_language", "processing_type", "output_file",
        "format_preservation", "projectPath", "outputPath", "endpoint", "id",
    ]  # fmt: skip
    odd_values: list[Any] = [None, 7, {"id": None}, [], {"id": 8}]
    odd = created(meta={name: [1] for name in names}).later(
        1,
        {"type": "start", "worker": {"pid": "x", "queue_id": True, "queue_length": None}},
        {"type": "count", "counters": {"memories_merged": 2.5}},
        {"type": "progress", "current": 1.5, "total": 4.5},
        *({"type": "result", "value": value} for value in odd_values),
        {"type": "error", "message": "no", "item": 2.5},
    )
    schema(face).validate(SEEN[face](odd))
    schema(face).validate(SEEN[face](odd.later(2, OK)))
    schema(face).validate(SEEN[face](odd.later(2, BOOM)))


@pytest.mark.parametrize("face", SEEN)
def test_the_example_in_the_documentation_is_one_the_face_could_give(face: str) -> None:
    schema(face).validate(BUILT_IN[face].ways[0].example)


# Consolidation


def test_consolidation_gives_the_counters_and_ids_of_changes() -> None:
    told = created(id="c-1").later(
        1500,
        {"type": "progress", "percent": 60},
        {"type": "count", "counters": {"memories_merged": 2, "summaries_created": 1}},
        {"type": "count", "counters": {"memories_merged": 1, "unrelated": 9}},
        {"type": "result", "value": {"id": "chg-1", "kind": "merge"}},
        {"type": "result", "value": "chg-2"},
        {"type": "result", "value": {"note": "of no change"}},
    )
    running = {
        "job_id": "c-1",
        "project_id": "default",
        "status": "running",
        "progress": 60,
        "started_at": "2023-11-20T15:30:46.500Z",
        "completed_at": None,
        "memories_merged": 3,
        "memories_archived": 0,
        "memories_promoted": 0,
        "summaries_created": 1,
        "consolidation_changes": ["chg-1", "chg-2"],
        "error_message": None,
    }
    see = SEEN["consolidation"]
    exactly(see(told), running)
    ended = {"completed_at": "2023-11-20T15:30:47.000Z"}
    exactly(see(told.later(2000, OK)), running | ended | {"status": "completed", "progress": 100})
    failed = {"status": "failed", "error_message": "Out of memory"}
    exactly(see(told.later(2000, BOOM)), running | ended | failed)
    exactly(see(told.cancelled(2000)), running | ended | {"status": "cancelled"})


def test_consolidation_before_its_start_has_no_times() -> None:
    seen = SEEN["consolidation"](created())
    assert (seen["status"], seen["progress"]) == ("pending", 0)
    assert seen["started_at"] is seen["completed_at"] is seen["error_message"] is None
    assert seen["consolidation_changes"] == []


# Translation

DOCUMENT = {
    "file_path": "/tmp/uploads/document.pdf",
    "source_language": "en",
    "target_language": "de",
    "processing_type": "advanced",
    "format_preservation": True,
}
# As the source has it.
TRANSLATING = {
    "status": "processing",
    "progress": 45,
    "file_path": "/tmp/uploads/document.pdf",
    "source_language": "en",
    "target_language": "de",
    "created_at": "2023-11-20T15:30:45Z",
    "output_file": None,
    "error": None,
    "processing_type": "advanced",
    "format_preservation": True,
}


def translating() -> Told:
    return created(meta=DOCUMENT).later(1000, {"type": "progress", "percent": 45})


def test_translation_is_the_example_of_the_source() -> None:
    exactly(SEEN["translation"](translating()), TRANSLATING)


def test_translation_has_a_word_for_every_state() -> None:
    see = SEEN["translation"]
    exactly(see(created(meta=DOCUMENT)), TRANSLATING | {"status": "started", "progress": 0})
    failed = TRANSLATING | {"status": "failed"}
    exactly(see(translating().later(2, BOOM)), failed | {"error": "Out of memory"})
    exactly(see(translating().cancelled(2)), failed | {"error": "Cancelled"})


def test_translation_names_its_output_once_it_is_completed() -> None:
    see = SEEN["translation"]
    done = TRANSLATING | {"status": "completed", "progress": 100}
    uploaded = translating().with_file("document.de.pdf")
    exactly(see(uploaded), TRANSLATING)
    exactly(see(uploaded.later(2, OK)), done | {"output_file": "document.de.pdf"})
    named = {"type": "meta", "set": {"output_file": "/out/document.de.pdf"}}
    exactly(see(uploaded.later(2, named, OK)), done | {"output_file": "/out/document.de.pdf"})
    exactly(see(translating().later(2, OK)), done)
    failed = {"status": "failed", "error": "Out of memory"}
    exactly(see(uploaded.later(2, named, BOOM)), TRANSLATING | failed)


def test_translation_moves_as_the_source_says() -> None:
    seen = [
        SEEN["translation"](created().later(1, {"type": "progress", "percent": percent}))
        for percent in (0, 20, 50, 80, 100)
    ]
    assert [one["progress"] for one in seen] == [0, 20, 50, 80, 100]
    assert {type(one["progress"]) for one in seen} == {int}


# Render


def rendering() -> Told:
    return created(id="r-1", meta={"projectPath": "/projects/teaser"}).later(
        1000,
        {"type": "progress", "current": 30, "total": 120},
        {"type": "log", "message": "frame 30"},
        {"type": "log", "message": "codec refused", "level": "error"},
    )


RENDERING = {
    "id": "r-1",
    "status": "processing",
    "progress": 25,
    "projectPath": "/projects/teaser",
    "outputPath": "",
    "createdAt": "2023-11-20T15:30:45.000Z",
    "updatedAt": "2023-11-20T15:30:46.000Z",
}
RENDERED = {
    "updatedAt": "2023-11-20T15:30:47.000Z",
    "completedAt": "2023-11-20T15:30:47.000Z",
}


def test_render_has_what_applies_and_nothing_else() -> None:
    see = SEEN["render"]
    exactly(see(rendering()), RENDERING)
    exactly(see(rendering().cancelled(2000)), RENDERING | {"status": "cancelled"} | RENDERED)
    failed = {"logs": "frame 30\ncodec refused", "error": "Out of memory"}
    exactly(
        see(rendering().later(2000, BOOM)), RENDERING | {"status": "failed"} | RENDERED | failed
    )
    queued = {"status": "queued", "progress": 0, "updatedAt": "2023-11-20T15:30:45.000Z"}
    exactly(see(created(id="r-1", meta={"projectPath": "/projects/teaser"})), RENDERING | queued)


def test_render_links_to_its_file_once_it_is_completed() -> None:
    see = SEEN["render"]
    done = RENDERING | {"status": "completed", "progress": 100} | RENDERED
    with_file = rendering().with_file("output.mp4", "video/mp4")
    exactly(see(with_file), RENDERING | {"outputPath": "output.mp4"})
    link = {"outputPath": "output.mp4", "downloadUrl": "/api/jobs/r-1/download"}
    exactly(see(with_file.later(2000, OK)), {**(done | link)})
    exactly(see(rendering().later(2000, OK)), done)
    path = {"type": "meta", "set": {"outputPath": "/renders/output.mp4"}}
    exactly(see(rendering().later(2000, path, OK)), done | {"outputPath": "/renders/output.mp4"})


def test_render_links_below_where_the_app_is_mounted() -> None:
    done = rendering().with_file("output.mp4").later(2000, OK)
    assert done.seen(render.shape, "/live")["downloadUrl"] == "/live/api/jobs/r-1/download"


# Tasks

SEGMENTS = [
    {"segment_id": 1, "audio_url": "/media/1.wav", "duration": 4.25},
    {"segment_id": "2b", "audio_url": "/media/2b.wav"},
]


def speaking() -> Told:
    return created(id="t-1", total=5).later(
        1000,
        {"type": "meta", "set": {"current_segment_id": 4}},
        {"type": "progress", "current": 3},
        *({"type": "result", "value": value} for value in SEGMENTS),
        {"type": "error", "item": 3, "message": "voice not found"},
    )


SPEAKING = {
    "task_id": "t-1",
    "status": "PROCESSING",
    "progress": {"current": 3, "total": 5, "percentage": 60, "current_segment_id": 4},
    "completed_segments": SEGMENTS,
    "errors": [{"segment_id": 3, "error": "voice not found"}],
}


def test_tasks_gives_segments_and_their_errors() -> None:
    exactly(SEEN["tasks"](speaking()), SPEAKING)


def test_tasks_has_a_word_for_every_state() -> None:
    see = SEEN["tasks"]
    pending = {"current": 0, "total": 0, "percentage": 0}
    exactly(
        see(created(id="t-1")),
        SPEAKING
        | {"status": "PENDING", "progress": pending, "completed_segments": [], "errors": []},
    )
    progress = {"current": 3, "total": 5, "percentage": 100, "current_segment_id": 4}
    exactly(see(speaking().later(2, OK)), SPEAKING | {"status": "COMPLETED", "progress": progress})
    for ended, why in (
        (speaking().later(2, BOOM), "Out of memory"),
        (speaking().cancelled(2), "Cancelled"),
    ):
        errors = [{"segment_id": 3, "error": "voice not found"}, {"segment_id": None, "error": why}]
        exactly(see(ended), SPEAKING | {"status": "FAILED", "errors": errors})


def test_a_percentage_is_a_whole_number() -> None:
    third = created().later(1, {"type": "progress", "current": 1, "total": 3})
    assert SEEN["tasks"](third)["progress"] == {"current": 1, "total": 3, "percentage": 33}


# Toolkit

# As the source has it.
TRANSCRIBED = json.loads(
    """
{
    "endpoint": "/v1/toolkit/job/status",
    "code": 200,
    "id": null,
    "job_id": "e6d7f3c0-9c9f-4b8a-b7c3-f0e3c9f6b9d7",
    "response": {
        "job_status": "done",
        "job_id": "e6d7f3c0-9c9f-4b8a-b7c3-f0e3c9f6b9d7",
        "queue_id": 140368864456064,
        "process_id": 123456,
        "response": {
            "endpoint": "/v1/media/transcribe",
            "code": 200,
            "id": "transcribe_job_123",
            "job_id": "e6d7f3c0-9c9f-4b8a-b7c3-f0e3c9f6b9d7",
            "response": "Transcription completed successfully.",
            "message": "success",
            "pid": 123456,
            "queue_id": 140368864456064,
            "run_time": 5.234,
            "queue_time": 1.123,
            "total_time": 6.357,
            "queue_length": 0,
            "build_number": "1.0.0"
        }
    },
    "message": "success",
    "pid": 123456,
    "queue_id": 140368864456064,
    "run_time": 0.001,
    "queue_time": 0.0,
    "total_time": 0.001,
    "queue_length": 0,
    "build_number": "1.0.0"
}
"""
)
WORKER = {"pid": 123456, "queue_id": 140368864456064, "queue_length": 0}
REQUEST = {"endpoint": "/v1/media/transcribe", "id": "transcribe_job_123"}


def transcribing() -> Told:
    asked = created(id=TRANSCRIBED["job_id"], meta=REQUEST)
    return asked.later(1123, {"type": "start", "worker": WORKER})


def test_toolkit_is_the_example_of_the_source() -> None:
    done = {"type": "succeed", "result": "Transcription completed successfully."}
    exactly(envelope(transcribing().later(6357, done)), TRANSCRIBED)


def with_job(**fields: Any) -> Any:
    return TRANSCRIBED | {"response": TRANSCRIBED["response"] | fields}


def test_toolkit_has_no_outcome_before_the_end() -> None:
    exactly(envelope(transcribing()), with_job(job_status="running", response=None))
    queued = envelope(created(id=TRANSCRIBED["job_id"], meta=REQUEST))
    nobody = {"queue_id": 0, "process_id": 0}
    expected = with_job(job_status="queued", response=None, **nobody)
    exactly(queued, expected | {"pid": 0, "queue_id": 0})


def test_toolkit_calls_every_end_done_and_tells_how_inside() -> None:
    for ended, why in (
        (transcribing().later(6357, BOOM), "Out of memory"),
        (transcribing().cancelled(6357), "Cancelled"),
    ):
        failed = {"code": 500, "response": None, "message": why}
        exactly(envelope(ended), with_job(response=TRANSCRIBED["response"]["response"] | failed))


def test_toolkit_tells_how_long_the_queue_is_and_the_call_took() -> None:
    job = toolkit.shape(transcribing().head, "1.0.0")
    said = toolkit.envelope(job, seconds=0.0249, queue_length=7, build="1.0.0")
    assert (said["queue_length"], said["run_time"], said["total_time"]) == (7, 0.025, 0.025)


def test_times_are_those_of_the_job() -> None:
    assert CREATED == 1_700_494_245_000
    inner = envelope(created().cancelled(2500))["response"]["response"]
    assert (inner["queue_time"], inner["run_time"], inner["total_time"]) == (2.5, 0.0, 2.5)


# Errors, as the sources have them


def test_a_job_that_is_not_there_is_said_in_the_words_of_the_source() -> None:
    id = "e6d7f3c0-9c9f-4b8a-b7c3-f0e3c9f6b9d7"
    error = NotFound(id, code="job_not_found", extra={"job_id": id})
    said = {name: face.refusal(error, id) for name, face in BUILT_IN.items() if name in SEEN}
    assert said == {
        "consolidation": {"detail": "Job not found"},
        "translation": {"detail": "Job not found"},
        "render": {"error": "Job not found"},
        "tasks": {"error": "Task not found"},
        "toolkit": {"error": "Job not found", "job_id": id},
    }
