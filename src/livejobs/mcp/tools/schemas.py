"""JSON schemas of what tools take and give.

The struct that decodes the arguments of a tool also describes them. Its schema is flat: some
clients of MCP read no `$ref`.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from livejobs.core.model import STATUSES

Schema: TypeAlias = dict[str, Any]

_REF: Final = "#/$defs/"


def arguments_schema(struct: type[Struct]) -> Schema:
    (schema,), defs = msgspec.json.schema_components([struct], ref_template=_REF + "{name}")
    flat: Schema = _simple(schema, defs)
    flat.pop("title", None)
    flat.pop("description", None)  # the docstring of the struct is for us
    return flat


def _simple(schema: Any, defs: dict[str, Any]) -> Any:
    """The schema as a model reads it best: each definition in its place, and no alternatives that
    tell it nothing. Less is said than is taken: a field that may be left out may also be null."""
    if isinstance(schema, list):
        return [_simple(item, defs) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        schema = {**defs[schema["$ref"].removeprefix(_REF)], **rest}
    plain = {name: _simple(value, defs) for name, value in schema.items()}
    if isinstance(plain.get("pattern"), str):
        plain["pattern"] = plain["pattern"].replace(r"\Z", "$")  # which JavaScript does not know
    return _one_of(plain) if "anyOf" in plain else plain


def _one_of(schema: Schema) -> Schema:
    kinds = [kind for kind in schema["anyOf"] if kind != {"type": "null"}]
    if {"type": "number"} in [{"type": kind.get("type")} for kind in kinds]:
        kinds = [kind for kind in kinds if kind.get("type") != "integer"]
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    if rest.get("default", ...) is None:
        del rest["default"]
    return {**kinds[0], **rest} if len(kinds) == 1 else {"anyOf": kinds, **rest}


TEXT: Final[Schema] = {"type": "string"}
MAYBE_TEXT: Final[Schema] = {"type": ["string", "null"]}
WHOLE: Final[Schema] = {"type": "integer"}
MAYBE_WHOLE: Final[Schema] = {"type": ["integer", "null"]}
FLAG: Final[Schema] = {"type": "boolean"}


def an_object(properties: Schema, *required: str) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required or properties)}


def a_list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


STATUS: Final[Schema] = {"type": "string", "enum": list(STATUSES)}
ENTRY: Final[Schema] = {"type": "object", "required": ["n", "at"]}
WAITING: Final[Schema] = {
    "type": ["object", "null"],
    "description": "A question that the job waits for. Use the tool answer, with this n.",
}
PROGRESS: Final[Schema] = {
    "type": "object",
    "description": "percent, current, total, unit, message, rate and eta_seconds; null: unknown.",
}
HEAD: Final[Schema] = an_object({
    "id": TEXT,
    "project": TEXT,
    "type": MAYBE_TEXT,
    "title": MAYBE_TEXT,
    "status": STATUS,
    "stalled": FLAG,
    "cancel_requested": FLAG,
    "progress": PROGRESS,
    "waiting": WAITING,
    "result": {"description": "What the job gave when it succeeded."},
    "error": {"type": ["object", "null"], "description": "Why the job failed."},
    "files": a_list({"type": "object"}),
    "results_total": WHOLE,
    "errors_total": WHOLE,
    "logs_total": WHOLE,
    "created_at": TEXT,
    "updated_at": TEXT,
})  # fmt: skip
