"""A worker that transcribes for a media toolkit. livejobs measures how long the job waited and how
long it ran. The worker reports its ids, and the length of its queue.

Poll the job with POST /v1/toolkit/job/status and {"job_id": JOB}."""

from __future__ import annotations

import os

from worker import Job, work

job = Job("transcribe", "interview.mp3")
work()  # the job is queued until the first report
worker = {"pid": os.getpid(), "queue_id": id(job), "queue_length": 0}
request = {"endpoint": "/v1/media/transcribe", "id": "transcribe_job_123"}
job.send({"type": "start", "worker": worker}, {"type": "meta", "set": request})
for percent in (25, 50, 75):
    work()
    job.send({"type": "progress", "percent": percent})
job.send({"type": "succeed", "result": "Transcription completed successfully."})
