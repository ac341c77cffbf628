"""A worker that transcribes for a media toolkit. livejobs takes its times: how long the job waited
and how long it ran; the worker says who it is, and how long its queue was.

Seen by POST /v1/toolkit/job/status with {"job_id": JOB}."""

from __future__ import annotations

import os

from worker import Job, work

job = Job("transcribe", "interview.mp3")
work()  # somewhere else: until it is told of, the job waits
worker = {"pid": os.getpid(), "queue_id": id(job), "queue_length": 0}
request = {"endpoint": "/v1/media/transcribe", "id": "transcribe_job_123"}
job.say({"type": "start", "worker": worker}, {"type": "meta", "set": request})
for percent in (25, 50, 75):
    work()
    job.say({"type": "progress", "percent": percent})
job.say({"type": "succeed", "result": "Transcription completed successfully."})
