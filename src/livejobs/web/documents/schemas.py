"""The JSON of the answers, as schemas."""

from __future__ import annotations

from typing import Any, Final

from livejobs.core.access import LADDER, NEEDS
from livejobs.core.history import RANGES
from livejobs.core.hooks import EVENTS, FORMATS
from livejobs.core.model import STATUSES
from livejobs.store.hooks import STATES

Schema = dict[str, Any]


def whole(least: int, most: int | None = None) -> Schema:
    bound = {} if most is None else {"maximum": most}
    return {"type": "integer", "minimum": least, **bound}


REF: Final = "#/components/schemas/{name}"


def ref(name: str) -> Schema:
    return {"$ref": REF.format(name=name)}


def entries(name: str) -> Schema:
    """A page of a job's entries."""
    page = listed(name, ENTRY, NEXT)
    page["properties"]["trimmed"] = whole(1)  # only if the page begins where entries were removed
    return page


def listed(name: str, item: Schema, next_: Schema, **more: Schema) -> Schema:
    properties = {name: {"type": "array", "items": item}, "next": next_, **more}
    return {"type": "object", "properties": properties, "required": list(properties)}


def portable(schema: Any) -> Any:
    """Patterns as JSON Schema writes them: the end of the text is `$`, not Python's `\\Z`."""
    if isinstance(schema, dict):
        return {
            name: value.replace("\\Z", "$")
            if name == "pattern" and isinstance(value, str)
            else portable(value)
            for name, value in schema.items()
        }
    return [portable(item) for item in schema] if isinstance(schema, list) else schema


TEXT: Final[Schema] = {"type": "string"}
SWITCH: Final[Schema] = {"enum": ["1", "true", "0", "false", ""]}
NEXT: Final[Schema] = {"type": ["integer", "null"]}
ENTRY: Final[Schema] = {"type": "object", "required": ["n", "at"]}

FILE: Final[Schema] = {
    "type": "object",
    "required": ["name", "size", "media_type", "sha256", "url"],
    "properties": {
        "name": TEXT,
        "size": {"type": ["integer", "null"]},
        "media_type": TEXT,
        "sha256": {"type": ["string", "null"]},
        "url": TEXT,
    },
}
LISTED_FILES: Final[Schema] = {
    "type": "object",
    "required": ["files"],
    "properties": {"files": {"type": "array", "items": FILE}},
}
POINT: Final[Schema] = {
    "type": "object",
    "required": ["at", "created", "finished", "succeeded", "failed", "cancelled", "queued",
                 "running", "p50", "p95"],
    "properties": {
        "at": TEXT,
        **{name: {"type": "integer", "minimum": 0} for name in
           ("created", "finished", "succeeded", "failed", "cancelled", "queued", "running")},
        "p50": {"type": ["number", "null"]},
        "p95": {"type": ["number", "null"]},
    },
}  # fmt: skip
STATS: Final[Schema] = {
    "type": "object",
    "required": ["range", "step_seconds", "now", "total", "points"],
    "properties": {
        "range": {"enum": list(RANGES)},
        "step_seconds": {"type": "integer"},
        "now": {"type": "object"},
        "total": POINT,
        "points": {"type": "array", "items": POINT},
    },
}
CANCELLED: Final[Schema] = {
    "type": "object",
    "required": ["results"],
    "properties": {
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["job", "ok"],
                "properties": {
                    "job": TEXT,
                    "ok": {"type": "boolean"},
                    "status": {"enum": list(STATUSES)},
                    "code": TEXT,
                    "detail": TEXT,
                },
            },
        }
    },
}
CHECK: Final[Schema] = {
    "type": "object",
    "required": ["ok"],
    "properties": {"ok": {"type": "boolean"}, "why": TEXT},
}
READY: Final[Schema] = {
    "type": "object",
    "required": ["status", "checks"],
    "properties": {
        "status": {"enum": ["ready", "unavailable"]},
        "checks": {"type": "object", "additionalProperties": CHECK},
    },
}
SESSION: Final[Schema] = {
    "type": "object",
    "required": ["name", "open", "scopes", "may", "projects", "default_project", "jobs",
                 "expires_at", "session_until"],
    "properties": {
        "name": TEXT,
        "open": {"type": "boolean"},
        "scopes": {"type": "array", "items": {"enum": list(LADDER)}},
        "may": {"type": "array", "items": {"enum": list(NEEDS)}},
        "projects": {"type": ["array", "null"], "items": TEXT},
        "default_project": TEXT,
        "jobs": {"type": ["array", "null"], "items": TEXT},
        "expires_at": {"type": ["string", "null"]},
        "session_until": {"type": ["string", "null"]},
    },
}  # fmt: skip
HOOK: Final[Schema] = {
    "type": "object",
    "required": ["id", "project", "job", "url", "events", "format", "created_at", "created_by",
                 "ended_at", "ended"],
    "properties": {
        "id": TEXT,
        "project": TEXT,
        "job": {"type": ["string", "null"]},
        "url": TEXT,
        "events": {"type": "array", "items": {"enum": list(EVENTS)}},
        "format": {"enum": list(FORMATS)},
        "created_at": TEXT,
        "created_by": TEXT,
        "ended_at": {"type": ["string", "null"]},
        "ended": {"type": ["string", "null"]},
        "secret": TEXT,
    },
}  # fmt: skip
HOOKS: Final[Schema] = {
    "type": "object",
    "required": ["webhooks"],
    "properties": {"webhooks": {"type": "array", "items": HOOK}},
}
DELIVERY: Final[Schema] = {
    "type": "object",
    "required": ["n", "job", "event", "at", "state", "replay", "attempts", "next_at", "ended_at",
                 "code", "ms", "error"],
    "properties": {
        "n": whole(1),
        "job": TEXT,
        "event": TEXT,
        "at": TEXT,
        "state": {"enum": list(STATES)},
        "replay": {"type": "boolean"},
        "attempts": whole(0),
        **{name: {"type": ["string", "null"]} for name in ("next_at", "ended_at", "error")},
        **{name: {"type": ["integer", "null"]} for name in ("code", "ms")},
    },
}  # fmt: skip
EVENT: Final[Schema] = {
    "type": "object",
    "required": ["type", "timestamp", "data"],
    "properties": {
        "type": {"enum": [f"job.{event}" for event in EVENTS]},
        "timestamp": TEXT,
        "data": ref("Job"),
    },
}
TESTED: Final[Schema] = {
    "type": "object",
    "required": ["delivered", "code", "ms", "error"],
    "properties": {
        "delivered": {"type": "boolean"},
        "code": {"type": ["integer", "null"]},
        "ms": whole(0),
        "error": {"type": ["string", "null"]},
    },
}
JOB: Final[Schema] = {
    "type": "object",
    "required": ["id", "project", "status", "progress", "cursor", "links"],
    "properties": {
        "id": TEXT,
        "project": TEXT,
        "status": {"enum": list(STATUSES)},
        "stalled": {"type": "boolean"},
        "cancel_requested": {"type": "boolean"},
        "attempt": whole(1),
        "progress": {"type": "object"},
        "steps": {"type": "array"},
        "counters": {"type": "object"},
        "meta": {"type": "object"},
        "tags": {"type": "array", "items": TEXT},
        "trimmed": {"type": ["object", "null"]},
        "waiting": {"type": ["object", "null"]},
        "cursor": TEXT,
        "links": {"type": "object"},
    },
}
PROBLEM: Final[Schema] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": TEXT,
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
        "code": TEXT,
        "request_id": TEXT,
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": TEXT, "detail": TEXT},
            },
        },
    },
}
