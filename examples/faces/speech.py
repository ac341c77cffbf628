"""A worker that speaks a story, segment by segment. One segment fails, and the job continues.

Poll the job at /api/tasks/JOB/status/."""

from __future__ import annotations

from typing import Any

from worker import Job, work

SEGMENTS = {1: "Once upon a time", 2: "there was a queue", 3: "\x00", 4: "and it ended."}

job = Job("speech", "Story 7")
job.send({"type": "start"}, {"type": "progress", "current": 0, "total": len(SEGMENTS)})
for done, (segment, words) in enumerate(SEGMENTS.items(), 1):
    job.send({"type": "meta", "set": {"current_segment_id": segment}})
    work()
    if words.isprintable():
        value = {
            "segment_id": segment,
            "audio_url": f"/media/audio/{segment}.wav",
            "duration": round(len(words) * 0.06, 2),
        }
        report: dict[str, Any] = {"type": "result", "value": value}
    else:
        report = {"type": "error", "item": segment, "message": "Nothing to say"}
    job.send(report, {"type": "progress", "current": done})
job.send({"type": "meta", "set": {"current_segment_id": None}}, {"type": "succeed"})
