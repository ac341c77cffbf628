"""The REST API as an OpenAPI 3.1 document, from one table of its operations.

Bodies are described by the structs that read them, so what is documented is what is taken.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from livejobs.core.model import LEVELS, STATUSES
from livejobs.core.reports import AnyReport, NewJob
from livejobs.jobs.reporting import Receipt
from livejobs.web import http
from livejobs.web.calls.admin import NewKey, NewToken
from livejobs.web.files.calls import Attach
from livejobs.web.files.resumable import PIECE

Schema = dict[str, Any]


class Parameter(NamedTuple):
    name: str
    schema: Schema
    says: str
    where: str = "query"


class Operation(NamedTuple):
    method: str
    path: str
    summary: str
    good: dict[int, Schema | str | None]  # a schema of JSON, another media type, or no body
    parameters: tuple[Parameter, ...] = ()
    body: Any = None  # what reads it
    optional: bool = False  # the body
    errors: tuple[int, ...] = ()  # beside those that every route may give
    example: Any = None  # of the body


def whole(least: int, most: int | None = None) -> Schema:
    bound = {} if most is None else {"maximum": most}
    return {"type": "integer", "minimum": least, **bound}


REF: Final = "#/components/schemas/{name}"


def ref(name: str) -> Schema:
    return {"$ref": REF.format(name=name)}


def listed(name: str, item: Schema, next_: Schema, **more: Schema) -> Schema:
    properties = {name: {"type": "array", "items": item}, "next": next_, **more}
    return {"type": "object", "properties": properties, "required": list(properties)}


TEXT: Final[Schema] = {"type": "string"}
SWITCH: Final[Schema] = {"enum": ["1", "true", "0", "false"]}
NEXT: Final[Schema] = {"type": ["integer", "null"]}
ENTRY: Final[Schema] = {"type": "object", "required": ["n", "at"]}
STREAM: Final = "text/event-stream"

LIMIT: Final = Parameter("limit", whole(1, 1000), "How many; 100 unless said.")
AFTER: Final = Parameter("after", whole(0, 2**53), "Entries after this n.")
TOKEN: Final = Parameter("token", TEXT, "A token, where headers can't be set.")
PROJECT: Final = Parameter("project", TEXT, "The caller's own unless said.")
FILTERS: Final = (
    PROJECT,
    Parameter("status", TEXT, "One or more of " + ", ".join(STATUSES) + ", with commas between."),
    Parameter("type", TEXT, "Of this type."),
    Parameter("tag", TEXT, "With this tag."),
    Parameter("parent", TEXT, "Children of this job."),
    Parameter("owner", TEXT, "Created by this owner."),
)
RESUMED: Final = (
    Parameter("since", TEXT, "A cursor to go on from."),
    Parameter("lastEventId", TEXT, "The same, as some clients add it; it wins over `since`."),
    Parameter("Last-Event-ID", TEXT, "The same; it wins over both.", "header"),
)
STREAMED: Final = (
    Parameter("view", {"enum": ["state", "delta"]}, "Whole jobs, or what changed."),
    Parameter("logs", SWITCH, "Log lines too."),
    Parameter(
        "rate",
        {"type": "number", "minimum": 0.1, "maximum": 60},
        "Most a second, a job. Rounded down to one of 12 rates.",
    ),
    *RESUMED,
)
POLLED: Final = (
    Parameter("until", {"enum": ["finished"]}, "Wait for the end."),
    Parameter("If-None-Match", TEXT, "The tag of what is known.", "header"),
    Parameter("Prefer", TEXT, "wait=N: hold the answer up to N seconds.", "header"),
)
IDEMPOTENCY: Final = Parameter("Idempotency-Key", TEXT, "Repeats give the same job.", "header")
LINES: Final = (AFTER, LIMIT, Parameter("level", {"enum": list(LEVELS)}, "The least level."))
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
    Parameter("inline", SWITCH, "To be shown, not saved."),
    Parameter("follow", SWITCH, "Of a file that grows: go on until the job ends."),
    Parameter("Range", TEXT, "Only these bytes.", "header"),
    Parameter("If-Range", TEXT, "Only if it is still this file.", "header"),
    Parameter("If-None-Match", TEXT, "The tag of what is known.", "header"),
)
DIGESTS: Final = (
    Parameter("Repr-Digest", TEXT, "sha-256 of the file, checked.", "header"),
    Parameter("Content-Digest", TEXT, "The same.", "header"),
)


def _tus(name: str, schema: Schema, example: str, says: str) -> Parameter:
    return Parameter(name, {**schema, "examples": [example]}, says, "header")


TUS: Final = _tus("Tus-Resumable", {"enum": ["1.0.0"]}, "1.0.0", "The version.")
LENGTH: Final = _tus("Upload-Length", TEXT, "1048576", "Bytes in all.")
OFFSET: Final = _tus("Upload-Offset", TEXT, "0", "Where it goes on.")
METADATA: Final = _tus(
    "Upload-Metadata", TEXT, "filename ZmlsbS5tcDQ=", "filename, filetype; values are base64."
)

OPERATIONS: Final = (
    Operation("get", "/v1/jobs", "Jobs, newest first", {
        200: listed("jobs", ref("Job"), {"type": ["string", "null"]}, counts={"type": "object"}),
    }, (*FILTERS, Parameter("q", TEXT, "Part of id or title, 3 characters or more."), LIMIT,
        Parameter("after", TEXT, "`next` of the page before.")), errors=(400,)),
    Operation("post", "/v1/jobs", "Create a job", {201: ref("Job"), 200: ref("Job")},
              (IDEMPOTENCY,), NewJob, True, (409, 503), {"title": "Teaser", "type": "render"}),
    Operation("get", "/v1/jobs/{id}", "A job", {200: ref("Job"), 304: None}, (*POLLED, *STREAMED)),
    Operation("put", "/v1/jobs/{id}", "Create a job if it is absent",
              {201: ref("Job"), 200: ref("Job")}, (), NewJob, True, (409, 503),
              {"title": "Teaser"}),
    Operation("delete", "/v1/jobs/{id}", "Remove a finished job", {204: None}, errors=(409, 503)),
    Operation("post", "/v1/jobs/{id}/reports", "Say how a job is doing", {200: ref("Receipt")},
              (), AnyReport, errors=(409, 503),
              example={"type": "progress", "percent": 42}),
    Operation("post", "/v1/jobs/{id}/cancel", "Ask for a job's end", {202: ref("Job")},
              (Parameter("force", SWITCH, "End it now."),), errors=(409, 503)),
    Operation("get", "/v1/jobs/{id}/logs", "Log lines",
              {200: listed("logs", ENTRY, NEXT), 204: None},
              (*LINES, Parameter("tail", whole(0, 1000), "The last ones."),
               Parameter("follow", SWITCH, "As text: go on until the job ends."), *RESUMED)),
    Operation("get", "/v1/jobs/{id}/results", "Results", {200: listed("results", ENTRY, NEXT)},
              (AFTER, LIMIT)),
    Operation("get", "/v1/jobs/{id}/errors", "Errors of single items",
              {200: listed("errors", ENTRY, NEXT)}, (AFTER, LIMIT)),
    Operation("get", "/v1/jobs/{id}/events", "A job, live", {200: STREAM, 204: None},
              (*STREAMED, Parameter("tail", whole(0, 1000), "Log lines to begin with."))),
    Operation("get", "/v1/events", "Many jobs, live", {200: STREAM},
              (*FILTERS, Parameter("jobs", TEXT, "Only these ids."), *STREAMED, LIMIT)),
    Operation("get", "/v1/jobs/{id}/files", "Files, and how often they were downloaded",
              {200: LISTED_FILES}),
    Operation("post", "/v1/jobs/{id}/files", "Attach a file that lies somewhere already",
              {201: FILE, 200: FILE}, (), Attach, errors=(409, 503),
              example={"name": "out.mp4", "url": "https://cdn.example/out.mp4"}),
    Operation("get", "/v1/jobs/{id}/files/{name}", "Download a file",
              {200: ANY, 206: ANY, 302: None, 304: None}, FETCHED, errors=(412, 416, 503)),
    Operation("put", "/v1/jobs/{id}/files/{name}", "Upload a file, in place of one of its name",
              {201: FILE, 200: FILE}, DIGESTS, BYTES, errors=(409, 503)),
    Operation("get", "/v1/jobs/{id}/files.zip", "Download all files", {200: "application/zip"},
              errors=(503,)),
    Operation("get", "/v1/jobs/{id}/download", "Download the only or first file, once succeeded",
              {200: ANY, 206: ANY, 302: None, 304: None}, FETCHED, errors=(409, 412, 416, 503)),
    Operation("post", "/v1/jobs/{id}/uploads", "Begin a resumable upload (tus 1.0)", {201: None},
              (TUS, LENGTH, METADATA), errors=(409, 412, 413, 503)),
    Operation("options", "/v1/jobs/{id}/uploads", "What of tus is spoken", {204: None}),
    Operation("head", "/v1/jobs/{id}/uploads/{upload}", "How far an upload has come", {200: None},
              (TUS,), errors=(409, 412, 423, 503)),
    Operation("patch", "/v1/jobs/{id}/uploads/{upload}", "Go on with an upload", {204: None},
              (TUS, OFFSET), PIECE, errors=(409, 412, 423, 503)),
    Operation("delete", "/v1/jobs/{id}/uploads/{upload}", "Give an upload up", {204: None}, (TUS,),
              errors=(409, 412, 423)),
    Operation("post", "/v1/jobs/{id}/uploads/{upload}", "The same three, for who can't say them",
              {200: None, 204: None},
              (TUS, Parameter("X-HTTP-Method-Override", {"enum": ["HEAD", "PATCH", "DELETE"]},
                              "Which.", "header")), PIECE, errors=(405, 409, 412, 423, 503)),
    Operation("options", "/v1/jobs/{id}/uploads/{upload}", "What of tus is spoken", {204: None}),
    Operation("post", "/v1/tokens", "A short-lived token", {201: {"type": "object"}}, (), NewToken,
              True, example={"jobs": ["teaser"], "ttl_seconds": 900}),
    Operation("get", "/v1/keys", "The keys", {200: {"type": "object"}}),
    Operation("post", "/v1/keys", "Make a key, shown this once", {201: {"type": "object"}}, (),
              NewKey, errors=(409, 503),
              example={"name": "ci", "scopes": ["report"], "projects": ["films"]}),
    Operation("delete", "/v1/keys/{id}", "Revoke a key", {204: None}, errors=(503,)),
    Operation("get", "/v1/audit", "What was done by whom", {200: listed("acts", ENTRY, NEXT)},
              (LIMIT, Parameter("before", whole(1, 2**53), "Acts before this n."))),
    Operation("get", "/metrics", "Numbers for Prometheus", {200: "text/plain"}),
    Operation("get", "/healthz", "Whether the process answers", {200: {"type": "object"}}),
    Operation("get", "/readyz", "Whether it takes reports",
              {200: {"type": "object"}, 503: {"type": "object"}}),
)  # fmt: skip

# What belongs together, by the address; the first that fits.
TAGS: Final = (
    ("Live", r"/events$"),
    ("Files", r"^/v1/jobs/.*/(files|download|uploads)"),
    ("Jobs", r"^/v1/jobs"),
    ("Access", r"^/v1/(tokens|keys|audit)"),
    ("Server", r"^/(healthz|readyz|metrics)"),
    ("Other APIs", ""),
)
ORDER: Final = ("Jobs", "Live", "Files", "Access", "Server", "Other APIs")

PUBLIC: Final = frozenset({"/healthz", "/readyz"})


class Part(NamedTuple):
    """What others add to the document."""

    paths: dict[str, dict[str, Any]]
    schemas: dict[str, Any]


def document(version: str, *parts: Part) -> dict[str, Any]:
    bodies = [NewJob, AnyReport, Receipt, NewKey, NewToken, Attach]
    schemas, components = msgspec.json.schema_components(bodies, ref_template=REF)
    described = dict(zip(map(id, bodies), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation, described)
    for part in parts:
        paths |= part.paths
        components |= part.schemas
    components = portable(components | {"Job": JOB, "Problem": PROBLEM})  # a copy of all
    for name, members in MEANS.items():
        for member, says in members.items():
            components[name]["properties"][member]["description"] = says
    return {
        "openapi": "3.1.0",
        "info": {"title": "livejobs", "version": version},
        "tags": [{"name": tag} for tag in ORDER if tag in map(tag_of, paths)],
        "paths": portable(paths),
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
        "security": [{"bearer": []}, {"key": []}, {}],
    }


def tag_of(path: str) -> str:
    return next(tag for tag, pattern in TAGS if re.search(pattern, path))


def _described(operation: Operation, described: dict[int, Schema]) -> dict[str, Any]:
    parameters = [*operation.parameters]
    if operation.path not in PUBLIC:
        parameters.append(TOKEN)
    if "{id}" in operation.path:
        parameters.insert(0, Parameter("id", TEXT, "Which.", "path"))
    if "{upload}" in operation.path:
        parameters.insert(1, Parameter("upload", TEXT, "Which.", "path"))
    if "{name}" in operation.path:
        parameters.insert(1, Parameter("name", TEXT, "The file's.", "path"))
    told: dict[str, Any] = {
        "tags": [tag_of(operation.path)],
        "summary": operation.summary,
        "operationId": operation_id(operation.method, operation.path),
        "parameters": [parameter(one) for one in parameters],
        "responses": {str(status): _answer(body) for status, body in operation.good.items()},
    }
    for status in sorted(_errors(operation) - operation.good.keys()):
        told["responses"][str(status)] = problem()
    if operation.body is not None:
        told["requestBody"] = _body(operation, described)
    return told


_NAMES: Final = str.maketrans({"/": "_", "{": "", "}": ""})


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
        "description": it.says,
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


def _answer(body: Schema | str | None) -> dict[str, Any]:
    if body is None:
        return {"description": "No body"}
    if isinstance(body, str):
        return {"description": "Done", "content": {body: {"schema": TEXT}}}
    return {"description": "Done", "content": {"application/json": {"schema": body}}}


def problem() -> dict[str, Any]:
    content = {"application/problem+json": {"schema": ref("Problem")}}
    return {"description": "A problem", "content": content}


def portable(schema: Any) -> Any:
    """Patterns as JSON Schema has them: its end of text is `$`, Python's is `\\Z`."""
    if isinstance(schema, dict):
        return {
            name: value.replace("\\Z", "$")
            if name == "pattern" and isinstance(value, str)
            else portable(value)
            for name, value in schema.items()
        }
    return [portable(item) for item in schema] if isinstance(schema, list) else schema


