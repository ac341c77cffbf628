"""A worker that consolidates memories: its counters grow, and each change has an id.

Poll the job at /api/v1/consolidation/status/JOB."""

from __future__ import annotations

from worker import Job, work

ROUNDS = [
    {"memories_merged": 4, "summaries_created": 1},
    {"memories_merged": 2, "memories_archived": 3},
    {"memories_promoted": 1, "memories_archived": 1},
    {"memories_merged": 1, "summaries_created": 1},
]

job = Job("consolidation", "Consolidate memories")
job.send({"type": "start"})
for number, counters in enumerate(ROUNDS, 1):
    work()
    change = {"id": f"chg-{number}", "did": sorted(counters)}
    job.send(
        {"type": "count", "counters": counters},  # adds
        {"type": "result", "value": change},
        {"type": "progress", "current": number, "total": len(ROUNDS)},
    )
job.send({"type": "succeed"})
