"""The faces in the OpenAPI document: the types of their answers as schemas, the examples of their
sources, and their answers to errors, made by the faces themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from livejobs.core.errors import (
    Forbidden,
    LivejobsError,
    NotFound,
    StorageUnavailable,
    TooMany,
    Unauthorized,
)
from livejobs.faces.base import JSON, Face, Way, access_denied
from livejobs.web.documents.openapi import Part, parameter, problem
from livejobs.web.documents.operations import ANY, operation_id
from livejobs.web.documents.parameters import FETCHED, KNOWN, TOKEN, Parameter
from livejobs.web.documents.schemas import REF, TEXT
from livejobs.web.guard import NO_CREDENTIAL
from livejobs.web.problems import UNEXPECTED

SAMPLE: Final = "JOB"
BINARY: Final = {"type": "string", "format": "binary"}
EVERYWHERE: Final = (
    Unauthorized(NO_CREDENTIAL),
    NotFound(f"There is no job {SAMPLE!r}.", code="job_not_found", extra={"job_id": SAMPLE}),
    TooMany("More than 200 calls in 1 s. Try again in 1 s.", code="rate_limited"),
    LivejobsError(UNEXPECTED),
    StorageUnavailable("The disk is full. Try again later."),
    Forbidden("This takes the scope 'view'.", code="missing_scope"),
)


def describe(faces: Iterable[Face]) -> Part:
    part = Part({}, {})
    for face in faces:
        for way in face.ways:
            path = part.paths.setdefault(way.path, {})
            path[way.method.lower()] = _operation(face, way, part.schemas)
    return part


def _operation(face: Face, way: Way, schemas: dict[str, Any]) -> dict[str, Any]:
    in_path = [_in_path(way, name) for name in re.findall(r"\{(\w+)\}", way.path)]
    operation: dict[str, Any] = {
        "tags": ["Other APIs"],
        "summary": f"{way.summary} ({face.name})",
        "operationId": operation_id(way.method.lower(), way.path),
        "parameters": [parameter(one) for one in (*in_path, *way.query, *_taken(way), TOKEN)],
        "responses": {
            **_good(face, way, schemas),
            **_refusals(face, way),
            "421": problem(),
        },
    }
    if way.takes is not None:
        body = _content(JSON, way.takes, way.takes_example, schemas)
        operation["requestBody"] = {"required": way.needs_body, "content": body}
    return operation


def _in_path(way: Way, name: str) -> Parameter:
    names = way.names
    known = {names.job: "The job's id.", names.project: "The job's project."}
    return Parameter(name, TEXT, known.get(name, "The project."), "path")


def _taken(way: Way) -> Sequence[Parameter]:
    if way.returns is None and way.stream is None:
        return FETCHED
    return (KNOWN,) if way.shape is not None else ()


def _good(face: Face, way: Way, schemas: dict[str, Any]) -> dict[str, Any]:
    not_modified = {"304": {"description": "Not modified"}}
    events = {} if way.stream is None else {"text/event-stream": {"schema": TEXT}}
    if way.returns is None and events:
        return {"200": {"description": "The changes, as they come", "content": events}}
    if way.returns is None:
        file = {"description": "The file", "content": {ANY: {"schema": BINARY}}}
        elsewhere = {"description": "Redirect to the file"}
        return {"200": file, "206": file, "302": elsewhere, **not_modified}
    media_type = way.media_type or face.media_type
    content = _content(media_type, way.returns, way.example, schemas) | events
    done: dict[str, Any] = {str(way.status): {"description": "Success", "content": content}}
    done |= {str(status): {"description": meaning} for status, meaning in way.empty}
    return done if way.shape is None else done | not_modified


def _content(
    media_type: str, returned: Any, example: Any, schemas: dict[str, Any]
) -> dict[str, Any]:
    (schema,), components = msgspec.json.schema_components([returned], ref_template=REF)
    schemas |= components
    return {media_type: {"schema": schema, "example": example}}


def _refusals(face: Face, way: Way) -> dict[str, Any]:
    """By status, with an example for each error code."""
    answers: dict[str, Any] = {}
    for error in (*EVERYWHERE, *((access_denied(),) if face.denies else ()), *way.refuses):
        status = face.status(error)
        described = answers.setdefault(str(status), {"description": HTTPStatus(status).phrase})
        bare = {face.error_type: {"schema": {"type": "object"}}}
        examples = described.setdefault("content", bare)[face.error_type].setdefault("examples", {})
        examples[error.code] = {"value": face.refusal(error, SAMPLE)}
    return answers