# What members of the schemas are, where the name does not say it all.
MEANS: Final[dict[str, dict[str, str]]] = {
    "NewJob": {
        "id": "Unique in the server; a UUIDv7 unless said.",
        "project": "The caller's own unless said.",
        "type": "Jobs of a type queue together.",
        "title": "For people.",
        "total": "How much there is to do, in `unit`.",
        "unit": "What is counted, as `frames`.",
        "steps": "Planned ones, in order.",
        "meta": "Anything else; reports can change it.",
        "tags": "To find it by.",
        "parent": "The job it is a part of.",
        "owner": "The caller unless said; only admins name another.",
        "heartbeat_timeout": "Seconds of silence after which it is stalled.",
        "ttl_seconds": "How long it is kept once it has ended.",
        "webhooks": "Not sent yet: an entry is refused with 422.",
    },
    "NewToken": {
        "jobs": "Only these.",
        "project": "Only this one.",
        "scopes": "At most the caller's own; `view` unless said.",
        "ttl_seconds": "900 unless said.",
    },
    "NewKey": {
        "name": "Owner of the jobs it creates, as `key:NAME`.",
        "scopes": "The highest counts: each has all below it.",
        "projects": "All unless said.",
        "expires_at": "Never unless said.",
    },
    "Receipt": {
        "cursor": "Where the job is, with these reports.",
        "accepted": "Reports that were applied, not skipped as seen before.",
        "cancel_requested": "The worker is to end it.",
    },
    "Job": {
        "project": "Whose it is; a feed stays within one.",
        "stalled": "It runs, and has said nothing for its `heartbeat_timeout`.",
        "cancel_requested": "Its end was asked for.",
        "attempt": "Grows with each `retry`.",
        "progress": "`percent current total unit message rate eta_seconds`, each null if unknown.",
        "steps": "`name title status weight current total percent started_at completed_at`.",
        "counters": "Sums of what workers counted.",
        "cursor": "Where one is, having read this: for `since`, `Last-Event-ID`, `If-None-Match`.",
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


async def openapi(request: Request) -> Response:
    body: bytes = request.app.state.openapi
    return http.JSONBytes(body, 200, {"cache-control": "public, max-age=3600"})
