"""What the page of reports says about each report and field."""

from __future__ import annotations

from typing import Final

COMMON: Final = ("producer", "n", "answered")

# In the order in which one job can take them.
REPORTS: Final = {
    "start": "The work begins. Any other report of work starts a queued job as well.",
    "progress": "How far the work is. A field that is left out stays as it was.",
    "step": "One step of the work, by its name. A step that was not planned is added at the end.",
    "log": "One log line.",
    "result": "One result. All results are kept, in order.",
    "error": "One item failed, and the job continues.",
    "count": "Add to counters. A negative number subtracts.",
    "meta": "Set values of `meta`, at its top level.",
    "heartbeat": "The worker is alive. It changes nothing else, so it needs no number.",
    "ask": "Ask a person. See [questions](reference.md#questions).",
    "retry": "The attempt failed, and the job is queued again.",
    "succeed": "The job succeeded.",
    "fail": "The job failed.",
    "cancelled": "The worker stopped because somebody cancelled the job.",
}

EXAMPLES: Final = {
    "start": '{"type": "start", "worker": {"host": "render-3", "pid": 4711}}',
    "progress": '{"type": "progress", "current": 420, "total": 1000, "unit": "frames"}',
    "step": '{"type": "step", "name": "encode", "status": "running", "title": "Encode"}',
    "log": '{"type": "log", "level": "warning", "message": "Frame 7 is black."}',
    "result": '{"type": "result", "value": {"scene": 7}}',
    "error": '{"type": "error", "item": "scene 8", "message": "The file is missing."}',
    "count": '{"type": "count", "counters": {"frames": 24, "retries": 1}}',
    "meta": '{"type": "meta", "set": {"codec": "av1"}}',
    "heartbeat": '{"type": "heartbeat"}',
    "ask": '{"type": "ask", "prompt": "Publish?", "schema": {"type": "boolean"}}',
    "retry": '{"type": "retry", "error": "The disk was full."}',
    "succeed": '{"type": "succeed", "result": {"path": "out.mp4"}}',
    "fail": '{"type": "fail", "message": "The disk is full.", "code": "disk_full"}',
    "cancelled": '{"type": "cancelled"}',
}

FIELDS: Final = {
    "producer": "The name of the sender of numbered reports, such as a random text.",
    "n": "Its number. The server skips a number that is not above the producer's highest.",
    "answered": "The number of the question that the worker is done with.",
    "start.worker": "Facts about the worker, shown on the job's page.",
    "progress.current": "The amount done.",
    "progress.advance": "Add this to `current`.",
    "progress.total": "The amount of all work.",
    "progress.percent": "The percentage, for work without an amount.",
    "progress.unit": "What `total` counts.",
    "progress.message": "What the worker does now.",
    "step.name": "Which step.",
    "step.status": "Its new status.",
    "step.title": "A title for people.",
    "step.current": "The amount done in this step.",
    "step.total": "The amount of work in this step.",
    "step.weight": "Its share of the job's progress, against those of the other steps.",
    "log.message": "The line. Its size is bounded by `max_line_bytes`.",
    "log.level": "Default: `info`.",
    "log.source": "Where the line comes from.",
    "log.at": "When it happened. Default: when the server gets it.",
    "result.value": "The result.",
    "error.message": "What went wrong.",
    "error.item": "Which item.",
    "error.detail": "More about it.",
    "count.counters": "A number for each counter.",
    "meta.set": "The new values, by name.",
    "ask.prompt": "The question.",
    "ask.schema": "A JSON Schema that the answer must fit. Without it, any JSON fits.",
    "retry.error": "Why the attempt failed.",
    "succeed.result": "The result of the whole job.",
    "fail.message": "Why, for people.",
    "fail.code": "Why, for programs.",
    "fail.detail": "More about it.",
}
