"""What members mean whose name is not enough."""

from __future__ import annotations

from typing import Final

HOOK_FIELDS: Final = {
    "url": "Where to send messages. Its address must be public, or allowed by the operator.",
    "events": "What to send. `finished` is any end.",
    "secret": "What to sign with; default: the server makes one, and shows it once.",
    "format": "Default: `standard` (Standard Webhooks).",
}
DESCRIPTIONS: Final[dict[str, dict[str, str]]] = {
    "NewJob": {
        "id": "Unique on the server; default: a UUIDv7.",
        "project": "Default: the caller's own.",
        "type": "Jobs of one type share a queue.",
        "title": "A title for people.",
        "total": "The amount of work, in `unit`.",
        "unit": "What `total` counts, such as `frames`.",
        "steps": "The planned steps, in order.",
        "meta": "Any other values; reports can change them.",
        "tags": "Labels to filter by.",
        "parent": "The id of the parent job.",
        "owner": "Default: the caller. Only admins can set another.",
        "heartbeat_timeout": "Seconds of silence after which the job is stalled.",
        "ttl_seconds": "Seconds to keep the job after its end.",
        "webhooks": "Where to send the job's events.",
    },
    "NewHook": HOOK_FIELDS,
    "NewWebhook": {"project": "Default: the caller's own.", **HOOK_FIELDS},
    "Rotation": {"secret": "Default: the server makes one, and shows it once."},
    "NewToken": {
        "jobs": "Only these jobs.",
        "project": "Only this project.",
        "scopes": "At most the caller's own; default `view`.",
        "ttl_seconds": "Seconds until it expires; default 900.",
    },
    "CancelMany": {
        "jobs": "At most 1000 ids.",
        "force": "End them now, without their workers.",
    },
    "NewKey": {
        "name": "Owner of the jobs it creates, as `key:NAME`.",
        "scopes": "The highest counts: it includes all below it.",
        "projects": "Default: all.",
        "expires_at": "Default: never.",
    },
    "Receipt": {
        "cursor": "The job's position after these reports.",
        "accepted": "Reports that were applied. Repeated numbers are skipped.",
        "cancel_requested": "The worker should end the job.",
        "asked": "The number of the question that these reports asked.",
        "waiting": "The number of the question that the job waits for.",
        "answer": "The answer, until a report carries its `n` as `answered`.",
    },
    "NewAnswer": {
        "n": "Only if the job waits for this question; default: whatever it waits for.",
        "value": "The answer. It fits the question's schema.",
    },
    "Job": {
        "project": "A feed stays within one project.",
        "stalled": "The job runs, but sent no report for its `heartbeat_timeout`.",
        "cancel_requested": "Someone asked to cancel the job.",
        "attempt": "Grows with each `retry`.",
        "progress": "`percent current total unit message rate eta_seconds`, each null if unknown.",
        "steps": "`name title status weight current total percent started_at completed_at`.",
        "counters": "Sums of what workers count.",
        "trimmed": "How many of the oldest entries were removed: `logs results errors`, or null.",
        "waiting": "What the job needs from a person: `n prompt schema at`. Null if nothing.",
        "cursor": "Position of this state, for `since`, `Last-Event-ID` and `If-None-Match`.",
        "links": "`self events logs page`.",
    },
}
