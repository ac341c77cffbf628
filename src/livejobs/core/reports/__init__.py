"""The reports of workers: their types, their bounds, and how they are read from JSON.

A report is a tagged struct. A report that does not fit is refused with a pointer to the field.
Bounds that are settings are passed in as `Bounds`; fixed bounds are written on the fields.
"""

from __future__ import annotations

from livejobs.core.reports.kinds import (
    SAFE,
    AnyReport,
    Ask,
    Bounds,
    Cancelled,
    Count,
    Error,
    Fail,
    Heartbeat,
    Log,
    Meta,
    NewAnswer,
    NewHook,
    NewJob,
    PlannedStep,
    Progress,
    Reason,
    Result,
    Retry,
    Start,
    Step,
    Succeed,
    clamp,
)
from livejobs.core.reports.reading import (
    decode_answer,
    decode_body,
    decode_line,
    decode_lines,
    decode_new_job,
)

__all__ = [
    "SAFE",
    "AnyReport",
    "Ask",
    "Bounds",
    "Cancelled",
    "Count",
    "Error",
    "Fail",
    "Heartbeat",
    "Log",
    "Meta",
    "NewAnswer",
    "NewHook",
    "NewJob",
    "PlannedStep",
    "Progress",
    "Reason",
    "Result",
    "Retry",
    "Start",
    "Step",
    "Succeed",
    "clamp",
    "decode_answer",
    "decode_body",
    "decode_line",
    "decode_lines",
    "decode_new_job",
]
