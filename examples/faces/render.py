"""A worker that renders a video: it logs, it counts frames, and in the end there is a file.

Seen at /api/jobs/JOB, its file at /api/jobs/JOB/download. With FAIL=1 it fails, and the log is
shown with the job."""

from __future__ import annotations

import os

from worker import Job, work

FRAMES, AT_ONCE = 120, 30
# The head of an MP4, for want of a camera.
VIDEO = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + b"\x00\x00\x00\x08free"

job = Job("render", "Teaser")
job.say(
    {"type": "start"},
    {"type": "meta", "set": {"projectPath": "/projects/teaser"}},
    {"type": "progress", "current": 0, "total": FRAMES, "unit": "frames"},
    {"type": "log", "message": "codec h264, 1920x1080"},
)
for frame in range(AT_ONCE, FRAMES + 1, AT_ONCE):
    work()
    job.say(
        {"type": "progress", "current": frame},
        {"type": "log", "message": f"frame {frame} of {FRAMES}"},
    )
if os.environ.get("FAIL"):
    job.say(
        {"type": "log", "message": "muxer: no space left", "level": "error"},
        {"type": "fail", "message": "The video could not be written", "code": "muxer"},
    )
else:
    job.upload("output.mp4", VIDEO, "video/mp4")
    job.say({"type": "succeed"})
