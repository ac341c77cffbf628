"""A worker that renders a video: it logs, counts frames, and uploads a file at the end.

Poll the job at /api/jobs/JOB, and download its file at /api/jobs/JOB/download. With FAIL=1 the job
fails, and the answer includes its log."""

from __future__ import annotations

import os

from worker import Job, work

FRAMES, AT_ONCE = 120, 30
# Only the head of an MP4; enough for an example.
VIDEO = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + b"\x00\x00\x00\x08free"

job = Job("render", "Teaser")
job.send(
    {"type": "start"},
    {"type": "meta", "set": {"projectPath": "/projects/teaser"}},
    {"type": "progress", "current": 0, "total": FRAMES, "unit": "frames"},
    {"type": "log", "message": "codec h264, 1920x1080"},
)
for frame in range(AT_ONCE, FRAMES + 1, AT_ONCE):
    work()
    job.send(
        {"type": "progress", "current": frame},
        {"type": "log", "message": f"frame {frame} of {FRAMES}"},
    )
if os.environ.get("FAIL"):
    job.send(
        {"type": "log", "message": "muxer: no space left", "level": "error"},
        {"type": "fail", "message": "The video could not be written", "code": "muxer"},
    )
else:
    job.upload("output.mp4", VIDEO, "video/mp4")
    job.send({"type": "succeed"})
