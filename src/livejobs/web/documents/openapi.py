"""The REST API as an OpenAPI 3.1 document, from one table of its operations.

The structs that decode a body also describe it, so the document can't differ from the code.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from livejobs.core.access import LADDER, NEEDS
from livejobs.core.history import RANGES
from livejobs.core.hooks import EVENTS, FORMATS
from livejobs.core.model import FLAGS, LEVELS, STATUSES
from livejobs.core.reports import AnyReport, NewAnswer, NewJob
from livejobs.jobs.reporting import Receipt
from livejobs.store.hooks import STATES
from livejobs.web import http
from livejobs.web.calls.admin import NewKey, NewToken
from livejobs.web.calls.jobs import CancelMany
from livejobs.web.calls.webhooks import NewWebhook, Rotation
from livejobs.web.documents.answers import with_answers
from livejobs.web.files.calls import Attach
from livejobs.web.files.resumable import PIECE
from livejobs.web.pages.badge import STYLES
from livejobs.web.pages.embed import THEMES

Schema = dict[str, Any]


class Parameter(NamedTuple):
    name: str
    schema: Schema
    description: str
    where: str = "query"


class Operation(NamedTuple):
    method: str
    path: str
    summary: str
    good: dict[int, Schema | str | None]  # a schema of JSON, another media type, or no body
    parameters: tuple[Parameter, ...] = ()
    body: Any = None  # the struct that decodes it
    optional: bool = False  # the body
    errors: tuple[int, ...] = ()  # besides those of every route
    example: Any = None  # of the body


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


TEXT: Final[Schema] = {"type": "string"}
SWITCH: Final[Schema] = {"enum": ["1", "true", "0", "false", ""]}
NEXT: Final[Schema] = {"type": ["integer", "null"]}
ENTRY: Final[Schema] = {"type": "object", "required": ["n", "at"]}
STREAM: Final = "text/event-stream"
SVG: Final = "image/svg+xml"
HTML: Final = "text/html"

LIMIT: Final = Parameter("limit", whole(1, 1000), "At most this many; default 100.")
AFTER: Final = Parameter("after", whole(0, 2**53), "Only entries after this `n`.")
TOKEN: Final = Parameter("token", TEXT, "A token, for clients that can't set headers.")
PROJECT: Final = Parameter("project", TEXT, "Only this project; default: the caller's own.")
FILTERS: Final = (
    PROJECT,
    Parameter("status", TEXT, f"Only jobs in these states: {', '.join(STATUSES)}. Use commas."),
    Parameter("type", TEXT, "Only jobs of this type."),
    Parameter("tag", TEXT, "Only jobs with this tag."),
    Parameter("parent", TEXT, "Only children of this job."),
    Parameter("owner", TEXT, "Only jobs of this owner."),
)
RESUMED: Final = (
    Parameter("since", TEXT, "Resume from this cursor."),
    Parameter(
        "lastEventId",
        TEXT,
        "Same as `since`, for clients that can't set the header. Wins over `since`.",
    ),
    Parameter("Last-Event-ID", TEXT, "Same as `since`. Wins over both.", "header"),
)
STREAMED: Final = (
    Parameter(
        "view", {"enum": ["state", "delta"]}, "`state`: whole jobs. `delta`: only what changed."
    ),
    Parameter("logs", SWITCH, "Send log lines too."),
    Parameter(
        "rate",
        {"type": "number", "minimum": 0.1, "maximum": 60},
        "At most this many messages a second for a job; rounded down to one of 12 rates.",
    ),
    *RESUMED,
)
KNOWN: Final = Parameter(
    "If-None-Match", TEXT, "The `ETag` that you have; 304 while it is current.", "header"
)
POLLED: Final = (
    Parameter("until", {"enum": ["finished"]}, "Wait until the job ends."),
    KNOWN,
    Parameter("Prefer", TEXT, "`wait=N`: wait up to N seconds for a change.", "header"),
)
IDEMPOTENCY: Final = Parameter(
    "Idempotency-Key", TEXT, "A repeated key returns the same job.", "header"
)
LINES: Final = (
    AFTER,
    LIMIT,
    Parameter("level", {"enum": list(LEVELS)}, "Only lines of at least this level."),
)
BYTES: Final = "application/octet-stream"
ANY: Final = "*/*"  # a file comes with its own media type
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
FETCHED: Final = (
    Parameter("inline", SWITCH, "Show the file in the browser instead of saving it."),
    Parameter("follow", SWITCH, "For a file that grows: keep sending until the job ends."),
    Parameter("Range", TEXT, "Only these bytes.", "header"),
    Parameter("If-Range", TEXT, "Use `Range` only if the file still has this `ETag`.", "header"),
    KNOWN,
)
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
DIGESTS: Final = (
    Parameter("Repr-Digest", TEXT, "SHA-256 of the file, which the server checks.", "header"),
    Parameter("Content-Digest", TEXT, "Same as `Repr-Digest`.", "header"),
)


def _tus(name: str, schema: Schema, example: str, description: str) -> Parameter:
    return Parameter(name, {**schema, "examples": [example]}, description, "header")


TUS: Final = _tus("Tus-Resumable", {"enum": ["1.0.0"]}, "1.0.0", "Version of tus.")
LENGTH: Final = _tus("Upload-Length", TEXT, "1048576", "Size of the whole file in bytes.")
OFFSET: Final = _tus("Upload-Offset", TEXT, "0", "Where this piece begins.")
METADATA: Final = _tus(
    "Upload-Metadata",
    TEXT,
    "filename ZmlsbS5tcDQ=",
    "`filename` and `filetype`, with values in base64.",
)

OPERATIONS: Final = (
    Operation("get", "/v1/jobs", "List jobs, newest first", {
        200: listed("jobs", ref("Job"), {"type": ["string", "null"]}, counts={"type": "object"}),
    }, (*FILTERS, Parameter("q", TEXT, "Part of an id or title; at least 3 characters."),
        Parameter("flag", {"enum": list(FLAGS)}, "Only jobs with this flag."), LIMIT,
        Parameter("after", TEXT, "`next` of the previous page."),
        Parameter("skip", whole(0, 1_000_000), "Leave out the newest N jobs.")), errors=(400,)),
    Operation("post", "/v1/jobs", "Create a job", {201: ref("Job"), 200: ref("Job")},
              (IDEMPOTENCY,), NewJob, True, (409, 503), {"title": "Teaser", "type": "render"}),
    Operation("get", "/v1/jobs/{id}", "Get a job", {200: ref("Job"), 304: None},
              (*POLLED, *STREAMED)),
    Operation("put", "/v1/jobs/{id}", "Create a job unless it exists",
              {201: ref("Job"), 200: ref("Job")}, (), NewJob, True, (409, 503),
              {"title": "Teaser"}),
    Operation("delete", "/v1/jobs/{id}", "Delete a finished job", {204: None}, errors=(409, 503)),
    Operation("post", "/v1/jobs/{id}/reports", "Report on a job", {200: ref("Receipt")},
              (), AnyReport, errors=(409, 503),
              example={"type": "progress", "percent": 42}),
    Operation("post", "/v1/jobs/{id}/cancel", "Cancel a job", {202: ref("Job")},
              (Parameter("force", SWITCH, "End it now, without its worker."),), errors=(409, 503)),
    Operation("post", "/v1/jobs/{id}/answer", "Answer what a job waits for", {202: ref("Job")},
              (), NewAnswer, errors=(409, 503), example={"n": 1, "value": True}),
    Operation("post", "/v1/cancel", "Cancel many jobs", {200: CANCELLED}, (), CancelMany,
              errors=(503,), example={"jobs": ["teaser", "trailer"]}),
    Operation("get", "/v1/jobs/{id}/logs", "List log lines",
              {200: entries("logs"), 204: None},
              (*LINES, Parameter("tail", whole(1, 1000), "Only the last N lines."),
               Parameter("follow", SWITCH, "As text: keep sending until the job ends."), *RESUMED)),
    Operation("get", "/v1/jobs/{id}/results", "List results", {200: entries("results")},
              (AFTER, LIMIT)),
    Operation("get", "/v1/jobs/{id}/errors", "List errors of single items",
              {200: entries("errors")}, (AFTER, LIMIT)),
    Operation("get", "/v1/jobs/{id}/events", "Stream a job", {200: STREAM, 204: None},
              (*STREAMED, Parameter("tail", whole(0, 1000), "Begin with the last N log lines."))),
    Operation("get", "/jobs/{id}/badge.svg", "Get a picture of a job's state",
              {**dict.fromkeys((200, 401, 403, 404, 422, 429, 503), SVG), 304: None},
              (Parameter("label", TEXT, "Default: the job's title."),
               Parameter("style", {"enum": list(STYLES)}, "Default: flat."), KNOWN)),
    Operation("get", "/jobs/{id}/embed", "Get a page with a job, for a frame in another page",
              dict.fromkeys((200, 401, 403, 404, 422, 429, 503), HTML),
              (Parameter("theme", {"enum": list(THEMES)}, "Default: the reader's own."),
               Parameter("compact", SWITCH, "Show the job in one line."))),
    Operation("get", "/v1/events", "Stream many jobs", {200: STREAM},
              (*FILTERS, Parameter("jobs", TEXT, "Only these ids, with commas between."), *STREAMED,
               LIMIT)),
    Operation("get", "/v1/jobs/{id}/audit", "List who did what to a job",
              {200: listed("acts", ENTRY, NEXT)},
              (LIMIT, Parameter("before", whole(1, 2**53), "Only records before this `n`."))),
    Operation("get", "/v1/jobs/{id}/files", "List files, with download counts",
              {200: LISTED_FILES}),
    Operation("post", "/v1/jobs/{id}/files", "Attach an existing file",
              {201: FILE, 200: FILE}, (), Attach, errors=(409, 503),
              example={"name": "out.mp4", "url": "https://cdn.example/out.mp4"}),
    Operation("get", "/v1/jobs/{id}/files/{name}", "Download a file",
              {200: ANY, 206: ANY, 302: None, 304: None}, FETCHED, errors=(412, 416, 503)),
    Operation("put", "/v1/jobs/{id}/files/{name}", "Upload or replace a file",
              {201: FILE, 200: FILE}, DIGESTS, BYTES, errors=(409, 503)),
    Operation("get", "/v1/jobs/{id}/files.zip", "Download all files as a zip",
              {200: "application/zip"}, errors=(503,)),
    Operation("get", "/v1/jobs/{id}/download", "Download the first file of a succeeded job",
              {200: ANY, 206: ANY, 302: None, 304: None}, FETCHED, errors=(409, 412, 416, 503)),
    Operation("post", "/v1/jobs/{id}/uploads", "Begin a resumable upload (tus 1.0)", {201: None},
              (TUS, LENGTH, METADATA), errors=(409, 412, 413, 503)),
    Operation("options", "/v1/jobs/{id}/uploads", "Get the tus options", {204: None}),
    Operation("head", "/v1/jobs/{id}/uploads/{upload}", "Get the offset of an upload", {200: None},
              (TUS,), errors=(409, 412, 423, 503)),
    Operation("patch", "/v1/jobs/{id}/uploads/{upload}", "Resume an upload", {204: None},
              (TUS, OFFSET), PIECE, errors=(409, 412, 423, 503)),
    Operation("delete", "/v1/jobs/{id}/uploads/{upload}", "Cancel an upload", {204: None}, (TUS,),
              errors=(409, 412, 423)),
    Operation("post", "/v1/jobs/{id}/uploads/{upload}", "Use HEAD, PATCH or DELETE by POST",
              {200: None, 204: None},
              (TUS, Parameter("X-HTTP-Method-Override", {"enum": ["HEAD", "PATCH", "DELETE"]},
                              "The method to use.", "header")), PIECE,
              errors=(405, 409, 412, 423, 503)),
    Operation("options", "/v1/jobs/{id}/uploads/{upload}", "Get the tus options", {204: None}),
    Operation("post", "/v1/tokens", "Create a short-lived token", {201: {"type": "object"}}, (),
              NewToken, True, example={"jobs": ["teaser"], "ttl_seconds": 900}),
    Operation("get", "/v1/session", "Get the rights of the credential", {200: SESSION}),
    Operation("post", "/v1/session", "Log in: get the cookie of a browser, or renew it",
              {200: SESSION}),
    Operation("delete", "/v1/session", "Log out: remove the cookie", {204: None}),
    Operation("get", "/v1/keys", "List keys", {200: {"type": "object"}}),
    Operation("post", "/v1/keys", "Create a key, shown only once", {201: {"type": "object"}}, (),
              NewKey, errors=(409, 503),
              example={"name": "ci", "scopes": ["report"], "projects": ["films"]}),
    Operation("delete", "/v1/keys/{id}", "Revoke a key", {204: None}, errors=(503,)),
    Operation("get", "/v1/audit", "List audit records", {200: listed("acts", ENTRY, NEXT)},
              (LIMIT, Parameter("before", whole(1, 2**53), "Only records before this `n`."))),
    Operation("get", "/v1/webhooks", "List webhooks of a project, or of a job", {200: HOOKS},
              (PROJECT, Parameter("job", TEXT, "Those of this job instead.")), errors=(404,)),
    Operation("post", "/v1/webhooks", "Create a webhook of a project", {201: HOOK}, (), NewWebhook,
              errors=(409, 503),
              example={"url": "https://hooks.example/jobs", "events": ["finished"]}),
    Operation("get", "/v1/webhooks/{id}", "Get a webhook", {200: HOOK}),
    Operation("delete", "/v1/webhooks/{id}", "Remove a webhook", {204: None}, errors=(503,)),
    Operation("post", "/v1/webhooks/{id}/rotate", "Replace the secret of a webhook", {200: HOOK},
              (), Rotation, True, (503,)),
    Operation("post", "/v1/webhooks/{id}/test", "Send a test to a webhook", {200: TESTED}),
    Operation("get", "/v1/webhooks/{id}/deliveries", "List deliveries of a webhook, newest first",
              {200: listed("deliveries", DELIVERY, NEXT)},
              (LIMIT, Parameter("before", whole(1, 2**53), "Only deliveries before this `n`."))),
    Operation("post", "/v1/webhooks/{id}/deliveries/{n}/replay", "Deliver once more", {202: None},
              errors=(409, 503)),
    Operation("get", "/v1/projects", "List the projects that the credential may see",
              {200: {"type": "object"}}),
    Operation("get", "/v1/stats", "Get counts of jobs over time", {200: STATS, 304: None},
              (PROJECT, Parameter("range", {"enum": list(RANGES)}, "Default: hour."), KNOWN)),
    Operation("get", "/metrics", "Get metrics for Prometheus", {200: "text/plain"}),
    Operation("get", "/healthz", "Check that the process answers", {200: {"type": "object"}}),
    Operation("get", "/readyz", "Check that the server takes reports",
              {200: READY, 503: READY}),
)  # fmt: skip

# Groups of operations, by path; the first match counts.
TAGS: Final = (
    ("Live", r"/events$|^/jobs/"),
    ("Files", r"^/v1/jobs/.*/(files|download|uploads)"),
    ("Jobs", r"^/v1/(jobs|cancel)"),
    ("Webhooks", r"^/v1/webhooks"),
    ("Access", r"^/v1/(tokens|session|keys|audit)"),
    ("Server", r"^/(healthz|readyz|metrics|v1/stats|v1/projects)"),
    ("Other APIs", ""),
)
ORDER: Final = ("Jobs", "Live", "Files", "Webhooks", "Access", "Server", "Other APIs")

PUBLIC: Final = frozenset({"/healthz", "/readyz"})


class Part(NamedTuple):
    """What other modules add to the document."""

    paths: dict[str, dict[str, Any]]
    schemas: dict[str, Any]


def document(version: str, *parts: Part) -> dict[str, Any]:
    bodies = [NewJob, AnyReport, NewAnswer, Receipt, NewKey, NewToken, Attach, CancelMany]
    bodies += [NewWebhook, Rotation]
    schemas, components = msgspec.json.schema_components(bodies, ref_template=REF)
    described = dict(zip(map(id, bodies), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation, described)
    for part in parts:
        paths |= part.paths
        components |= part.schemas
    components = portable(components | {"Job": JOB, "Problem": PROBLEM})  # also copies
    for name, members in DESCRIPTIONS.items():
        for member, description in members.items():
            components[name]["properties"][member]["description"] = description
    made = {
        "openapi": "3.1.0",
        "info": {"title": "livejobs", "version": version},
        "tags": [{"name": tag} for tag in ORDER if tag in map(tag_of, paths)],
        "paths": portable(paths),
        "webhooks": {"jobEvent": {"post": SENT}},
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
        "security": [{"bearer": []}, {"key": []}, {}],
    }
    return with_answers(made)


def tag_of(path: str) -> str:
    return next(tag for tag, pattern in TAGS if re.search(pattern, path))


def _described(operation: Operation, described: dict[int, Schema]) -> dict[str, Any]:
    parameters = [*operation.parameters]
    if operation.path not in PUBLIC:
        parameters.append(TOKEN)
    if "{id}" in operation.path:
        parameters.insert(0, Parameter("id", TEXT, _id_of(operation.path), "path"))
    if "{upload}" in operation.path:
        parameters.insert(1, Parameter("upload", TEXT, "The upload's id.", "path"))
    if "{name}" in operation.path:
        parameters.insert(1, Parameter("name", TEXT, "The file's name.", "path"))
    if "{n}" in operation.path:
        parameters.insert(1, Parameter("n", TEXT, "The delivery's number.", "path"))
    result: dict[str, Any] = {
        "tags": [tag_of(operation.path)],
        "summary": operation.summary,
        "operationId": operation_id(operation.method, operation.path),
        "parameters": [parameter(one) for one in parameters],
        "responses": {
            str(status): _answer(status, body) for status, body in operation.good.items()
        },
    }
    for status in sorted(_errors(operation) - operation.good.keys()):
        result["responses"][str(status)] = problem()
    if operation.body is not None:
        result["requestBody"] = _body(operation, described)
    return result


def _id_of(path: str) -> str:
    owners = {"/v1/keys": "The key's id.", "/v1/webhooks": "The webhook's id."}
    return next((it for start, it in owners.items() if path.startswith(start)), "The job's id.")


_NAMES: Final = str.maketrans({"/": "_", ":": "_", "{": "", "}": ""})


def operation_id(method: str, path: str) -> str:
    return method + path.translate(_NAMES)


def _errors(operation: Operation) -> set[int]:
    errors = {400, 421, *operation.errors}
    if operation.path not in PUBLIC:
        errors |= {401, 403, 422, 429, 503}
    if "{id}" in operation.path:
        errors.add(404)
    if operation.body is not None:
        errors |= {404, 408, 413, 415}
    return errors


def parameter(it: Parameter) -> dict[str, Any]:
    return {
        "name": it.name,
        "in": it.where,
        "description": it.description,
        "schema": it.schema,
        "required": it.where == "path",
    }


def _body(operation: Operation, described: dict[int, Schema]) -> dict[str, Any]:
    if operation.body in (BYTES, PIECE):
        return {"required": False, "content": {operation.body: {"schema": TEXT}}}
    schema = described[id(operation.body)]
    content: dict[str, Schema] = {"application/json": {"schema": schema}}
    if operation.body is AnyReport:
        many = {"type": "array", "items": schema, "minItems": 1, "maxItems": 1000}
        content = {
            "application/json": {"schema": {"anyOf": [schema, many]}},
            "application/x-ndjson": {"schema": TEXT},
        }
    if operation.example is not None:
        content["application/json"]["example"] = operation.example
    return {"required": not operation.optional, "content": content}


def _answer(status: int, body: Schema | str | None) -> dict[str, Any]:
    word = "Success" if status < 400 else "Error"
    if body is None:
        return {"description": "Success, without a body"}
    if isinstance(body, str):
        return {"description": word, "content": {body: {"schema": TEXT}}}
    return {"description": word, "content": {"application/json": {"schema": body}}}


def problem() -> dict[str, Any]:
    content = {"application/problem+json": {"schema": ref("Problem")}}
    return {"description": "Error", "content": content}


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


HOOK_FIELDS: Final = {
    "url": "Where to send messages. Its address must be public, or allowed by the operator.",
    "events": "What to send. `finished` is any end.",
    "secret": "What to sign with; default: the server makes one, and shows it once.",
    "format": "Default: `standard` (Standard Webhooks).",
}
# Members of the schemas whose name is not enough.
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


def _signing(name: str, description: str) -> dict[str, Any]:
    return parameter(Parameter(name, TEXT, description, "header"))


SENT: Final[Schema] = {
    "tags": ["Webhooks"],
    "summary": "An event of a job, sent to a webhook of the format `standard`",
    "operationId": "job_event",
    "security": [],
    "parameters": [
        _signing("webhook-id", "The same in every attempt."),
        _signing("webhook-timestamp", "Of this attempt, in seconds since 1970."),
        _signing("webhook-signature", "`v1,` and HMAC-SHA256 in base64, one for each secret."),
    ],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": EVENT}},
    },
    "responses": {
        "2XX": {"description": "The event was taken."},
        "410": {"description": "Nothing more is sent to this webhook."},
        "default": {"description": "The event is sent again later."},
    },
}


async def openapi(request: Request) -> Response:
    body = await request.app.state.openapi.body()
    return http.JSONBytes(body, 200, {"cache-control": "public, max-age=3600"})
