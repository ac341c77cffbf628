"""The REST API as an OpenAPI 3.1 document, from one table of its operations.

The structs that decode a body also describe it, so the document can't differ from the code.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from livejobs.core.reports import AnyReport, NewAnswer, NewJob
from livejobs.jobs.changes.reporting import Receipt
from livejobs.web import http
from livejobs.web.calls.admin import NewKey, NewToken
from livejobs.web.calls.jobs import CancelMany
from livejobs.web.calls.webhooks import NewWebhook, Rotation
from livejobs.web.documents.answers import with_answers
from livejobs.web.documents.descriptions import DESCRIPTIONS
from livejobs.web.documents.operations import (
    BYTES,
    OPERATIONS,
    ORDER,
    PUBLIC,
    Operation,
    operation_id,
    tag_of,
)
from livejobs.web.documents.parameters import TOKEN, Parameter
from livejobs.web.documents.schemas import (
    EVENT,
    JOB,
    PROBLEM,
    REF,
    TEXT,
    Schema,
    portable,
    ref,
)
from livejobs.web.files.calls import Attach
from livejobs.web.files.resumable import PIECE


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
